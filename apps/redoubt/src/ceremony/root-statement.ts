import { encodeSignedRoot, type RootStatement, type SignedRoot } from "@redoubt/registry";
import { encodeBase64url } from "@redoubt/verify/base64url";

/** docs/spec/logs.md §4. */
export function rootStatement(root: SignedRoot): Omit<RootStatement, "at" | "nonce"> {
  const { kind, version } = root.document;
  const text = encodeBase64url(encodeSignedRoot(root));
  return { type: "root", kind, version, hash: root.hash, root: text };
}
