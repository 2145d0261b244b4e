import { join } from "node:path";
import { readPrivateFile, runService, Secret } from "@redoubt/base";
import { HTTP_EVENTS } from "@redoubt/http";
import { WIRE_EVENTS } from "@redoubt/wire";
import { parseConfig } from "./config.ts";
import { openIssuer } from "./context.ts";
import { ISSUER_EVENTS } from "./events.ts";

// The supervisor names the service, which is also the name of its folder: one process for each realm.
const [, , name = "issuer"] = process.argv;

const classes = { ...WIRE_EVENTS, ...HTTP_EVENTS, ...ISSUER_EVENTS };

const DATABASE = "REDOUBT_DATABASE_URL";
const url = process.env[DATABASE];
// It holds a password, and reports of Node on a process show its environment.
// eslint-disable-next-line typescript/no-dynamic-delete -- as above
delete process.env[DATABASE];
const database = url === undefined ? {} : { database: new Secret(url) };

await runService(name, classes, ({ clock, sink }) => {
  const config = parseConfig(readPrivateFile(join(name, "config.json")));
  return openIssuer({ config, folder: name, root: "", clock, sink, ...database });
});
