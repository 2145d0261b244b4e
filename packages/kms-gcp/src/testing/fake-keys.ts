import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import {
  derOf,
  ecdsaOfDigest,
  pkcs1OfDigest,
  pssOfDigest,
} from "@redoubt/custody/testing/sign-digest";

/** A key version as the fake service keeps it; the private key is a real one. */
export interface FakeVersion {
  readonly name: string;
  readonly algorithm: string;
  readonly protectionLevel: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  state: string;
  importJob: string;
  /** Times that it is looked at before it is generated. */
  pendingLooks: number;
}

export interface FakeKey {
  readonly name: string;
  readonly purpose: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly versions: FakeVersion[];
}

export function fakeVersion(
  name: string,
  algorithm: string,
  protectionLevel: string,
  pendingLooks: number,
): FakeVersion {
  const state = pendingLooks > 0 ? "PENDING_GENERATION" : "ENABLED";
  const importJob = "";
  return {
    name,
    algorithm,
    protectionLevel,
    ...keyPair(algorithm),
    state,
    importJob,
    pendingLooks,
  };
}

function keyPair(algorithm: string): { privateKey: KeyObject; publicKey: KeyObject } {
  if (algorithm === "EC_SIGN_P256_SHA256")
    return generateKeyPairSync("ec", { namedCurve: "P-256" });
  if (algorithm === "EC_SIGN_P384_SHA384")
    return generateKeyPairSync("ec", { namedCurve: "P-384" });
  if (algorithm === "EC_SIGN_ED25519") return generateKeyPairSync("ed25519");
  const modulusLength = Number(/_(2048|3072|4096)_SHA256$/.exec(algorithm)?.[1]);
  return generateKeyPairSync("rsa", { modulusLength, publicExponent: 65_537 });
}

/** Signs a digest, or the data where the algorithm takes no digest; in the form that the service answers. */
export function fakeSignature({ algorithm, privateKey }: FakeVersion, signed: Uint8Array): Buffer {
  if (algorithm === "EC_SIGN_ED25519") return sign(null, signed, privateKey);
  if (algorithm === "EC_SIGN_P256_SHA256") return derOf(ecdsaOfDigest(signed, privateKey));
  if (algorithm.startsWith("RSA_SIGN_PKCS1_")) return pkcs1OfDigest(signed, privateKey);
  return pssOfDigest(signed, privateKey);
}
