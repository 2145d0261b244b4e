import { join } from "node:path";
import { readPrivateFile, runService } from "@redoubt/base";
import { parseConfig } from "./config.ts";
import { openIssuer } from "./context.ts";

// The supervisor names the service, which is also the name of its folder: one process for each realm.
const [, , name = "issuer"] = process.argv;

await runService(name, ({ clock, log }) => {
  const config = parseConfig(readPrivateFile(join(name, "config.json")));
  return openIssuer({ config, folder: name, root: "", clock, log });
});
