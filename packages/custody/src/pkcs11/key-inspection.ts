import { randomBytes, type KeyObject } from "node:crypto";
import { publicJwk, type SignatureAlgorithm } from "@redoubt/keys";
import { KeyError } from "@redoubt/keys";
import { verifies } from "@redoubt/keys";
import { attributeProblem } from "./attributes.ts";
import type { Cryptoki, Handle } from "./cryptoki.ts";
import { findKey } from "./objects.ts";
import { readPublicKey } from "./public-half.ts";

/** A key as the token holds it now. */
export interface InspectedKey {
  /** Hex of CKA_ID. */
  readonly id: string;
  readonly alg: SignatureAlgorithm;
  readonly publicKey: KeyObject;
  readonly publicJwk: Readonly<Record<string, string>>;
  readonly handle: Handle;
}

const ID = /^[0-9a-f]{32}$/;

export function parseKeyId(id: string): Buffer {
  if (!ID.test(id)) throw new KeyError("ERR_KEY_UNKNOWN", "Key id is malformed");
  return Buffer.from(id, "hex");
}

/**
 * @returns undefined where there is no such key
 * @throws KeyError `ERR_KEY_REFUSED` that names the key and what is wrong with it
 */
export function inspectKey(
  cryptoki: Cryptoki,
  session: Handle,
  id: string,
): InspectedKey | undefined {
  const objects = findKey(cryptoki, session, parseKeyId(id));
  if (!objects) return undefined;
  const { alg, privateKey } = objects;
  const problem = attributeProblem(cryptoki, session, privateKey, alg);
  if (problem !== undefined) throw keyRefused(id, problem);
  const publicKey = readPublicKey(cryptoki, session, objects.publicKey, alg);
  if (!publicKey) throw keyRefused(id, `its public half is no key for ${alg}`);
  return { id, alg, publicKey, publicJwk: publicJwk(publicKey), handle: privateKey };
}

/**
 * Checks that both halves belong together. Whoever knows the PIN can put another public key beside a private one; it would
 * be registered as ours, while its private half is somewhere else (THREAT-27).
 *
 * @throws KeyError `ERR_KEY_REFUSED` where they do not; what `sign` throws
 */
export async function checkPair(
  { id, alg, publicKey }: InspectedKey,
  sign: (input: Uint8Array) => Buffer | Promise<Buffer>,
): Promise<void> {
  // The line break keeps this signature from passing for that of a JWS, whose signing input has none.
  const challenge = Buffer.concat([Buffer.from("redoubt/key-pair\n"), randomBytes(32)]);
  if (!verifies(alg, publicKey, challenge, await sign(challenge)))
    throw keyRefused(id, "its halves are no pair");
}

export function keyRefused(id: string, reason: string): KeyError {
  return new KeyError("ERR_KEY_REFUSED", `Key ${id} is refused: ${reason}`);
}

export function keyUnknown(): KeyError {
  return new KeyError("ERR_KEY_UNKNOWN", "Custody holds no key with this id");
}
