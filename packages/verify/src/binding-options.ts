import type { ReplayStore } from "./replay-store.ts";

/** Nonces of this service (RFC 9449 §9); on `ERR_DPOP_NONCE` the answer carries `current()` as `DPoP-Nonce`. */
export interface DpopNonces {
  /** True for a nonce that this service gave out and still takes. */
  check(nonce: string): boolean;
  current(): string;
}

/** How DPoP proofs are checked. */
export interface DpopPolicy {
  readonly replay: ReplayStore;
  /** How old a proof may be; default 300, at most 600. */
  readonly maxAgeSeconds?: number;
  /** How far ahead the client's clock may be; default 5, at most 60. */
  readonly maxAheadSeconds?: number;
  /** If given, each proof holds a nonce that `check` takes. */
  readonly nonce?: DpopNonces;
}

/** Which bindings this service can check. Tokens with another one are refused. */
export interface BindingOptions {
  /** RFC 9449. */
  readonly dpop?: DpopPolicy;
  /** RFC 8705 §3; the TLS layer proved that the sender holds the key of the certificate. */
  readonly mtls?: boolean;
  /** Refuses bearer tokens. Default false. */
  readonly required?: boolean;
}

/** Binding options after every check. */
export interface BindingPolicy {
  readonly dpop: CheckedDpopPolicy | undefined;
  readonly mtls: boolean;
  readonly required: boolean;
}

export interface CheckedDpopPolicy {
  readonly replay: ReplayStore;
  readonly maxAgeSeconds: number;
  readonly maxAheadSeconds: number;
  readonly nonce: DpopNonces | undefined;
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
  return { dpop: dpop === undefined ? undefined : checkDpop(dpop), mtls, required };
}

function checkDpop(dpop: DpopPolicy): CheckedDpopPolicy {
  const where = "binding.dpop";
  refuseUnknownMembers(dpop, ["replay", "maxAgeSeconds", "maxAheadSeconds", "nonce"], where);
  const { replay, nonce, maxAgeSeconds = 300, maxAheadSeconds = 5 } = dpop;
  if (typeof replay?.add !== "function") throw new TypeError(`${where}.replay: not a replay store`);
  if (
    nonce !== undefined &&
    (typeof nonce?.check !== "function" || typeof nonce.current !== "function")
  )
    throw new TypeError(`${where}.nonce: expected { check, current }`);
  requireInteger(`${where}.maxAgeSeconds`, maxAgeSeconds, 1, 600);
  requireInteger(`${where}.maxAheadSeconds`, maxAheadSeconds, 0, 60);
  return { replay, maxAgeSeconds, maxAheadSeconds, nonce };
}

export function refuseUnknownMembers(value: object, names: readonly string[], where: string): void {
  if (typeof value !== "object" || value === null) throw new TypeError(`${where}: not an object`);
  for (const name of Object.keys(value))
    if (!names.includes(name)) throw new TypeError(`${where}: unknown member ${name}`);
}

function requireInteger(name: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw new TypeError(`${name}: expected an integer from ${min} to ${max}`);
}
