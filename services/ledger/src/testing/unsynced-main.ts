import { readPrivateFile, runService } from "@redoubt/base";
import { WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "../config.ts";
import { openLedger } from "../context.ts";
import { LEDGER_EVENTS } from "../events.ts";
import { openDatabase } from "../store.ts";

// THREAT-05: the process as it must not be. The test that looks for the sync before each acknowledgement has to
// fail on this one, or it proves nothing.
await runService("ledger", { ...WIRE_EVENTS, ...LEDGER_EVENTS }, async (context) =>
  openLedger({
    ...context,
    config: parseConfig(readPrivateFile("ledger/config.json")),
    folder: "ledger",
    root: "",
    openDatabase: (path) => {
      const database = openDatabase(path);
      database.exec("pragma synchronous=OFF");
      return database;
    },
  }),
);
