import { join } from "node:path";
import { canonicalBytes, MemberReader, readPrivateFile, writeDurable } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import type { Realm } from "./layout.ts";

/** What the commands need to know of a data folder: ports, and the keys that they hold answers against. */
export interface Settings {
  readonly port: number;
  readonly operator: string;
  readonly registryKey: string;
  readonly witness: string;
  readonly ack: string;
  readonly rings: Readonly<Record<Realm, string>>;
}

export const SETTINGS_FILE = "up/settings.json";

export function writeSettings(folder: string, settings: Settings): void {
  const { rings, ...rest } = settings;
  writeDurable(join(folder, SETTINGS_FILE), canonicalBytes({ v: 1, ...rest, rings: { ...rings } }));
}

export function readSettings(folder: string): Settings {
  const reader = new MemberReader(
    parseJsonObject(readPrivateFile(join(folder, SETTINGS_FILE))),
    "settings",
  );
  reader.integer("v", 1, 1);
  const rings = reader.object("rings");
  const settings = {
    port: reader.integer("port", 1024, 65_530),
    operator: reader.string("operator"),
    registryKey: reader.string("registryKey"),
    witness: reader.string("witness"),
    ack: reader.string("ack"),
    rings: { consumer: rings.string("consumer"), enterprise: rings.string("enterprise") },
  };
  rings.done();
  reader.done();
  return settings;
}
