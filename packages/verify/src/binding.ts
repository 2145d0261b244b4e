import { hash } from "node:crypto";
import { DPOP, type BindingPolicy, type Dpop, type DpopUse } from "./binding-options.ts";
import { confirmationOf } from "./confirmation.ts";
import type { JsonObject } from "./json.ts";
import { TokenError } from "./token-error.ts";
import { refuseUnknownMembers } from "./option-reader.ts";

/** The request that carries a DPoP proof. */
export interface DpopRequest {
  /** Every value of the `DPoP` header; undefined or empty where the request has none. */
  readonly proof: string | readonly string[] | undefined;
  readonly method: string;
  /** As the client sees it: behind a proxy the external URL, from configuration and not from the `Host` header. */
  readonly url: string;
}

/** What is known of who sent the token. */
export interface SenderContext {
  readonly dpop?: DpopRequest | undefined;
  /** DER, of the connection that brought the request; its handshake proved that the sender holds the key. */
  readonly clientCertificate?: Uint8Array | undefined;
}

/** Decides whether a good token comes from the sender that it is bound to. Asked again for each request. */
export class SenderCheck {
  readonly #dpop: Dpop | undefined;
  readonly #now: () => number;

  constructor({ dpop }: BindingPolicy, now: () => number) {
    this.#dpop = dpop;
    this.#now = now;
  }

  /**
   * As `checkAsync`, with a store that answers at once.
   *
   * @throws TokenError; TypeError if the store answers with anything but a boolean
   */
  check(token: string, payload: JsonObject, context: SenderContext | undefined): void {
    const use = this.#checkProofs(token, payload, context);
    if (use === undefined) return;
    const added = this.#add(use);
    // A promise is refused below. Nobody waits for it, and its rejection must not end the process.
    if (typeof added !== "boolean") Promise.resolve(added).catch(() => undefined);
    refuseReplay(added);
  }

  /** @throws TokenError */
  async checkAsync(
    token: string,
    payload: JsonObject,
    context: SenderContext | undefined,
  ): Promise<void> {
    const use = this.#checkProofs(token, payload, context);
    if (use === undefined) return;
    const adding = this.#add(use);
    refuseReplay(await Promise.resolve(adding).catch(refuseFailed));
  }

  /**
   * Everything but the replay store, which is asked last: a proof that was refused for another reason is not used up.
   */
  #checkProofs(
    token: string,
    payload: JsonObject,
    context: SenderContext = {},
  ): DpopUse | undefined {
    refuseUnknownMembers(context, ["dpop", "clientCertificate"], "context");
    const { jkt, x5tS256 } = confirmationOf(payload);
    if (x5tS256 !== undefined) checkCertificate(x5tS256, context.clientCertificate);
    const proof = oneProof(context.dpop);
    if (jkt === undefined) {
      // RFC 9449 §7.1: a proof is never ignored.
      if (proof === undefined) return undefined;
      throw new TokenError("ERR_BINDING_MISMATCH", "DPoP proof beside a token that has no key", {
        part: "jkt",
      });
    }
    if (
      proof === undefined ||
      // mutate: the proof came from there; the compiler does not know it.
      context.dpop === undefined ||
      // mutate: without it a token with jkt was refused before.
      this.#dpop === undefined
    )
      throw proofRefusal("missing", "Token needs a DPoP proof");
    const { method, url } = context.dpop;
    if (typeof method !== "string" || typeof url !== "string")
      throw new TypeError("context.dpop: expected method and url");
    const nowSeconds = Math.floor(this.#now() / 1000);
    return this.#dpop[DPOP](proof, { token, jkt, method, url, nowSeconds });
  }

  #add({ key, expiresAtSeconds }: DpopUse): boolean | Promise<boolean> | undefined {
    try {
      return this.#dpop?.replay.add(key, expiresAtSeconds);
    } catch (error) {
      return refuseFailed(error);
    }
  }
}

// RFC 9449 §4.3 check 1.
function oneProof(request: DpopRequest | undefined): string | undefined {
  if (request === undefined) return undefined;
  refuseUnknownMembers(request, ["proof", "method", "url"], "context.dpop");
  const { proof } = request;
  if (proof === undefined || typeof proof === "string") return proof;
  if (!Array.isArray(proof) || proof.some((value) => typeof value !== "string"))
    throw new TypeError("context.dpop.proof: expected a string or strings");
  if (proof.length > 1) throw proofRefusal("several", "More than one DPoP proof");
  return proof[0];
}

// RFC 8705 §3: every token with this member, and the certificate of the connection that brought it.
function checkCertificate(expected: string, certificate: Uint8Array | undefined): void {
  if (certificate !== undefined && !(certificate instanceof Uint8Array))
    throw new TypeError("context.clientCertificate: expected DER bytes");
  if (certificate === undefined || hash("sha256", certificate, "base64url") !== expected)
    throw new TokenError("ERR_BINDING_MISMATCH", "Token is bound to another client certificate", {
      part: "x5t#S256",
    });
}

function refuseReplay(added: unknown): void {
  if (typeof added !== "boolean")
    throw new TypeError(
      "dpop.replay: add() gave no boolean; a store that gives a promise needs verifyAsync()",
    );
  if (!added) throw new TokenError("ERR_DPOP_REPLAY", "DPoP proof was used before");
}

/** P7: without an answer of the store nobody knows whether a proof was used. */
function refuseFailed(cause: unknown): never {
  if (cause instanceof TokenError) throw cause;
  throw new TokenError("ERR_REPLAY_STORE", "Replay store failed", { part: "failed", cause });
}

function proofRefusal(part: string, message: string): TokenError {
  return new TokenError("ERR_DPOP_PROOF", message, { part });
}
