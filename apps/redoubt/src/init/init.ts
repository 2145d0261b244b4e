import { join } from "node:path";
import { ServiceError, systemClock } from "@redoubt/base";
import { EXIT, type CommandContext } from "../command.ts";
import { makeDemo } from "../demo.ts";
import { REALMS } from "../layout.ts";
import { basePort, DEFAULT_PORT } from "../place.ts";
import { createDataFolder, isMissingOrEmpty } from "../up/data-folder.ts";
import { setUp, type Plan } from "../up/set-up.ts";
import { chooseAddresses, loopbackAddresses, type AddressOptions } from "./addresses.ts";
import { chooseCustody, PLAIN_FILES, type CustodyOptions } from "./custody.ts";

export interface InitOptions extends AddressOptions, CustodyOptions {
  readonly port?: string;
}

/** For trying: everything on loopback, keys in sealed files. */
export function loopbackPlan(port: number): Plan {
  return { port, ...loopbackAddresses(port), custody: PLAIN_FILES, demo: makeDemo() };
}

/** Makes a data folder that is whole, or none: what is chosen here stands in it for ever. */
export async function createSystem(folder: string, plan: Plan): Promise<void> {
  await createDataFolder(folder, (temporary) =>
    setUp(temporary, plan, new Date(systemClock.now())),
  );
}

/** Makes a data folder and starts nothing. */
export async function init(
  context: CommandContext,
  { port: text, issuer, rpId, ...custody }: InitOptions,
): Promise<number> {
  const { folder, terminal } = context;
  if (!isMissingOrEmpty(folder))
    throw new ServiceError(
      "ERR_DATA_FOLDER",
      `${folder} is not empty, and what init chooses cannot be changed: name another with --data`,
    );
  const port = basePort(text, process.env) ?? DEFAULT_PORT;
  const addresses = chooseAddresses({ ...(issuer && { issuer }), ...(rpId && { rpId }) }, port);
  const plan: Plan = {
    port,
    ...addresses,
    custody: chooseCustody(context, custody),
    demo: makeDemo(),
  };
  await createSystem(folder, plan);
  terminal.result({
    json: { data: folder, port, rpId: plan.rpId, reports: plan.reports, realms: plan.realms },
    text: [
      `Made ${folder}. Nothing runs yet.`,
      "",
      ...REALMS.flatMap((realm) => [
        `  ${realm.padEnd(11)} ${plan.realms[realm].issuer}`,
        `  ${"".padEnd(11)} ${plan.realms[realm].tokenEndpoint}`,
      ]),
      `  ${"reports".padEnd(11)} ${plan.reports}`,
      `  ${"people".padEnd(11)} RP ID ${plan.rpId}`,
      "",
      "These stand for ever: issuers are part of every key. Wrong? Remove the folder and run init again, now.",
      `Next: redoubt up${folder === join(context.typedIn, ".redoubt") ? "" : ` --data ${folder}`}`,
    ].join("\n"),
  });
  return EXIT.ok;
}
