import { readPrivateFile, runService } from "@redoubt/base";
import { HTTP_EVENTS } from "@redoubt/http";
import { WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "./config.ts";
import { openPresence } from "./context.ts";
import { PRESENCE_EVENTS } from "./events.ts";

const EVENTS = { ...WIRE_EVENTS, ...HTTP_EVENTS, ...PRESENCE_EVENTS };

await runService("presence", EVENTS, ({ clock, sink }) => {
  const config = parseConfig(readPrivateFile("presence/config.json"));
  return openPresence({ config, folder: "presence", root: "", clock, sink });
});
