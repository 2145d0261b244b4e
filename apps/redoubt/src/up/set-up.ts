import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { canonicalBytes, Secret, writeDurable } from "@redoubt/base";
import { makeDemo, writeDemo } from "../demo.ts";
import { CALLERS, portsFrom, SERVICES } from "../layout.ts";
import { writeSettings } from "../settings.ts";
import { writeRealms } from "../realms.ts";
import { copyCompileCache } from "./compile-cache.ts";
import { makeConfigs } from "./configs.ts";
import { makeIdentities } from "./identities.ts";

/** Fills a fresh data folder for one machine: identities, sockets, configurations, demo clients. */
export async function setUp(folder: string, basePort: number, now: Date): Promise<void> {
  makeFolders(folder);
  copyCompileCache(folder);
  const ids = await makeIdentities(folder, now);
  for (const [service, config] of makeConfigs(ids, portsFrom(basePort)))
    writeDurable(join(folder, service, "config.json"), canonicalBytes(config));
  writeDemo(folder, makeDemo());
  writeRealms(folder, ids.realms);
  // Last: a folder with settings is complete.
  writeSettings(folder, {
    port: basePort,
    operator: ids.operator,
    registryKey: ids.registryKey,
    witness: ids.witness,
    ack: ids.ack,
    rings: { consumer: ids.realms.consumer.ring, enterprise: ids.realms.enterprise.ring },
  });
}

function makeFolders(folder: string): void {
  mkdirSync(join(folder, "up"), { mode: 0o700 });
  for (const service of SERVICES) {
    mkdirSync(join(folder, service), { mode: 0o700 });
    mkdirSync(join(folder, service, "s"), { mode: 0o700 });
    for (const caller of CALLERS[service]) {
      mkdirSync(join(folder, service, "s", caller), { mode: 0o700 });
      const secret = new Secret(randomBytes(32).toString("base64url"));
      writeDurable(join(folder, service, "s", caller, "secret"), secret.reveal());
    }
  }
  // The permission model takes a path for a folder only if it is one when the process starts.
  mkdirSync(join(folder, "ledger", "published"), { mode: 0o700 });
}
