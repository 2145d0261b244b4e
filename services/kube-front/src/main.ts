import { join } from "node:path";
import { readPrivateFile, runService } from "@redoubt/base";
import { DELIVERY_EVENTS, WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "./config.ts";
import { openKubeFront } from "./context.ts";
import { KUBE_FRONT_EVENTS } from "./events.ts";

// Whoever starts it names the service, which is also the name of its folder: one process for each cluster.
const [, , name = "kube-front"] = process.argv;

const EVENTS = { ...WIRE_EVENTS, ...DELIVERY_EVENTS, ...KUBE_FRONT_EVENTS };
await runService(name, EVENTS, ({ sink }) => {
  const config = parseConfig(readPrivateFile(join(name, "config.json")));
  return openKubeFront({ config, folder: name, root: "", service: name, sink });
});
