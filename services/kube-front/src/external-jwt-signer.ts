import { createPublicKey } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import { ask, SIGNER, type Requester } from "@redoubt/wire";
import type { SignedTokens } from "./signed-tokens.ts";

export interface SignJwtRequest {
  /** The payload's segment, exactly as it stands in the token. */
  readonly claims: string;
}

interface PublishedKeys {
  readonly keys: readonly { readonly key_id: string; readonly key: Buffer }[];
  readonly data_timestamp: { readonly seconds: number };
  readonly refresh_hint_seconds: number;
}

/** KEP-740: kube-apiserver exits if it is told less. */
const MIN_TOKEN_EXPIRATION_SECONDS = 600;

/** The three calls of external-jwt-signer.proto, asked of the signer. It decides; here only the form changes. */
export class ExternalJwtSigner {
  readonly #signer: Requester;
  readonly #tokens: Pick<SignedTokens, "sign">;

  constructor(signer: Requester, tokens: Pick<SignedTokens, "sign">) {
    this.#signer = signer;
    this.#tokens = tokens;
  }

  sign({
    claims,
  }: SignJwtRequest): Promise<{ readonly header: string; readonly signature: string }> {
    return this.#tokens.sign(claims);
  }

  /** No key is excluded from discovery: each may sign, or has signed, bound tokens. */
  async fetchKeys(): Promise<PublishedKeys> {
    const { keys, asOfSeconds, refreshHintSeconds } = await ask(this.#signer, SIGNER.fetchKeys, {});
    const times = keys.map(({ stateAt }) => stateAt);
    return {
      keys: keys.map(({ kid, jwk }) => ({
        key_id: kid,
        key: createPublicKey({ key: { ...jwk }, format: "jwk" }).export({
          type: "spki",
          format: "der",
        }),
      })),
      data_timestamp: { seconds: Math.max(asOfSeconds, ...times) },
      refresh_hint_seconds: refreshHintSeconds,
    };
  }

  async metadata(): Promise<{ readonly max_token_expiration_seconds: number }> {
    // The signer refuses `fetchKeys` while it knows no key. Until then it cannot say what lifetime its keys allow.
    await ask(this.#signer, SIGNER.fetchKeys, {});
    const { maxTtlSeconds } = await ask(this.#signer, SIGNER.metadata, {});
    if (maxTtlSeconds < MIN_TOKEN_EXPIRATION_SECONDS)
      throw new ServiceError(
        "ERR_FRONT_LIFETIME",
        `A key's maxLifetimeSeconds is under ${MIN_TOKEN_EXPIRATION_SECONDS}`,
      );
    return { max_token_expiration_seconds: maxTtlSeconds };
  }
}
