import { ServiceError } from "@redoubt/base";
import { combineRoots, type SignedRoot } from "@redoubt/registry";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { withOperator, type Operator } from "../operator.ts";
import { readSettings, withKeys, writeSettings } from "../settings.ts";
import { readRootFile } from "./files.ts";
import { orRefused } from "./refused.ts";
import { delegations, rootStatement } from "./root-state.ts";
import { PRESENCE, PRESENCE_TEXT, rootJson } from "./root-text.ts";

/** Combines the signatures of copies that were signed apart, and publishes the root. */
export function ceremonyPublish(
  context: CommandContext,
  names: readonly string[],
): Promise<number> {
  return orRefused(context, async () => {
    const [first, ...others] = names.map((name) => readRootFile(fileArgument(context, name)));
    if (!first) throw new ServiceError("ERR_OPTION", "Name the file of the signed root");
    const root = combineRoots(first, ...others);
    const { index, isNew } = await withOperator(context, (operator) => publishRoot(operator, root));
    const { kind, version } = root.document;
    context.terminal.result({
      json: { published: isNew, index, ...rootJson(root), ...PRESENCE },
      text: [
        isNew
          ? `The registry has ${kind} root ${version} as entry ${index}`
          : `The registry has had ${kind} root ${version} as entry ${index} before`,
        `hash ${root.hash}`,
        PRESENCE_TEXT,
        "Note the hash where no attacker can change it: verifiers pin it.",
      ].join("\n"),
    });
    return EXIT.ok;
  });
}

interface Published {
  readonly index: number;
  /** False where the registry had it already, as after a crash: to publish again is no mistake. */
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
  if (before) {
    keepRings(operator);
    return { index: before.index, isNew: false };
  }
  const index = await operator.state(rootStatement(root));
  const newest = operator.registry.roots.at(-1);
  if (newest?.hash !== root.hash || newest.index !== index)
    throw new ServiceError(
      "ERR_REGISTRY",
      `Registry took the root at ${index} for void: see redoubt alarms`,
    );
  keepRings(operator);
  return { index, isNew: true };
}

/** Writes the ring keys of the newest root into the settings, where the commands here pin them. */
function keepRings({ folder, registry }: Operator): void {
  let settings = readSettings(folder);
  for (const { realm, ring } of delegations(registry))
    settings = withKeys(settings, realm, { ring });
  writeSettings(folder, settings);
}
