import { isGone } from "./answers.ts";
import { unexpected, type KmsCalls } from "./kms-calls.ts";
import { idOfVersion, RING_LABEL } from "./names.ts";
import { isRecord, type KmsMethod } from "./sdk.ts";
import type { CheckedSettings } from "./settings.ts";

const PAGE_SIZE = 100;
const MAX_PAGES = 100;
const MAX_TOKEN_LENGTH = 4096;

type Item = Readonly<Record<string, unknown>>;

/** Ids of all versions that are not destroyed, of all keys of the ring. One call for each key that there ever was. */
export async function listKeyVersions(
  calls: KmsCalls,
  { keyRing, ring }: Pick<CheckedSettings, "keyRing" | "ring">,
): Promise<readonly string[]> {
  const filter = `labels.${RING_LABEL}=${ring}`;
  const keys = await listAll(calls, "listCryptoKeys", { parent: keyRing, filter }, "cryptoKeys");
  const ids = [];
  for (const { name, labels } of keys) {
    // The filter is the service's; the label is what counts.
    if (!isRecord(labels) || labels[RING_LABEL] !== ring || typeof name !== "string") continue;
    if (!name.startsWith(`${keyRing}/cryptoKeys/`)) throw unexpected("a key of another key ring");
    for (const version of await listAll(
      calls,
      "listCryptoKeyVersions",
      { parent: name },
      "cryptoKeyVersions",
    )) {
      const id = idOfVersion(keyRing, name, version.name);
      if (id === undefined) throw unexpected("a version of another key");
      if (!isGone({ state: String(version.state) })) ids.push(id);
    }
  }
  return ids.toSorted();
}

async function listAll(
  calls: KmsCalls,
  method: KmsMethod,
  request: object,
  member: "cryptoKeys" | "cryptoKeyVersions",
): Promise<readonly Item[]> {
  const items: Item[] = [];
  let pageToken = "";
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await calls.call(
      method,
      { ...request, pageSize: PAGE_SIZE, pageToken },
      (read) => ({ found: readItems(read[member]), next: readToken(read.nextPageToken) }),
    );
    items.push(...answer.found);
    if (answer.next === "") return items;
    pageToken = answer.next;
  }
  throw unexpected(`a list of more than ${MAX_PAGES} pages`);
}

// The service keeps to the page size; more than that is not what it was asked for.
function readItems(value: unknown): readonly Item[] {
  if (!Array.isArray(value) || value.length > PAGE_SIZE) throw unexpected("no list");
  return value.map((item: unknown) => {
    if (!isRecord(item)) throw unexpected("no list");
    return item;
  });
}

function readToken(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string" || value.length > MAX_TOKEN_LENGTH)
    throw unexpected("a page token that is none");
  return value;
}
