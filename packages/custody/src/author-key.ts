import { privateFileExists } from "@redoubt/base";
import type { VerifierKey } from "@redoubt/tlog";
import { KeyError } from "@redoubt/keys";
import { nextKeyFile, openKeyFile, type KeyPair } from "./key-file.ts";

/** The ring's or operator's key that counts now, and those that counted before it. */
export interface Authorship {
  readonly current: VerifierKey;
  readonly former: readonly VerifierKey[];
}

/** The file of the first key is `path`; those of the keys that roots named after it are numbered: `ring-2.key`. */
function numbered(path: string, number: number): string {
  return number === 1 ? path : path.replace(/\.key$/, `-${number}.key`);
}

/** @throws KeyError `ERR_KEY_FILE` where there is none, or another key than the registry's; as `openKeyFile` */
export function openAuthorKey(path: string, { current, former }: Authorship): KeyPair {
  const file = numbered(path, former.length + 1);
  if (!privateFileExists(file)) throw new KeyError("ERR_KEY_FILE", `${file} is missing`);
  const pair = openKeyFile(file);
  if (!pair.publicKey.equals(current.publicKey))
    throw new KeyError("ERR_KEY_FILE", `${file} is another key than the registry names`);
  return pair;
}

/**
 * The key that is to be the next one: a new one, or, where `isPrepared` says so, the one that an earlier attempt made.
 *
 * @throws as `nextKeyFile`
 */
export function nextAuthorKey(
  path: string,
  { former }: Pick<Authorship, "former">,
  isPrepared = false,
): KeyPair {
  return nextKeyFile(numbered(path, former.length + 2), isPrepared);
}
