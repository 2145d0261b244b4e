import { readPrivateFile, runService } from "@redoubt/base";
import { WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "./config.ts";
import { openBroker } from "./context.ts";
import { BROKER_EVENTS } from "./events.ts";

await runService("broker", { ...WIRE_EVENTS, ...BROKER_EVENTS }, ({ clock, sink }) => {
  const config = parseConfig(readPrivateFile("broker/config.json"));
  return openBroker({ config, folder: "broker", root: "", service: "broker", clock, sink });
});
