import type { KeyInfo } from "@redoubt/registry";
import { optionError } from "../command.ts";

/** Characters. A shorter beginning would soon fit several keys, or the wrong one. */
export const MIN_PREFIX = 6;
const NAME = /^[\w-]{6,43}$/;
const LISTED = 10;

/**
 * The key with this kid, or the only one whose kid begins so.
 *
 * @throws ServiceError `ERR_OPTION` for a name of no key or of several
 */
export function findKey(keys: ReadonlyMap<string, KeyInfo>, named: string): KeyInfo {
  if (!NAME.test(named))
    throw optionError(
      `A kid is named by its first ${MIN_PREFIX} characters at least, or by all 43`,
    );
  const exact = keys.get(named);
  if (exact) return exact;
  const found = [...keys.values()].filter(({ kid }) => kid.startsWith(named));
  const [only] = found;
  if (!only) throw optionError(`No key begins with ${named}: see redoubt keys list --all`);
  if (found.length === 1) return only;
  const more = found.length > LISTED ? ` and ${found.length - LISTED} more` : "";
  const names = found
    .slice(0, LISTED)
    .map(({ realm, state, kid }) => `${kid} (${realm}, ${state})`);
  throw optionError(`${named} begins several kids: ${names.join(", ")}${more}`);
}
