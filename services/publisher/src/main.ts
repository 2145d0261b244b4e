import { readPrivateFile, runService } from "@redoubt/base";
import { HTTP_EVENTS } from "@redoubt/http";
import { parseConfig } from "./config.ts";
import { openPublisher } from "./context.ts";
import { PUBLISHER_EVENTS } from "./events.ts";

await runService("publisher", { ...HTTP_EVENTS, ...PUBLISHER_EVENTS }, ({ clock, sink }) => {
  const config = parseConfig(readPrivateFile("publisher/config.json"));
  return openPublisher({ config, folder: "publisher", root: "", clock, sink });
});
