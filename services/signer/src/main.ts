import { basename } from "node:path";
import { dropAddons, readPrivateFile, runService } from "@redoubt/base";
import { WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "./config.ts";
import { openSigner } from "./context.ts";
import { SIGNER_EVENTS } from "./events.ts";

// The launcher starts this process in the data folder and names the signer's own folder in it.
const [folder = "signer"] = process.argv.slice(2);
const service = basename(folder);

await runService(service, { ...WIRE_EVENTS, ...SIGNER_EVENTS }, async ({ clock, sink }) => {
  const config = parseConfig(readPrivateFile(`${folder}/config.json`));
  // ARCHITECTURE §7: once an HSM's module is loaded, no other native code may be.
  return await openSigner({
    config,
    folder,
    root: "",
    service,
    clock,
    sink,
    onCustodyLoaded: dropAddons,
  });
});
