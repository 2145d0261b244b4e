import { readPrivateFile, runService } from "@redoubt/base";
import { HTTP_EVENTS } from "@redoubt/http";
import { WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "./config.ts";
import { openMonitor } from "./context.ts";
import { MONITOR_EVENTS } from "./events.ts";

const classes = { ...WIRE_EVENTS, ...HTTP_EVENTS, ...MONITOR_EVENTS };

await runService("monitor", classes, async (context) =>
  openMonitor({
    ...context,
    config: parseConfig(readPrivateFile("monitor/config.json")),
    folder: "monitor",
    root: "",
  }),
);
