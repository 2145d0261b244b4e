import { readPrivateFile, runService } from "@redoubt/base";
import { WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "./config.ts";
import { openLink } from "./context.ts";
import { LINK_EVENTS } from "./events.ts";

await runService("link", { ...WIRE_EVENTS, ...LINK_EVENTS }, ({ sink }) => {
  const config = parseConfig(readPrivateFile("link/config.json"));
  return openLink({ config, folder: "link", root: "", sink });
});
