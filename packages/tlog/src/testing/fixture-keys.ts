import { createPrivateKey, createPublicKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { ed25519Cosigner, ed25519Signer } from "../note-signer.ts";
import type { NoteSigner } from "../note-signer.ts";
import { createVerifierKey, SIGNATURE_TYPE } from "../vkey.ts";
import type { VerifierKey } from "../vkey.ts";

/** An Ed25519 key whose seed is one byte, 32 times: for tests and vectors only. */
export function ed25519Key(seed: number): KeyObject {
  // RFC 8410 §7: what stands before the seed.
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  const der = Buffer.concat([prefix, Buffer.alloc(32, seed)]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

export interface TestKey {
  readonly signer: NoteSigner;
  readonly verifier: VerifierKey;
}

export function logKey(name: string, seed: number): TestKey {
  const privateKey = ed25519Key(seed);
  const type = SIGNATURE_TYPE.ed25519;
  const verifier = createVerifierKey({ name, type, publicKey: createPublicKey(privateKey) });
  return { signer: ed25519Signer(name, privateKey), verifier };
}

export function witnessKey(name: string, seed: number): TestKey {
  const privateKey = ed25519Key(seed);
  const type = SIGNATURE_TYPE.cosignature;
  const verifier = createVerifierKey({ name, type, publicKey: createPublicKey(privateKey) });
  return { signer: ed25519Cosigner(name, privateKey), verifier };
}
