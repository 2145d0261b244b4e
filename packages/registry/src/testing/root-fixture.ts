import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { encodeRoot, type RootDocument, type RootKey, type RootRealm } from "../root-document.ts";
import { encodeRootKey, parseRootKey } from "../root-key.ts";
import { ROOT_CONTEXT, signRoot, type SignedRoot } from "../root-signature.ts";
import type { StatementBody } from "../statement-types.ts";
import { encodeSignedRoot } from "../root-signature.ts";
import { NamedKey, NOW } from "./registry-fixture.ts";

/** Somebody who holds a root key. */
export class RootHolder {
  readonly privateKey: KeyObject = generateKeyPairSync("ed25519").privateKey;
  readonly key: RootKey;

  constructor(name: string) {
    this.key = parseRootKey(encodeRootKey(name, this.privateKey));
  }
}

export const YEAR = 365 * 86_400;
export const REALM_RINGS: readonly RootRealm[] = ["consumer", "enterprise"].map((realm) => ({
  realm,
  ring: new NamedKey(`ring/${realm}`).vkey,
}));

/** A 2-of-n production root that nobody signed, changed in one place or more. */
export function rootOf(
  holders: readonly RootHolder[],
  change: Partial<RootDocument> = {},
): SignedRoot {
  const document: RootDocument = {
    kind: "production",
    version: 1,
    threshold: 2,
    keys: holders.map(({ key }) => key),
    made: NOW,
    expires: NOW + YEAR,
    realms: REALM_RINGS,
    ...change,
  };
  return { ...encodeRoot(document), signatures: [] };
}

export function signedBy(root: SignedRoot, ...holders: readonly RootHolder[]): SignedRoot {
  return holders.reduce((signed, { privateKey }) => signRoot(signed, privateKey), root);
}

/** A signature line made without asking `signRoot`. */
export function lineOf(
  { bytes }: SignedRoot,
  { key, privateKey }: RootHolder,
  context = ROOT_CONTEXT,
) {
  const sig = sign(null, Buffer.concat([Buffer.from(context), bytes]), privateKey);
  return { key: key.publicKey, sig: encodeBase64url(sig) };
}

export function rootStatement(root: SignedRoot): StatementBody & { readonly type: "root" } {
  const { kind, version } = root.document;
  const text = encodeBase64url(encodeSignedRoot(root));
  return { type: "root", kind, version, hash: root.hash, root: text };
}
