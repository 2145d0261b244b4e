import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { errorCode, ServiceError, SHA256 } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import { ask, MONITOR, type Answered, type Requester } from "@redoubt/wire";

/** Numbers of distinct tokens that a gateway saw in use. */
export interface TapRow {
  readonly realm: string;
  /** Null where the tap does not say it. */
  readonly audience: string | null;
  readonly used: number;
  /** Reported by a verifier. */
  readonly seen: number;
}

export interface TapResult {
  /** Distinct tokens that the tap names. */
  readonly tokens: number;
  readonly rows: readonly TapRow[];
  /** Tokens that are in no log. */
  readonly unknown: number;
  /** Digests of the first 16 of those. */
  readonly unknownDigests: readonly string[];
}

interface Used {
  readonly digest: string;
  readonly audience: string | null;
}

type Found = Answered<typeof MONITOR.find>["items"][number];

const NOWHERE: Found = { realm: null, seen: false };
const BATCH = 1000;
const MAX_LINE = 4096;
const MAX_NAMED = 16;

/**
 * Asks the monitor what it knows of each token that a gateway saw.
 *
 * @throws ServiceError `ERR_TAP` for a file or a line that cannot be read
 */
export async function readTap(path: string, monitor: Requester): Promise<TapResult> {
  const tally = new Tally();
  const known = new Set<string>();
  let batch: Used[] = [];
  for await (const used of linesOf(path)) {
    if (known.has(used.digest)) continue;
    known.add(used.digest);
    batch.push(used);
    if (batch.length < BATCH) continue;
    tally.add(batch, await find(monitor, batch));
    batch = [];
  }
  if (batch.length > 0) tally.add(batch, await find(monitor, batch));
  return { tokens: known.size, ...tally.result() };
}

async function find(monitor: Requester, batch: readonly Used[]): Promise<readonly Found[]> {
  const digests = batch.map(({ digest }) => digest);
  return (await ask(monitor, MONITOR.find, { digests })).items;
}

class Tally {
  readonly #rows = new Map<string, { -readonly [Name in keyof TapRow]: TapRow[Name] }>();
  readonly #unknownDigests: string[] = [];
  #unknown = 0;

  /** `items`: what the monitor says of each. */
  add(batch: readonly Used[], items: readonly Found[]): void {
    for (const [i, { digest, audience }] of batch.entries()) {
      const { realm, seen } = items[i] ?? NOWHERE;
      if (realm === null) this.#noteUnknown(digest);
      else this.#count(realm, audience, seen);
    }
  }

  result(): Omit<TapResult, "tokens"> {
    const rows = [...this.#rows.values()].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    return { rows, unknown: this.#unknown, unknownDigests: this.#unknownDigests };
  }

  #noteUnknown(digest: string): void {
    this.#unknown += 1;
    if (this.#unknownDigests.length < MAX_NAMED) this.#unknownDigests.push(digest);
  }

  #count(realm: string, audience: string | null, isSeen: boolean): void {
    const key = JSON.stringify([realm, audience]);
    const row = this.#rows.get(key) ?? { realm, audience, used: 0, seen: 0 };
    row.used += 1;
    if (isSeen) row.seen += 1;
    this.#rows.set(key, row);
  }
}

function keyOf({ realm, audience }: TapRow): string {
  return `${realm} ${audience ?? ""}`;
}

async function* linesOf(path: string): AsyncGenerator<Used, void> {
  let number = 0;
  try {
    for await (const line of createInterface({ input: createReadStream(path, "utf8") })) {
      number += 1;
      if (line.trim() !== "") yield parseLine(line.trim(), number);
    }
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw new ServiceError("ERR_TAP", `${path} cannot be read (${errorCode(error)})`, {
      cause: error,
    });
  }
}

function parseLine(line: string, number: number): Used {
  try {
    if (line.length > MAX_LINE) throw new RangeError("too long");
    if (!line.startsWith("{")) return usedOf(line, null);
    const object = parseJsonObject(Buffer.from(line, "utf8"));
    const { digest, audience = null } = object;
    if (audience !== null && typeof audience !== "string") throw new TypeError("audience");
    return usedOf(digest, audience);
  } catch (cause) {
    throw new ServiceError(
      "ERR_TAP",
      `Line ${number} of the tap is neither a digest nor an object with one`,
      {
        cause,
      },
    );
  }
}

function usedOf(digest: unknown, audience: string | null): Used {
  if (typeof digest !== "string" || !SHA256.test(digest)) throw new TypeError("digest");
  return { digest, audience };
}
