import { readPrivateFile, runService } from "@redoubt/base";
import { parseConfig } from "./config.ts";
import { openMonitor } from "./context.ts";

await runService("monitor", async (context) =>
  openMonitor({
    ...context,
    config: parseConfig(readPrivateFile("monitor/config.json")),
    folder: "monitor",
    root: "",
  }),
);
