import { readPrivateFile, runService } from "@redoubt/base";
import { parseConfig } from "./config.ts";
import { openPublisher } from "./context.ts";

await runService("publisher", ({ clock, log }) => {
  const config = parseConfig(readPrivateFile("publisher/config.json"));
  return openPublisher({ config, folder: "publisher", root: "", clock, log });
});
