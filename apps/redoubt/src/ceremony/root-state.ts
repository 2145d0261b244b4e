import {
  encodeSignedRoot,
  type Registry,
  type RootRealm,
  type RootStatement,
  type SignedRoot,
} from "@redoubt/registry";
import { encodeVerifierKey } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { span } from "../table.ts";

/** What a ceremony needs to know of a registry. */
export type KnownRoots = Pick<Registry, "realms" | "roots">;

const WARN_SECONDS = 30 * 86_400;

/** The label for roots (ARCHITECTURE §9); undefined where the registry has no root. */
export function rootsLabel(registry: KnownRoots): string | undefined {
  const kind = registry.roots.at(-1)?.document.kind;
  return kind === undefined ? undefined : `roots: ${kind}`;
}

/** Replaces the label for roots that a service took from its configuration by the one that the registry proves. */
export function withRootsLabel(labels: readonly string[], registry: KnownRoots): readonly string[] {
  const label = rootsLabel(registry);
  if (label === undefined) return labels;
  return [...labels.filter((other) => !other.startsWith("roots: ")), label];
}

/** Each realm with its ring key. A root that says anything else of them is void to the registry. */
export function delegations({ realms }: KnownRoots): readonly RootRealm[] {
  return [...realms.values()].map(({ realm, ring }) => ({ realm, ring: encodeVerifierKey(ring) }));
}

/** Reasons to call the holders of the root keys together, as lines for a person; empty if there are none. */
export function rootConcerns(registry: KnownRoots, now: number): readonly string[] {
  const newest = registry.roots.at(-1);
  if (!newest)
    return ["The registry has no root: redoubt keys ceremony --help shows how to make one"];
  const { version, expires, realms } = newest.document;
  const left = expires - now;
  const concerns: string[] = [];
  if (left <= 0)
    concerns.push(`Root ${version} expired ${span(-left)} ago: publish the next version`);
  else if (left < WARN_SECONDS)
    concerns.push(`Root ${version} expires in ${span(left)}: publish the next version before`);
  for (const realm of registry.realms.keys())
    if (!realms.some((delegated) => delegated.realm === realm))
      concerns.push(
        `Root ${version} does not delegate realm ${realm}: publish a version that does`,
      );
  return concerns;
}

/** docs/spec/logs.md §4. */
export function rootStatement(root: SignedRoot): Omit<RootStatement, "at" | "nonce"> {
  const { kind, version } = root.document;
  const text = encodeBase64url(encodeSignedRoot(root));
  return { type: "root", kind, version, hash: root.hash, root: text };
}
