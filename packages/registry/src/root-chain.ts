import { KeyError } from "@redoubt/keys";
import type { Root, RootKind } from "./root-document.ts";
import { verifyRootThreshold, type SignedRoot } from "./root-signature.ts";

/** TUF §5.3.3: how many versions are read must have a bound. */
const MAX_CHAIN = 1024;

export interface RootChainOptions {
  /** Hash of the document that the chain must begin with. The caller got it by another way, and trusts it. */
  readonly pin: string;
  /** What every document of the chain must be. */
  readonly kind: RootKind;
  readonly nowSeconds: number;
  /** The newest root that was trusted before. Without it, an older root that has not expired passes for new (THREAT-30). */
  readonly seen?: { readonly version: number; readonly hash: string };
}

/**
 * The newest root of a chain: the pinned document, then each next version (docs/spec/trust-data.md §1).
 *
 * @throws KeyError `ERR_ROOT_PIN`, `ERR_ROOT_KIND`, `ERR_ROOT_VERSION`, `ERR_ROOT_FORK`, `ERR_ROOT_THRESHOLD`,
 *   `ERR_ROOT_SIGNATURE`, `ERR_ROOT_EXPIRED`; `ERR_ROOT_FORM` for a chain that is too long
 */
export function verifyRootChain(
  chain: readonly SignedRoot[],
  { pin, kind, nowSeconds, seen }: RootChainOptions,
): SignedRoot {
  const [first, ...others] = chain;
  if (!first || chain.length > MAX_CHAIN)
    throw new KeyError(
      "ERR_ROOT_FORM",
      `Chain of ${chain.length}: expected 1 to ${MAX_CHAIN} roots`,
    );
  if (first.hash !== pin)
    throw new KeyError("ERR_ROOT_PIN", "Chain does not begin with the pinned root");
  checkKind(first, kind);
  verifyRootThreshold(first, first.document);
  let newest = first;
  for (const next of others) {
    verifyNextRoot(newest, next);
    newest = next;
  }
  if (seen) checkSeen(chain, newest, seen);
  // TUF §5.3.10: only the newest must not have expired, or nobody could catch up.
  checkRootLife(newest, nowSeconds);
  return newest;
}

/**
 * TUF §5.3.4 and §5.3.5: version n + 1, signed by a threshold of n and by a threshold of its own.
 *
 * @throws KeyError as `verifyRootChain`
 */
export function verifyNextRoot(before: Root, next: SignedRoot): void {
  // ARCHITECTURE §9: a demo root is never followed by a production root, whoever signs that.
  checkKind(next, before.document.kind);
  checkNextVersion(before, next);
  verifyRootThreshold(next, before.document);
  verifyRootThreshold(next, next.document);
}

function checkNextVersion(before: Root, next: Root): void {
  const expected = before.document.version + 1;
  const { version, made } = next.document;
  if (version === before.document.version && next.hash !== before.hash)
    throw new KeyError("ERR_ROOT_FORK", `There are two documents of root version ${version}`);
  if (version !== expected)
    throw new KeyError("ERR_ROOT_VERSION", `Root has version ${version}, expected ${expected}`);
  if (made < before.document.made)
    throw new KeyError(
      "ERR_ROOT_VERSION",
      `Root ${version} was made before version ${version - 1}`,
    );
}

/** @throws KeyError `ERR_ROOT_EXPIRED` */
export function checkRootLife({ document }: Root, nowSeconds: number): void {
  const { version, expires } = document;
  if (nowSeconds >= expires)
    throw new KeyError("ERR_ROOT_EXPIRED", `Root ${version} expired at ${expires}`);
}

function checkKind({ document }: Root, expected: RootKind): void {
  if (document.kind !== expected)
    throw new KeyError("ERR_ROOT_KIND", `Root is a ${document.kind} root, expected ${expected}`);
}

// THREAT-10: an old chain that is replayed has the right signatures; it only lacks the roots that came after.
function checkSeen(
  chain: readonly Root[],
  newest: Root,
  { version, hash }: { readonly version: number; readonly hash: string },
): void {
  if (newest.document.version < version)
    throw new KeyError(
      "ERR_ROOT_VERSION",
      `Chain ends with root ${newest.document.version}, version ${version} was seen before`,
    );
  const same = chain.find(({ document }) => document.version === version);
  if (same && same.hash !== hash)
    throw new KeyError("ERR_ROOT_FORK", `There are two documents of root version ${version}`);
}
