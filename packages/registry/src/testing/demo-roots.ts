import { generateKeyPairSync } from "node:crypto";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { encodeRoot, type RootDocument } from "../root-document.ts";
import { encodeRootKey, parseRootKey } from "../root-key.ts";
import { encodeSignedRoot, signRoot } from "../root-signature.ts";
import type { RootStatement, StatementBody } from "../statement-types.ts";

/** A chain of demo roots, each signed by its one key. */
export class DemoRoots {
  readonly #key = generateKeyPairSync("ed25519").privateKey;
  #version = 0;

  /** The next version. */
  next(
    madeSeconds: number,
    says: Pick<RootDocument, "realms" | "operator">,
  ): StatementBody<RootStatement> {
    this.#version += 1;
    const document = encodeRoot({
      kind: "demo",
      version: this.#version,
      threshold: 1,
      keys: [parseRootKey(encodeRootKey("demo", this.#key))],
      made: madeSeconds,
      expires: madeSeconds + 365 * 86_400,
      ...says,
    });
    const { kind, version } = document.document;
    const root = encodeSignedRoot(signRoot({ ...document, signatures: [] }, this.#key));
    return { type: "root", kind, version, hash: document.hash, root: encodeBase64url(root) };
  }
}
