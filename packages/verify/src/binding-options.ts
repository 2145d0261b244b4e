import type { ReplayStore } from "./replay-store.ts";
import { refuseUnknownMembers } from "./option-reader.ts";

/** What a DPoP proof must fit. */
export interface DpopExpectation {
  /** The access token as it was sent: the proof's `ath` is its hash. */
  readonly token: string;
  /** The thumbprint in the token's `cnf`: the key that must have made the proof. */
  readonly jkt: string;
  readonly method: string;
  readonly url: string;
  readonly nowSeconds: number;
}

/** A good proof, as a replay store knows it; see `ReplayStore.add`. */
export interface DpopUse {
  readonly key: string;
  readonly expiresAtSeconds: number;
}

/** Marks what `dpop()` returns, so that no other object can be passed off as a check of proofs. */
export const DPOP: unique symbol = Symbol("dpop");

/** Checks DPoP proofs; `dpop()` makes it. */
export interface Dpop {
  readonly [DPOP]: (proof: string, expected: DpopExpectation) => DpopUse;
  readonly replay: ReplayStore;
}

/** Which bindings this service can check. Tokens with another one are refused. */
export interface BindingOptions {
  /** RFC 9449: what `dpop()` returns. */
  readonly dpop?: Dpop;
  /**
   * RFC 8705 §3: tokens bound to a client certificate are taken. That the sender holds its key, the TLS layer proves.
   */
  readonly mtls?: boolean;
  /** Refuses bearer tokens. Default false. */
  readonly required?: boolean;
}

/** Binding options after every check. */
export interface BindingPolicy {
  readonly dpop: Dpop | undefined;
  readonly mtls: boolean;
  readonly required: boolean;
}

const OFF: BindingPolicy = { dpop: undefined, mtls: false, required: false };

/** @throws TypeError for an unknown member, one out of range, or an object that switches nothing on */
export function checkBindingOptions(binding: "off" | BindingOptions = "off"): BindingPolicy {
  if (binding === "off") return OFF;
  refuseUnknownMembers(binding, ["dpop", "mtls", "required"], "binding");
  const { dpop, mtls = false, required = false } = binding;
  if (typeof mtls !== "boolean") throw new TypeError("binding.mtls: not a boolean");
  if (typeof required !== "boolean") throw new TypeError("binding.required: not a boolean");
  if (dpop === undefined && !mtls) throw new TypeError('binding: expected dpop, mtls, or "off"');
  if (dpop !== undefined && dpop?.[DPOP] === undefined)
    throw new TypeError("binding.dpop: expected what dpop({ replay }) returns");
  return { dpop, mtls, required };
}
