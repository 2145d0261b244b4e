import { createHash } from "node:crypto";
import { parseHclReport } from "../azure/hcl-report.ts";
import type { AzureSnpEvidence, AzureTdxEvidence } from "../azure/verify-azure.ts";
import type { SnpRoots } from "../snp/verify-snp.ts";
import type { PcrSelection } from "../tpm/pcr-selection.ts";
import { u32 } from "./little-endian.ts";
import { makeTdx, TDX_OFFSETS } from "./tdx-evidence.ts";
import { makeSnp } from "./snp-evidence.ts";
import {
  encodeQuote,
  quoteParts,
  signAsTpm,
  type SyntheticAk,
  syntheticAk,
} from "./tpm-evidence.ts";

export interface AzureSample {
  readonly runtime?: (runtime: Record<string, unknown>) => unknown;
  readonly change?: (hclReport: Buffer) => void;
  readonly reportType?: number;
  readonly nonce?: Buffer;
}

export const AZURE_SELECTION: PcrSelection = { bank: "sha256", indices: [0, 4, 11] };
export const AZURE_NONCE: Buffer = Buffer.alloc(32, 0x42);

let known: SyntheticAk | undefined;

/** Evidence of an Azure confidential VM, signed by a hierarchy of the test's own. */
export function makeAzureSnp(sample: AzureSample = {}): {
  readonly evidence: AzureSnpEvidence;
  readonly roots: SnpRoots;
} {
  known ??= syntheticAk(2048, { name: "rsassa", hash: "sha256" });
  const { hclReport, chain, roots } = makeHcl(sample, known);
  const pcrs = new Map(
    AZURE_SELECTION.indices.map((index) => [index, Buffer.alloc(32, index + 1)]),
  );
  const quote = encodeQuote(
    quoteParts(pcrs, AZURE_SELECTION.bank, "sha256", sample.nonce ?? AZURE_NONCE),
  );
  const vtpm = { quote, signature: signAsTpm(known, quote), pcrs };
  return { evidence: { hclReport, chain, vtpm }, roots };
}

/** The same machine on TDX. */
export function makeAzureTdx(sample: AzureSample = {}): AzureTdxEvidence {
  const { evidence } = makeAzureSnp({ reportType: 4, ...sample });
  const { runtimeData } = parseHclReport(evidence.hclReport);
  const digest = createHash("sha256").update(runtimeData).digest();
  const { reportData } = TDX_OFFSETS;
  const tdx = makeTdx({
    change: (signed) => signed.fill(0, reportData, reportData + 64).set(digest, reportData),
  });
  return { ...tdx, hclReport: evidence.hclReport, vtpm: evidence.vtpm };
}

function makeHcl(
  { runtime = (same) => same, change, reportType = 2 }: AzureSample,
  ak: SyntheticAk,
) {
  const { n, e } = ak.publicKey.export({ format: "jwk" });
  const data = runtime({
    keys: [
      { kid: "HCLAkPub", key_ops: ["sign"], kty: "RSA", e, n },
      { kid: "HCLEkPub", key_ops: ["encrypt"], kty: "RSA", e, n },
    ],
    "vm-configuration": {
      "console-enabled": false,
      "secure-boot": true,
      "tpm-enabled": true,
      vmUniqueId: "26F8BC30-774E-4290-8E7A-535F3B672AEE",
    },
    "user-data": "AB".repeat(64),
  });
  const json = Buffer.from(typeof data === "string" ? data : JSON.stringify(data));
  const digest = createHash("sha256").update(json).digest();
  const { evidence, roots } = makeSnp({
    change: (report) => {
      report.fill(0, 0x50, 0x90);
      report.set(digest, 0x50);
    },
  });
  const hclReport = Buffer.concat([
    numbers(0x414c4348, 2, 32 + 1184 + 20 + json.length, 2, 0, 0, 0, 0),
    evidence.report,
    numbers(20 + json.length, 1, reportType, 1, json.length),
    json,
    Buffer.alloc(50),
  ]);
  change?.(hclReport);
  return { hclReport, chain: evidence.chain, roots };
}

function numbers(...values: readonly number[]): Buffer {
  return Buffer.concat(values.map(u32));
}
