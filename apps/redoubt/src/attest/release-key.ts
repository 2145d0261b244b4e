import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { type CommandContext, fileArgument, optionError } from "../command.ts";
import { readInput } from "../input.ts";

const MAX_KEY_BYTES = 16_384;

/** Public key of somebody who releases. */
export function readPublicKey(context: CommandContext, name: string): KeyObject {
  return readKey(context, name, { parse: createPublicKey, kind: "a public key of Ed25519 in PEM" });
}

export function readPrivateKey(context: CommandContext, name: string): KeyObject {
  return readKey(context, name, {
    parse: createPrivateKey,
    kind: "a private key of Ed25519 in PEM (openssl genpkey -algorithm ed25519)",
  });
}

function readKey(
  context: CommandContext,
  name: string,
  { parse, kind }: { readonly parse: (pem: Buffer) => KeyObject; readonly kind: string },
): KeyObject {
  const pem = readInput(fileArgument(context, name), MAX_KEY_BYTES);
  const key = parseOrUndefined(() => parse(pem));
  if (key?.asymmetricKeyType !== "ed25519") throw optionError(`${name} is not ${kind}`);
  return key;
}

function parseOrUndefined(parse: () => KeyObject): KeyObject | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
