import { nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { encodeRoot, type RootDocument, type RootKey, type SignedRoot } from "@redoubt/registry";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { withOperator } from "../operator.ts";
import { readRootKey, refuseExisting, writeRootFile } from "./files.ts";
import { orRefused } from "./refused.ts";
import { delegations, type KnownRoots } from "./root-state.ts";
import { told } from "./root-text.ts";

export interface DraftOptions {
  readonly keys: readonly string[];
  readonly threshold: number;
  readonly expires: number;
  readonly out: string;
}

export function ceremonyDraft(context: CommandContext, options: DraftOptions): Promise<number> {
  return orRefused(context, async () => {
    const out = fileArgument(context, options.out);
    refuseExisting(out);
    const keys = options.keys.map((path) => readRootKey(fileArgument(context, path)));
    const now = nowSeconds(systemClock);
    const { threshold, expires: lifeSeconds } = options;
    const root = await withOperator(context, async (operator) =>
      draftRoot(await operator.readRegistry(), { keys, threshold, lifeSeconds, nowSeconds: now }),
    );
    writeRootFile(out, root);
    told(context, root, { now, file: out, next: signHint(root) });
    return EXIT.ok;
  });
}

function signHint({ document }: SignedRoot): string {
  const before = document.version > 1 ? `, and keys of version ${document.version - 1}` : "";
  return `Next: ${document.threshold} or more of its keys sign it${before}: redoubt keys ceremony sign`;
}

interface DraftInput {
  readonly keys: readonly RootKey[];
  readonly threshold: number;
  readonly lifeSeconds: number;
  readonly nowSeconds: number;
  /** Members in which the draft differs from the registry. */
  readonly change?: Partial<Pick<RootDocument, "operator" | "realms">>;
}

/**
 * A production root that nobody signed, for the realms and rings of the registry: version 1 where the registry has
 * none or a demo root (ARCHITECTURE §9: never a rotation from demo), else the version after the newest.
 *
 * @throws ServiceError `ERR_NO_REALMS`; KeyError `ERR_ROOT_MEMBER` for keys or a threshold that cannot be
 */
export function draftRoot(registry: KnownRoots, input: DraftInput): SignedRoot {
  const { keys, threshold, lifeSeconds, nowSeconds: made, change } = input;
  const newest = registry.roots.at(-1)?.document;
  const realms = delegations(registry);
  if (realms.length === 0)
    throw new ServiceError("ERR_NO_REALMS", "The registry has no realm that a root could delegate");
  const root = encodeRoot({
    kind: "production",
    version: newest?.kind === "production" ? newest.version + 1 : 1,
    threshold,
    keys,
    made,
    expires: made + lifeSeconds,
    realms,
    ...change,
  });
  return { ...root, signatures: [] };
}
