import { dropAddons, readPrivateFile, runService } from "@redoubt/base";
import { WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "./config.ts";
import { openGateway } from "./context.ts";
import { GATEWAY_EVENTS } from "./events.ts";

// The launcher starts this process in the data folder and names the gateway's own folder in it.
const [service = "custody"] = process.argv.slice(2);

await runService(service, { ...WIRE_EVENTS, ...GATEWAY_EVENTS }, ({ clock, sink }) => {
  const config = parseConfig(readPrivateFile(`${service}/config.json`));
  return openGateway({
    config,
    folder: service,
    root: "",
    service,
    clock,
    sink,
    onCustodyLoaded: dropAddons,
  });
});
