import { join } from "node:path";
import { initialiseLink, type LinkAlgorithm } from "@redoubt/link";
import { EXIT, type CommandContext } from "../command.ts";

export interface LinkInitOptions {
  readonly name: string;
  readonly alg: LinkAlgorithm;
}

/** Makes the key and the certificate of this machine's link, or finds them, and says the pin by which peers know it. */
export async function linkInit(
  { folder, terminal }: CommandContext,
  { name, alg }: LinkInitOptions,
): Promise<number> {
  const own = join(folder, "link");
  const { pin, isNew } = initialiseLink(own, { name, algorithm: alg });
  const files = { key: join(own, `${name}.key`), certificate: join(own, `${name}.pem`) };
  const what = isNew ? "Made" : "Kept, because it was there already:";
  terminal.result({
    json: { pin, isNew, ...files },
    text: `${what} ${files.key}\nPin, for the configuration of the peers: ${pin}`,
  });
  return EXIT.ok;
}
