import { createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { canonicalBytes, MemberReader, ServiceError } from "@redoubt/base";
import { Base64urlError, decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { KeyError } from "@redoubt/keys";
import { parseRootForm, ROOT_KEY_NAME, type RootKey } from "./root-document.ts";
import { encodeRootPublicKey, parseRootPublicKey } from "./root-public-key.ts";

const PROOF_CONTEXT = "redoubt/root-key/v1\n";
export const MAX_ROOT_KEY_BYTES = 1024;

/** The public half as a document, with a signature that proves that whoever wrote it had the private half. */
export function encodeRootKey(name: string, privateKey: KeyObject): Buffer {
  const publicKey = encodeRootPublicKey(createPublicKey(privateKey));
  const proof = sign(null, provenBytes({ name, alg: "Ed25519", publicKey }), privateKey);
  return canonicalBytes({ v: 1, name, alg: "Ed25519", publicKey, proof: encodeBase64url(proof) });
}

/** @throws KeyError `ERR_ROOT_FORM`, `ERR_ROOT_MEMBER`, `ERR_KEY_ALG`, `ERR_ROOT_SIGNATURE` without its proof */
export function parseRootKey(bytes: Uint8Array): RootKey {
  try {
    const reader = new MemberReader(parseRootForm(bytes, MAX_ROOT_KEY_BYTES), "root key");
    reader.integer("v", 1, 1);
    const name = reader.string("name", 32, ROOT_KEY_NAME);
    const alg = reader.oneOf("alg", ["Ed25519"]);
    const publicKey = reader.string("publicKey", 64);
    const proof = decodeBase64url(reader.string("proof", 128), { bytes: 64 });
    reader.done();
    const key = { name, alg, publicKey };
    if (!verify(null, provenBytes(key), parseRootPublicKey(publicKey), proof))
      throw new KeyError(
        "ERR_ROOT_SIGNATURE",
        `Root key ${name} is not signed by its private half`,
      );
    return key;
  } catch (cause) {
    if (!(cause instanceof ServiceError) && !(cause instanceof Base64urlError)) throw cause;
    throw new KeyError("ERR_ROOT_MEMBER", cause.message, { cause });
  }
}

function provenBytes({ name, alg, publicKey }: RootKey): Buffer {
  return Buffer.concat([
    Buffer.from(PROOF_CONTEXT, "utf8"),
    canonicalBytes({ v: 1, name, alg, publicKey }),
  ]);
}
