import assert from "node:assert/strict";
import { createPublicKey, type KeyObject } from "node:crypto";
import { describe, it } from "node:test";
import { WITHOUT_VECTORS, attestationVector } from "../testing/tpm-vectors.ts";
import { parseQuote } from "./quote.ts";
import { parsePublicArea } from "./public-area.ts";
import { parseSignature } from "./signature.ts";
import { verifyQuote, type QuoteDemand, type QuoteEvidence } from "./verify-quote.ts";

const ALL = Array.from({ length: 24 }, (_, index) => index);
const DEMAND: QuoteDemand = {
  selection: { bank: "sha256", indices: ALL },
  qualifyingData: Buffer.from("challenge"),
};

function base64(text: string): Buffer {
  return Buffer.from(text, "base64");
}

/** Azure signs with RSASSA over SHA-256 and hands out the bare value. */
function azureSignature(value: Uint8Array): QuoteEvidence["signature"] {
  return { scheme: "rsassa", hash: "sha256", value };
}

describe("evidence of real machines", { skip: WITHOUT_VECTORS }, () => {
  it("Azure, version 1: 24 PCRs under the key that its hardware report covers", () => {
    const { evidence, key } = azureV1();
    const quote = verifyQuote({ ...evidence, ak: { keyVouchedForElsewhere: key } }, DEMAND);
    assert.deepEqual([quote.pcrs.size, quote.safe, quote.firmwareVersion > 0n], [24, true, true]);
    const other = { ...DEMAND, qualifyingData: Buffer.from("challengf") };
    const again = { ...evidence, ak: { keyVouchedForElsewhere: key } };
    assert.throws(() => verifyQuote(again, other), { code: "ERR_EVIDENCE_BINDING" });
    const fewer = { ...DEMAND, selection: { bank: "sha256", indices: ALL.slice(1) } } as const;
    assert.throws(() => verifyQuote(again, fewer), { code: "ERR_EVIDENCE_PCR_SELECTION" });
  });

  it("Azure, as the Rust library stores it", () => {
    const bytes = attestationVector("azure/vtpm-quote.bincode");
    // Lengths of 8 bytes, little-endian, before the signature, the message, and each of 24 PCRs.
    const value = bytes.subarray(8, 264);
    const message = bytes.subarray(272, 272 + Number(bytes.readBigUInt64LE(264)));
    const pcrs = bytes.subarray(bytes.length - 24 * 32);
    const evidence: QuoteEvidence = {
      quote: message,
      signature: azureSignature(value),
      ak: { keyVouchedForElsewhere: createPublicKey(attestationVector("azure/akpub.pem")) },
      pcrs: new Map(ALL.map((index) => [index, pcrs.subarray(index * 32, index * 32 + 32)])),
    };
    assert.equal(verifyQuote(evidence, DEMAND).resetCount, 3);
  });

  it("Windows on GCE: the key is one; SHA-1 and the creation structure are refused", () => {
    const dump = JSON.parse(
      attestationVector("eventlog/windows-gcp-shielded-vm-dump.json").toString(),
    );
    assert.throws(() => parsePublicArea(base64(dump.AK.Public)), {
      code: "ERR_EVIDENCE_UNSUPPORTED",
      part: "publicArea.scheme.hash",
    });
    assert.throws(() => parseQuote(base64(dump.AK.CreateAttestation)), {
      code: "ERR_EVIDENCE_FORMAT",
      part: "quote.type",
    });
    assert.throws(() => parseQuote(base64(dump.Quote.Quote)), {
      code: "ERR_EVIDENCE_UNSUPPORTED",
      part: "quote.pcrSelect",
    });
    assert.throws(() => parseSignature(base64(dump.Quote.Signature)), {
      code: "ERR_EVIDENCE_UNSUPPORTED",
      part: "signature.hash",
    });
  });
});

function azureV1(): { evidence: Omit<QuoteEvidence, "ak">; key: KeyObject } {
  const evidence = JSON.parse(attestationVector("azure/snp-evidence-v1.json").toString());
  const hcl = Buffer.from(evidence.hcl_report, "base64url");
  // The rest of NV index 0x01400001 is zero.
  const runtime = hcl.subarray(hcl.indexOf('{"keys"')).toString().replace(/\0+$/, "");
  const key = JSON.parse(runtime).keys.find((jwk: { kid: string }) => jwk.kid === "HCLAkPub");
  const { message, signature, pcrs } = evidence.tpm_quote;
  return {
    key: createPublicKey({ key, format: "jwk" }),
    evidence: {
      quote: Buffer.from(message, "hex"),
      signature: azureSignature(Buffer.from(signature, "hex")),
      pcrs: new Map(ALL.map((index) => [index, Buffer.from(pcrs[index], "hex")])),
    },
  };
}
