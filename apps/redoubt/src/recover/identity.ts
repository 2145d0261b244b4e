import { join } from "node:path";
import type { Pinned } from "@redoubt/registry";
import { initialiseRegistryKey } from "@redoubt/ledger/initialise";
import { initialiseKey } from "@redoubt/monitor/initialise";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import { EXIT, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import { REGISTRY_LOG, servicesOf } from "../layout.ts";
import { openPlace } from "../running.ts";
import { extentOf, realmNames, writeSettings, type Settings } from "../settings.ts";
import { lockDataFolder } from "../up/data-folder.ts";
import { readPins, rememberPin, type Pin } from "./pins.ts";
import { changeConfig, readConfig } from "./service-config.ts";

export interface IdentityOptions {
  readonly reason: string;
  /** The next key is there: an earlier attempt made it. */
  readonly prepared?: boolean;
  readonly yes?: boolean;
}

/** A key that was made and is not in use yet; `commit` writes it into the configuration of the process that owns it. */
interface NextKey {
  readonly key: string;
  readonly commit: () => void;
}

const WHO: Readonly<Record<Pinned, string>> = {
  witness: "the witness, which cosigns every log",
  registry: "the registry log",
  ack: "acknowledgements of reports",
  events: "webhook signatures (v1a)",
};
const MUST_KNOW: Readonly<Record<Pinned, string>> = {
  witness: "Whoever verifies the published logs from outside must pin it.",
  registry: "Whoever verifies the published registry from outside must pin it.",
  ack: "Every reporter must pin it (`ackKey`): until then its reports count as lost there.",
  events: "Receivers of webhooks that check the v1a signature must know it.",
};

/**
 * Puts another key in place of one that configurations pin, while nothing runs. Each step can be done again, and the
 * configuration of the process that owns the key comes last: after a crash in between, the same command goes on.
 */
export async function recoverIdentity(
  context: CommandContext,
  what: Pinned,
  { reason, yes, prepared: isPrepared = false }: IdentityOptions,
): Promise<number> {
  const { folder, terminal } = context;
  const { settings } = openPlace(folder);
  // Held to the end: nothing starts with half of it.
  using _ = lockDataFolder(folder);
  terminal.notice(
    `Another key for ${WHO[what]}. ${MUST_KNOW[what]} What the one before signed stays; what it signs from the next start on counts for nothing here.`,
  );
  await confirm(context, "Replacing this key", yes);
  const { key, commit } =
    what === "registry"
      ? nextRegistryKey(folder, settings, isPrepared)
      : nextMonitorKey(folder, what, isPrepared);
  const before = beforeOf(readPins(folder), what, key) ?? pinnedBefore(settings, what);
  const pin: Pin = { type: "pinned-key", what, key, ...(before && { before }), reason };
  rememberPin(folder, pin);
  pinEverywhere(folder, settings, pin);
  commit();
  terminal.result({
    json: { what, key, before: before ?? null, reason },
    text: [
      `The key of ${WHO[what]} is`,
      `  ${key}`,
      ...(before === undefined ? [] : ["in place of", `  ${before}`]),
      "Now start Redoubt: it says so in the registry, and the monitor raises key-replaced.",
    ].join("\n"),
  });
  return EXIT.ok;
}

function nextRegistryKey(folder: string, settings: Settings, isPrepared: boolean): NextKey {
  const { registryKeys } = readConfig(folder, "ledger");
  const keys = Array.isArray(registryKeys) ? registryKeys : [settings.registryKey];
  const which = { number: keys.length + 1, isPrepared };
  const key = initialiseRegistryKey(join(folder, "ledger"), REGISTRY_LOG, which);
  const commit = (): void =>
    changeConfig(folder, "ledger", (config) => ({ ...config, registryKeys: [key, ...keys] }));
  return { key, commit };
}

function nextMonitorKey(
  folder: string,
  what: Exclude<Pinned, "registry">,
  isPrepared: boolean,
): NextKey {
  const { keyNumbers } = readConfig(folder, "monitor");
  const numbers = isJsonObject(keyNumbers) ? keyNumbers : {};
  const number = Number(numbers[what] ?? 1) + 1;
  const key = initialiseKey(join(folder, "monitor"), what, { number, isPrepared });
  const commit = (): void =>
    changeConfig(folder, "monitor", (config) => ({
      ...config,
      keyNumbers: { ...numbers, [what]: number },
    }));
  return { key, commit };
}

/** The key before, from remembered pins: after a crash in between, the settings may have the new key already. */
function beforeOf(pins: readonly Pin[], what: Pinned, key: string): string | undefined {
  const own = pins.filter((pin) => pin.what === what);
  const earlier = own.find((pin) => pin.key === key);
  return earlier ? earlier.before : own.at(-1)?.key;
}

function pinnedBefore(settings: Settings, what: Pinned): string | undefined {
  const { witness, registryKey, ack } = settings;
  return { witness, registry: registryKey, ack, events: undefined }[what];
}

function pinEverywhere(folder: string, settings: Settings, { what, key }: Pin): void {
  if (what === "witness")
    changeConfig(folder, "ledger", (config) => withMember(config, "witness", { vkey: key }));
  if (what === "witness")
    for (const realm of realmNames(settings))
      changeConfig(folder, `signer-${realm}`, (config) => ({ ...config, witness: key }));
  if (what === "registry")
    for (const service of servicesOf(extentOf(settings)))
      changeConfig(folder, service, (config) => withRegistryKey(config, key));
  const named = { witness: { witness: key }, registry: { registryKey: key }, ack: { ack: key } };
  if (what !== "events") writeSettings(folder, { ...settings, ...named[what] });
}

/** The ledger, which keeps the log, only names it; a front and the approval page know nothing of it. */
function withRegistryKey(config: JsonObject, key: string): JsonObject {
  return isJsonObject(config["registry"]) ? withMember(config, "registry", { vkey: key }) : config;
}

function withMember(config: JsonObject, name: string, change: JsonObject): JsonObject {
  const member = config[name];
  return { ...config, [name]: { ...(isJsonObject(member) ? member : {}), ...change } };
}
