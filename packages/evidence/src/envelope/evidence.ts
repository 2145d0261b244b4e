import type { AzureQuote } from "../azure/verify-azure.ts";
import type { TdxCollateral } from "../tdx/collateral.ts";

/** What evidence says that it is. Only hardware is ever called attested; `soft` and `swtpm` run the same path. */
export type Platform = "snp" | "tdx" | "az-snp" | "az-tdx" | "nitro" | TpmPlatform;

/** Who stands behind an attestation key of a TPM; enrolment decides it, never the evidence. */
export type TpmPlatform = "tpm2" | "swtpm" | "soft";

/** A quote with the public area of the key that signed it. */
export interface TpmQuoteEvidence extends AzureQuote {
  readonly signature: Uint8Array;
  /** TPMT_PUBLIC. */
  readonly akPublic: Uint8Array;
}

/** One machine's evidence, as it travels: parsed and bounded, nothing verified. */
export type Evidence =
  | { readonly platform: "snp"; readonly report: Buffer; readonly chain: readonly Buffer[] }
  | { readonly platform: "nitro"; readonly document: Buffer }
  | {
      readonly platform: "tdx";
      readonly quote: Buffer;
      readonly collateral: TdxCollateral;
      /** CCEL table. */
      readonly eventLog: Buffer | undefined;
    }
  | ({
      readonly platform: "az-tdx";
      readonly hclReport: Buffer;
      /** Of the TD, from the host; not the one of the virtual TPM. */
      readonly quote: Buffer;
      readonly collateral: TdxCollateral;
      readonly vtpm: AzureQuote;
    } & WithLog)
  | ({
      readonly platform: "az-snp";
      readonly hclReport: Buffer;
      readonly chain: readonly Buffer[];
      readonly vtpm: AzureQuote;
    } & WithLog)
  | ({ readonly platform: TpmPlatform; readonly tpm: TpmQuoteEvidence } & WithLog);

export interface WithLog {
  /** TCG event log of firmware and loader. */
  readonly eventLog: Buffer | undefined;
  /** What systemd measured later; only beside an event log. */
  readonly userspaceLog: Buffer | undefined;
}
