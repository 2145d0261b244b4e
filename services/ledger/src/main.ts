import { readPrivateFile, runService } from "@redoubt/base";
import { WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "./config.ts";
import { openLedger } from "./context.ts";
import { LEDGER_EVENTS } from "./events.ts";

await runService("ledger", { ...WIRE_EVENTS, ...LEDGER_EVENTS }, async (context) =>
  openLedger({
    ...context,
    config: parseConfig(readPrivateFile("ledger/config.json")),
    folder: "ledger",
    root: "",
  }),
);
