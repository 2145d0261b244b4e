import { basename } from "node:path";
import { readPrivateFile, runService } from "@redoubt/base";
import { parseConfig } from "./config.ts";
import { openSigner } from "./context.ts";

// The launcher starts this process in the data folder and names the signer's own folder in it.
const [folder = "signer"] = process.argv.slice(2);
const service = basename(folder);

await runService(service, ({ clock, log }) => {
  const config = parseConfig(readPrivateFile(`${folder}/config.json`));
  return openSigner({ config, folder, root: "", service, clock, log });
});
