import { ServiceError } from "@redoubt/base";
import { encodeRoot, type RootDocument, type RootKey, type SignedRoot } from "@redoubt/registry";
import { delegations, type KnownRoots } from "./root-state.ts";

export interface DraftInput {
  readonly keys: readonly RootKey[];
  readonly threshold: number;
  readonly lifeSeconds: number;
  readonly nowSeconds: number;
  /** What it says otherwise than the registry. */
  readonly change?: Partial<Pick<RootDocument, "operator" | "realms">>;
}

/**
 * A production root that nobody signed, for the realms and rings of the registry: version 1 where the registry has
 * none or a demo root (ARCHITECTURE §9: never a rotation from demo), else the version after the newest.
 *
 * @throws ServiceError `ERR_NO_REALMS`; KeyError `ERR_ROOT_MEMBER` for keys or a threshold that cannot be
 */
export function draftRoot(registry: KnownRoots, input: DraftInput): SignedRoot {
  const { keys, threshold, lifeSeconds, nowSeconds, change } = input;
  const newest = registry.roots.at(-1)?.document;
  const realms = delegations(registry);
  if (realms.length === 0)
    throw new ServiceError("ERR_NO_REALMS", "The registry has no realm that a root could delegate");
  const root = encodeRoot({
    kind: "production",
    version: newest?.kind === "production" ? newest.version + 1 : 1,
    threshold,
    keys,
    made: nowSeconds,
    expires: nowSeconds + lifeSeconds,
    realms,
    ...change,
  });
  return { ...root, signatures: [] };
}
