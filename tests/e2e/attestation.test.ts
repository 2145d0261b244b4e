import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { decodePemChain } from "@redoubt/evidence";
import { blocksOf, repository, type } from "./guide.ts";

const VECTORS = join(repository, "..", "shared", "vectors", "attestation");
const GUIDE = "attestation.md";
const HEADINGS = ["Look", "Verify", "Policies", "Reference values"];

const FILES: Readonly<Record<string, string>> = {
  "snp-report.bin": "snp/ms-milan-report.bin",
  "vcek.pem": "snp/ms-milan-vcek.pem",
  "ask-ark.pem": "snp/milan-ask-ark.pem",
  "td-quote.dat": "tdx/phala-quote-v4.dat",
  "collateral.json": "tdx/phala-quote-v4-collateral.json",
  "nitro.cose": "nitro/prod-doc.cose",
  "boot-1.bin": "eventlog/cos-101-amd-sev.bin",
  "boot-2.bin": "eventlog/with-sp800155.bin",
};

/** TPMT_SIGNATURE of RSASSA with SHA-256 around a bare value. */
function tpmSignature(value: Buffer): Buffer {
  const head = Buffer.from("0014000b0000", "hex");
  head.writeUInt16BE(value.length, 4);
  return Buffer.concat([head, value]);
}

function encode(bytes: Buffer): string {
  return bytes.toString("base64url");
}

/** The sample of Azure in the envelope that the guide describes. */
function azureEnvelope(): string {
  const {
    hcl_report: hclReport,
    tpm_quote: quote,
    vcek,
  } = JSON.parse(readFileSync(join(VECTORS, "azure/snp-evidence-v1.json"), "utf8"));
  const issuers = decodePemChain(readFileSync(join(VECTORS, "snp/milan-ask-ark.pem"), "latin1"), {
    maxCertificates: 2,
    what: "chain",
  });
  const values: readonly string[] = quote.pcrs;
  return JSON.stringify({
    v: 1,
    platform: "az-snp",
    hclReport: encode(Buffer.from(hclReport, "base64url")),
    chain: [encode(Buffer.from(vcek, "base64")), ...issuers.map(encode)],
    vtpm: {
      quote: encode(Buffer.from(quote.message, "hex")),
      signature: encode(tpmSignature(Buffer.from(quote.signature, "hex"))),
      pcrs: Object.fromEntries(
        values.map((value, i) => [String(i), encode(Buffer.from(value, "hex"))]),
      ),
    },
  });
}

test(
  "every command of the guide does what it says",
  { skip: existsSync(VECTORS) ? false : "the evidence of real machines is not here" },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "redoubt-guide-"));
    try {
      for (const [name, source] of Object.entries(FILES))
        copyFileSync(join(VECTORS, source), join(folder, name));
      writeFileSync(join(folder, "azure.json"), azureEnvelope());
      const commands = HEADINGS.flatMap((heading) => blocksOf(GUIDE, heading, "sh")).join("\n");
      const typed = commands.replaceAll(/(^|\(|; |  )redoubt /gm, "$1npm run -s redoubt -- ");
      const out = await type(typed, { folder, port: 0 });
      assert.equal(out.match(/^accepted: /gm)?.length, 4);
      assert.match(out, /7 variable SecureBoot: on/);
      assert.match(out, /no measurement: any image passes/);
      assert.match(out, /firmware\.json: 2 signed/);
      assert.match(
        out,
        /^PCR0: firmware version changed: GCE Virtual Firmware v1 -> GCE Virtual Firmware v2$/m,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
