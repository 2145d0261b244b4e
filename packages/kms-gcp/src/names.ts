import { KeyError } from "@redoubt/keys";

/** The label whose value is the ring that a key belongs to. */
export const RING_LABEL = "redoubt-ring";

const KEY_ID = /^([A-Za-z0-9_-]{1,63})\/([1-9][0-9]{0,9})$/;

export interface KeyVersionName {
  /** `<key>/<version>`, within the key ring. */
  readonly id: string;
  /** Whole names, as the service has them. */
  readonly key: string;
  readonly version: string;
}

export function keyOfVersion(keyRing: string, key: string, version: string): KeyVersionName {
  const name = `${keyRing}/cryptoKeys/${key}`;
  return { id: `${key}/${version}`, key: name, version: `${name}/cryptoKeyVersions/${version}` };
}

/** @throws KeyError `ERR_KEY_UNKNOWN` */
export function parseKeyId(keyRing: string, id: string): KeyVersionName {
  const [, key, version] = KEY_ID.exec(id) ?? [];
  if (key === undefined || version === undefined)
    throw new KeyError("ERR_KEY_UNKNOWN", "Key id is malformed");
  return keyOfVersion(keyRing, key, version);
}

/** The id of a version by its whole name; undefined for a name outside this key. */
export function idOfVersion(keyRing: string, key: string, name: unknown): string | undefined {
  const prefix = `${key}/cryptoKeyVersions/`;
  if (typeof name !== "string" || !name.startsWith(prefix)) return undefined;
  const id = `${key.slice(`${keyRing}/cryptoKeys/`.length)}/${name.slice(prefix.length)}`;
  return KEY_ID.test(id) ? id : undefined;
}
