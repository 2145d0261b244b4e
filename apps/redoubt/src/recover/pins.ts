import { join } from "node:path";
import {
  canonicalBytes,
  MemberReader,
  privateFileExists,
  readPrivateFile,
  writeDurable,
} from "@redoubt/base";
import { PINNED, type PinnedKeyStatement, type StatementBody } from "@redoubt/registry";
import { isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import type { Operator } from "../operator.ts";

export type Pin = StatementBody<PinnedKeyStatement>;

/** Keys that were replaced while nothing ran. `redoubt up` says in the registry those that it does not know yet. */
const PINS_FILE = "up/pins.json";
const MAX_PINS = 1000;

export function rememberPin(folder: string, pin: Pin): void {
  const others = readPins(folder).filter(({ key }) => key !== pin.key);
  const pins = [...others, pin].map((one) => ({ ...one }));
  writeDurable(join(folder, PINS_FILE), canonicalBytes({ v: 1, pins }));
}

export function readPins(folder: string): readonly Pin[] {
  const path = join(folder, PINS_FILE);
  if (!privateFileExists(path)) return [];
  const file = new MemberReader(parseJsonObject(readPrivateFile(path)), "pins");
  return file.array("pins", MAX_PINS).map((value) => {
    const reader = new MemberReader(isJsonObject(value) ? value : {}, "pin");
    const before = reader.optionalString("before", 512);
    return {
      type: reader.oneOf("type", ["pinned-key"]),
      what: reader.oneOf("what", PINNED),
      key: reader.string("key", 512),
      ...(before !== undefined && { before }),
      reason: reader.string("reason", 256),
    };
  });
}

/** Says in the registry which keys were replaced while nothing ran. */
export async function statePins(operator: Operator): Promise<void> {
  const { pinnedKeys } = await operator.readRegistry();
  for (const pin of readPins(operator.folder))
    if (!pinnedKeys.some(({ key }) => key === pin.key)) await operator.state(pin);
}
