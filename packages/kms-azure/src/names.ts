import { KeyError } from "@redoubt/keys";

/** Tags of each key: whose it is, and the one algorithm that it signs with. */
export const RING_TAG = "redoubt-ring";
export const ALG_TAG = "redoubt-alg";

const NAME = /^[A-Za-z0-9-]{1,127}$/;
const KEY_ID = /^([A-Za-z0-9-]{1,127})\/([0-9a-f]{32})$/;

export interface KeyVersionName {
  /** `<name>/<version>`. */
  readonly id: string;
  readonly name: string;
  readonly version: string;
}

/** @throws KeyError `ERR_KEY_UNKNOWN` */
export function parseKeyId(id: string): KeyVersionName {
  const [, name, version] = KEY_ID.exec(id) ?? [];
  if (name === undefined || version === undefined)
    throw new KeyError("ERR_KEY_UNKNOWN", "Key id is malformed");
  return { id, name, version };
}

/** The id in a `kid` of this vault; undefined for any other. */
export function idOfKid(origin: string, kid: unknown): string | undefined {
  const prefix = `${origin}/keys/`;
  if (typeof kid !== "string" || !kid.startsWith(prefix)) return undefined;
  const id = kid.slice(prefix.length);
  return KEY_ID.test(id) ? id : undefined;
}

export function isKeyName(name: unknown): name is string {
  return typeof name === "string" && NAME.test(name);
}

/** Whether a key of this ring would be named so. */
export function isMadeName(name: string, ring: string): boolean {
  return name.startsWith(`${ring}-`) && /^[0-9a-f]{32}$/.test(name.slice(ring.length + 1));
}
