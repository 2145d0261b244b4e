import { systemClock } from "@redoubt/base";
import { EXIT, type CommandContext } from "../command.ts";
import { openPlace } from "../running.ts";
import { lockDataFolder } from "../up/data-folder.ts";
import { enableLeases } from "./enable-leases.ts";

/** Puts leases before the keys of a system of which nothing runs. */
export async function leasesEnable({ folder, terminal }: CommandContext): Promise<number> {
  openPlace(folder);
  // Held to the end: nothing starts with half of it.
  using _ = lockDataFolder(folder);
  const { settings } = openPlace(folder);
  const { log, realms } = await enableLeases(folder, settings, systemClock.now());
  terminal.result({
    json: { log, realms, attester: "soft", hardware: "none" },
    text: [
      `Keys of ${realms.join(" and ")} need a lease now, each use is checked by a custody gateway: redoubt up`,
      "The signers show a TPM in software: the path is whole, and it proves nothing about this machine.",
      "docs/guide/leases.md says how a real TPM takes its place.",
    ].join("\n"),
  });
  return EXIT.ok;
}
