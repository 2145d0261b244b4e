import { readPrivateFile, runService } from "@redoubt/base";
import { parseConfig } from "./config.ts";
import { openLedger } from "./context.ts";

await runService("ledger", async (context) =>
  openLedger({
    ...context,
    config: parseConfig(readPrivateFile("ledger/config.json")),
    folder: "ledger",
    root: "",
  }),
);
