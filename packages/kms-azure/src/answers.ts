import type { KeyObject } from "node:crypto";
import { KeyError } from "@redoubt/keys";
import { readPublicKey, taggedAlgorithm, type AzureAlgorithm } from "./algorithm.ts";
import { unexpected } from "./failure.ts";
import { ALG_TAG, RING_TAG, idOfKid, type KeyVersionName } from "./names.ts";
import { isRecord } from "./sdk.ts";
import type { CheckedSettings } from "./settings.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A key as the vault has it. */
export interface VaultKey {
  readonly names: KeyVersionName;
  readonly alg: AzureAlgorithm;
  readonly publicKey: KeyObject;
  /** As the SDK gave it, for its client of this one key. */
  readonly sdkKey: unknown;
}

export function readFields(value: unknown): Fields {
  if (!isRecord(value)) throw unexpected("no object");
  return value;
}

/** @throws KeyError `ERR_KEY_UNKNOWN` for a key of somebody else in the same vault */
export function checkRing(tags: unknown, ring: string): Fields {
  if (!isOfRing(tags, ring)) throw new KeyError("ERR_KEY_UNKNOWN", "Key is none of this ring");
  return tags;
}

export function isOfRing(tags: unknown, ring: string): tags is Fields {
  return isRecord(tags) && tags[RING_TAG] === ring;
}

/** The `kid` of exactly this version in this vault. */
export function checkKid(origin: string, { id }: KeyVersionName, kid: unknown): void {
  if (idOfKid(origin, kid) !== id) throw unexpected("another key version than asked for");
}

/** What may sign: this version, made for one algorithm, held where it must be, and never to leave. */
export function readKey(
  names: KeyVersionName,
  answer: unknown,
  { origin, ring, isHardware }: CheckedSettings,
  nowMs: number,
): VaultKey {
  const { id, key, keyType, keyOperations, properties } = readFields(answer);
  checkKid(origin, names, id);
  const { tags, exportable, releasePolicy, ...rest } = readFields(properties);
  const alg = taggedAlgorithm(checkRing(tags, ring)[ALG_TAG]);
  const type = `${alg === "ES256" ? "EC" : "RSA"}${isHardware ? "-HSM" : ""}`;
  if (keyType !== type) throw refused(`Key is of type ${String(keyType)}, expected ${type}`);
  if (exportable === true || isRecord(releasePolicy)) throw refused("Key can be exported");
  // P1: a key that also decrypts or unwraps has a second use, and with it a second way in.
  if (
    !Array.isArray(keyOperations) ||
    keyOperations.some((use) => use !== "sign" && use !== "verify")
  )
    throw refused("Key has other uses than signing");
  const publicKey = readPublicKey(alg, readFields(key));
  checkUsable(rest, nowMs);
  return { names, alg, publicKey, sdkKey: answer };
}

function checkUsable({ enabled, notBefore, expiresOn }: Fields, nowMs: number): void {
  const isEarly = notBefore instanceof Date && notBefore.getTime() > nowMs;
  const isLate = expiresOn instanceof Date && expiresOn.getTime() <= nowMs;
  if (enabled !== true || isEarly || isLate)
    throw new KeyError("ERR_KEY_DISABLED", "Key is disabled, or outside its dates");
}

function refused(message: string): KeyError {
  return new KeyError("ERR_KEY_REFUSED", message);
}
