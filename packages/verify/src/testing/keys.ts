import { createPrivateKey, createPublicKey, constants, sign, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { encodeBase64url } from "../base64url.ts";
import type { PublicJwk, KeyAlgorithm } from "../public-key.ts";

/** A published test key of vectors/verifier/keys.json. */
export interface TestKey {
  readonly name: string;
  readonly alg: KeyAlgorithm;
  readonly privateKey: KeyObject;
  readonly publicJwk: PublicJwk;
}

interface KeyFile {
  readonly keys: readonly {
    readonly name: string;
    readonly alg: KeyAlgorithm;
    readonly privateJwk: Readonly<Record<string, string>>;
  }[];
}

export const VECTORS: URL = new URL("../../../../vectors/verifier/", import.meta.url);

let cache: ReadonlyMap<string, TestKey> | undefined;

export function testKey(name: string): TestKey {
  cache ??= loadKeys();
  const key = cache.get(name);
  if (key === undefined) throw new RangeError(`No test key ${name}`);
  return key;
}

function loadKeys(): ReadonlyMap<string, TestKey> {
  const file: KeyFile = JSON.parse(readFileSync(new URL("keys.json", VECTORS), "utf8"));
  return new Map(
    file.keys.map(({ name, alg, privateJwk }) => {
      const privateKey = createPrivateKey({ key: privateJwk, format: "jwk" });
      return [name, { name, alg, privateKey, publicJwk: publicJwkOf(privateJwk) }];
    }),
  );
}

function publicJwkOf({ kty, x = "", y = "", n = "" }: Readonly<Record<string, string>>): PublicJwk {
  if (kty === "EC") return { kty, crv: "P-256", x, y };
  if (kty === "OKP") return { kty, crv: "Ed25519", x };
  return { kty: "RSA", n, e: "AQAB" };
}

/** Signs as the algorithm says; RFC 7518 §3 encodings. */
export function signWith(key: TestKey, data: string | Uint8Array, alg = key.alg): Buffer {
  const bytes = Buffer.from(data);
  const { privateKey } = key;
  switch (alg) {
    case "ES256":
      return sign("sha256", bytes, { key: privateKey, dsaEncoding: "ieee-p1363" });
    case "Ed25519":
      return sign(null, bytes, privateKey);
    case "RS256":
      return sign("sha256", bytes, privateKey);
    case "PS256":
      return signPss(key, bytes, "sha256", 32);
    default:
      throw new RangeError(`No algorithm ${String(alg)}`);
  }
}

export function signPss(key: TestKey, data: Uint8Array, hash: string, saltLength: number): Buffer {
  const { privateKey } = key;
  return sign(hash, data, {
    key: privateKey,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength,
  });
}

export function publicPem(key: TestKey): string {
  return createPublicKey(key.privateKey).export({ type: "spki", format: "pem" }).toString();
}

/** The bare Ed25519 public key, as a ring or acknowledgement key is pinned. */
export function pinOf(key: TestKey): string {
  return "x" in key.publicJwk ? key.publicJwk.x : "";
}

/** A signature over a text with its context, as rings and monitors make them. */
export function signText(key: TestKey, text: string | Uint8Array): string {
  return encodeBase64url(signWith(key, text));
}
