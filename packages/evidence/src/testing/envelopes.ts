import type { Evidence } from "../envelope/evidence.ts";
import { collateralJson, makeTdx } from "./tdx-evidence.ts";
import { makeAzureSnp, makeAzureTdx } from "./azure-evidence.ts";
import { makeNitroDocument } from "./nitro.ts";
import { makeSnp } from "./snp-evidence.ts";
import { encodeQuote, quoteParts, signAsTpm, syntheticAk } from "./tpm-evidence.ts";

export const TPM_PCRS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 11];
export const TPM_AK = syntheticAk("P-256", { name: "ecdsa", hash: "sha256" });

/** A quote over the PCRs that are demanded by default, and over `data`. */
export function makeTpmQuote(
  data: Uint8Array = Buffer.alloc(32, 0x42),
  pcrs: ReadonlyMap<number, Uint8Array> = new Map(
    TPM_PCRS.map((index) => [index, Buffer.alloc(32, index + 1)]),
  ),
) {
  const quote = encodeQuote(quoteParts(pcrs, "sha256", "sha256", data));
  return { quote, signature: signAsTpm(TPM_AK, quote), pcrs, akPublic: TPM_AK.publicArea };
}

/** The envelope of evidence as it travels. */
export function envelopeText(members: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ v: 1, ...members }, (_, value: unknown) =>
    isBytes(value) ? Buffer.from(value.data).toString("base64url") : value,
  );
}

function isBytes(value: unknown): value is { readonly data: number[] } {
  return (
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    value.type === "Buffer" &&
    "data" in value
  );
}

function quoteMembers({
  quote,
  signature,
  pcrs,
}: {
  quote: Uint8Array;
  signature: unknown;
  pcrs: ReadonlyMap<number, Uint8Array>;
}) {
  return { quote, signature, pcrs: Object.fromEntries(pcrs) };
}

/** Members of one envelope of each platform. */
export function sampleEnvelopes(): Readonly<
  Record<Evidence["platform"], Readonly<Record<string, unknown>>>
> {
  const { hclReport, chain, vtpm } = makeAzureSnp().evidence;
  const { akPublic, ...quote } = makeTpmQuote();
  const tdx = makeTdx();
  const azTdx = makeAzureTdx();
  const tpm = { ...quoteMembers(quote), akPublic };
  return {
    snp: { platform: "snp", ...makeSnp().evidence },
    nitro: { platform: "nitro", document: makeNitroDocument() },
    "az-snp": { platform: "az-snp", hclReport, chain, vtpm: quoteMembers(vtpm) },
    tdx: { platform: "tdx", quote: tdx.quote, collateral: collateralJson(tdx.collateral) },
    "az-tdx": {
      platform: "az-tdx",
      hclReport: azTdx.hclReport,
      quote: azTdx.quote,
      collateral: collateralJson(azTdx.collateral),
      vtpm: quoteMembers(azTdx.vtpm),
    },
    tpm2: { platform: "tpm2", tpm },
    swtpm: { platform: "swtpm", tpm },
    soft: { platform: "soft", tpm },
  };
}
