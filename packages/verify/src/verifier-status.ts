import type { TokenAlgorithm } from "./public-key.ts";
import type { TokenErrorCode } from "./token-error.ts";
import type { TrustReader, TrustSourceStatus } from "./trust-source.ts";
import type { VerifierPolicy } from "./verifier-options.ts";

/** What a verifier trusts and what it saw since it was made. */
export interface VerifierStatus {
  readonly isClosed: boolean;
  /** With `off`, nobody notices tokens that nobody issued. */
  readonly issuance: "audit" | "off";
  readonly keys: readonly KeyStatus[];
  readonly sources: readonly TrustSourceStatus[];
  readonly accepted: number;
  readonly refused: Readonly<Partial<Record<TokenErrorCode, number>>>;
  readonly cache: { readonly size: number; readonly max: number; readonly hits: number };
}

export interface KeyStatus {
  readonly kid: string;
  readonly alg: TokenAlgorithm;
  readonly realm: string;
  readonly issuer: string;
  readonly signFrom: number;
  readonly verifyUntil: number;
  readonly isFresh: boolean;
}

interface VerifierFacts {
  readonly trust: TrustReader;
  readonly policy: VerifierPolicy;
  readonly accepted: number;
  readonly cacheHits: number;
  readonly cacheSize: number;
  readonly refused: ReadonlyMap<TokenErrorCode, number>;
  readonly isClosed: boolean;
}

export function describeVerifier(facts: VerifierFacts): VerifierStatus {
  const { trust, policy } = facts;
  const nowMs = policy.now();
  return {
    isClosed: facts.isClosed,
    issuance: policy.reporter === undefined ? "off" : "audit",
    keys: [...trust.keys.values()].flat().map((key) => {
      const { kid, alg, realm, issuer, signFrom, verifyUntil } = key.scope;
      return { kid, alg, realm, issuer, signFrom, verifyUntil, isFresh: key.isFresh(nowMs) };
    }),
    sources: trust.sources(),
    accepted: facts.accepted,
    refused: Object.fromEntries(facts.refused),
    cache: { size: facts.cacheSize, max: policy.cacheMax, hits: facts.cacheHits },
  };
}
