import { constants, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import {
  appraise,
  type AppraisalOptions,
  decodePemChain,
  type Evidence,
  parseTdxCollateral,
} from "@redoubt/evidence";
import { cpuMicrosPerCall } from "./cpu.ts";
import { median, medianRatio, round, type Measure } from "./measure.ts";

// Real evidence, because keys of vendors are larger than those that tests make; it is no part of the project.
const VECTORS = new URL("../../../shared/vectors/attestation/", import.meta.url);
const WARM_UP = 2;
const PASSES = 9;
const CALLS = 20;

/** Signatures that a verification cannot do without, by their kind. */
type Signatures = Partial<Record<Kind, number>>;
type Kind = "rsa4096" | "rsa2048" | "p384" | "p256";

interface Sample {
  readonly name: string;
  readonly evidence: Evidence;
  readonly options: AppraisalOptions;
  readonly signatures: Signatures;
}

export function evidenceSamplesExist(): boolean {
  return existsSync(VECTORS);
}

/**
 * One full verification of each platform's evidence, parsing and chain included, against the bare signature checks that
 * it needs: what is left is what our reading costs.
 */
export async function* benchEvidence(): AsyncGenerator<Measure> {
  const bare = bareChecks();
  for (const sample of samples()) {
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let i = 0; i < WARM_UP + PASSES; i += 1) {
      const full = await cpuMicrosPerCall(CALLS, () => appraise(sample.evidence, sample.options));
      const floor = await cpuMicrosPerCall(CALLS, () => bare(sample.signatures));
      if (i < WARM_UP) continue;
      ours.push(full / 1000);
      theirs.push(floor / 1000);
    }
    yield {
      name: `evidence/${sample.name}`,
      value: round(median(ours)),
      unit: "ms CPU",
      against: "its bare signatures",
      ratio: round(medianRatio(theirs, ours)),
    };
  }
}

function bareChecks(): (signatures: Signatures) => void {
  const data = Buffer.alloc(700, 1);
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 };
  const check = (
    hash: string,
    { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject },
    options = {},
  ) => {
    const signature = sign(hash, data, { key: privateKey, ...options });
    return () => verify(hash, data, { key: publicKey, ...options }, signature);
  };
  const checks: Readonly<Record<Kind, () => boolean>> = {
    rsa4096: check("sha384", rsa(4096), pss),
    rsa2048: check("sha256", rsa(2048)),
    p384: check("sha384", ec("P-384")),
    p256: check("sha256", ec("P-256")),
  };
  return (signatures) => {
    for (const kind of ["rsa4096", "rsa2048", "p384", "p256"] as const)
      for (let i = 0; i < (signatures[kind] ?? 0); i += 1)
        if (!checks[kind]()) throw new Error("A signature of our own does not verify");
  };
}

function rsa(modulusLength: number) {
  return generateKeyPairSync("rsa", { modulusLength });
}

function ec(namedCurve: string) {
  return generateKeyPairSync("ec", { namedCurve });
}

function file(name: string): Buffer {
  return readFileSync(new URL(name, VECTORS));
}

function certificates(name: string): readonly Buffer[] {
  return decodePemChain(file(name).toString("latin1"), { maxCertificates: 8, what: name });
}

function samples(): readonly Sample[] {
  const options = { now: Date.UTC(2026, 5, 1), expected: null };
  const chain = certificates("snp/milan-ask-ark.pem");
  const report = file("snp/ms-milan-report.bin");
  const leaf = certificates("snp/ms-milan-vcek.pem");
  return [
    {
      name: "snp",
      evidence: { platform: "snp", report, chain: [...leaf, ...chain] },
      options,
      signatures: { rsa4096: 2, p384: 1 },
    },
    {
      name: "nitro",
      evidence: { platform: "nitro", document: file("nitro/prod-doc.cose") },
      options: { ...options, now: Date.UTC(2021, 2, 17, 22, 30) },
      signatures: { p384: 5 },
    },
    azureSample(chain),
    {
      name: "tdx",
      evidence: {
        platform: "tdx",
        quote: file("tdx/phala-quote-v4.dat"),
        collateral: parseTdxCollateral(file("tdx/phala-quote-v4-collateral.json")),
        eventLog: undefined,
      },
      options: { ...options, now: Date.UTC(2025, 5, 25) },
      // Quote, quoting enclave, the PCK chain, two documents with their issuers, two lists.
      signatures: { p256: 10 },
    },
  ];
}

function azureSample(chain: readonly Buffer[]): Sample {
  const {
    hcl_report: hclReport,
    tpm_quote: quote,
    vcek,
  } = JSON.parse(file("azure/snp-evidence-v1.json").toString());
  const values: readonly string[] = quote.pcrs;
  const pcrs = new Map(values.map((value, index) => [index, Buffer.from(value, "hex")]));
  const signature = {
    scheme: "rsassa",
    hash: "sha256",
    value: Buffer.from(quote.signature, "hex"),
  } as const;
  return {
    name: "az-snp",
    evidence: {
      platform: "az-snp",
      hclReport: Buffer.from(hclReport, "base64url"),
      chain: [Buffer.from(vcek, "base64url"), ...chain],
      vtpm: { quote: Buffer.from(quote.message, "hex"), signature, pcrs },
      eventLog: undefined,
      userspaceLog: undefined,
    },
    options: {
      now: Date.UTC(2026, 5, 1),
      expected: Buffer.from("challenge"),
      pcrs: { bank: "sha256", indices: [...pcrs.keys()] },
    },
    signatures: { rsa4096: 2, p384: 1, rsa2048: 1 },
  };
}
