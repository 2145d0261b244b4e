import { ServiceError } from "@redoubt/base";
import type { SignedRoot } from "@redoubt/keys";
import type { Operator } from "../operator.ts";
import { rootStatement } from "./root-statement.ts";

export interface Published {
  readonly index: number;
  /** False where the registry had it already: publishing again after a crash is no mistake. */
  readonly isNew: boolean;
}

/**
 * Records a root in the registry, and reads it back from there, proven.
 *
 * @throws ServiceError `ERR_REGISTRY_VOID` with the reason, and nothing is appended: too few signatures, another
 *   version than the next one, another ring than the registry's; `ERR_REGISTRY` if it is not there afterwards
 */
export async function publishRoot(operator: Operator, root: SignedRoot): Promise<Published> {
  const before = (await operator.readRegistry()).roots.find(({ hash }) => hash === root.hash);
  if (before) return { index: before.index, isNew: false };
  const index = await operator.state(rootStatement(root));
  const newest = operator.registry.roots.at(-1);
  if (newest?.hash !== root.hash || newest.index !== index)
    throw new ServiceError(
      "ERR_REGISTRY",
      `Registry took the root at ${index} for void: see redoubt alarms`,
    );
  return { index, isNew: true };
}
