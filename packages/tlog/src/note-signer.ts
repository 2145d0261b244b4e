import { createPublicKey, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { createVerifierKey, SIGNATURE_TYPE } from "./vkey.ts";
import type { SignatureType } from "./vkey.ts";

/** Holds a key that signs notes. The key itself may live elsewhere, for instance in an HSM. */
export interface NoteSigner {
  readonly name: string;
  readonly keyId: number;
  readonly type: SignatureType;
  /** The bare signature over the message, without time or key id. */
  sign(message: Uint8Array): Buffer;
}

/** Signs notes as such (type 0x01): the key of a log. */
export function ed25519Signer(name: string, privateKey: KeyObject): NoteSigner {
  return softwareSigner(name, SIGNATURE_TYPE.ed25519, privateKey);
}

/** Signs cosignatures (type 0x04): the key of a witness. C2SP tlog-cosignature: each cosigner has its own key. */
export function ed25519Cosigner(name: string, privateKey: KeyObject): NoteSigner {
  return softwareSigner(name, SIGNATURE_TYPE.cosignature, privateKey);
}

function softwareSigner(name: string, type: SignatureType, privateKey: KeyObject): NoteSigner {
  const { keyId } = createVerifierKey({ name, type, publicKey: createPublicKey(privateKey) });
  return { name, keyId, type, sign: (message) => sign(null, message, privateKey) };
}
