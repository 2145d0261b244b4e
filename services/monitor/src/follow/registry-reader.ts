import { CompactRange, encodeVerifierKey } from "@redoubt/tlog";
import {
  registryEntry,
  type BodyReadStatement,
  type PinnedKeyStatement,
  type Registry,
  type RegistryItem,
} from "@redoubt/registry";
import type { FollowStore } from "./follow-store.ts";
import type { RegistryCopy } from "./registry-copy.ts";
import { readItems, type UnverifiedItems } from "./unverified-pages.ts";
import { LogReader, type LogPages, type LogReaderParts } from "./log-reader.ts";

export interface RegistryParts extends LogReaderParts {
  readonly registry: Registry;
  readonly store: FollowStore;
  readonly copy: RegistryCopy;
}

const MAX_PAGES = 256;
const NAMES_AUTHORS: readonly string[] = ["realm", "root"];

/**
 * Folds the registry log. It is read from its beginning at every start, because the fold lives in memory; what was
 * read before must come out the same.
 */
export function registryReader(parts: RegistryParts): LogReader<UnverifiedItems> {
  const { store, keys } = parts;
  const { id, range, root } = store.load(keys.origin) ?? store.create(keys.origin, "");
  const before = { size: range.size, root };
  const pages = new RegistryPages(parts, id, before.size);
  return new LogReader(parts, pages, { range: CompactRange.empty(), before });
}

class RegistryPages implements LogPages<UnverifiedItems> {
  readonly maxPages = MAX_PAGES;
  readonly #parts: RegistryParts;
  readonly #id: number;
  readonly #sizeBefore: number;
  #authors: ReadonlyMap<string, string>;
  /** Statements before this are in the copy. */
  #copied: number;

  constructor(parts: RegistryParts, id: number, sizeBefore: number) {
    this.#parts = parts;
    this.#id = id;
    this.#sizeBefore = sizeBefore;
    this.#copied = parts.copy.size;
    this.#authors = authorsOf(parts.registry);
  }

  /**
   * Returns what comes before the first entry whose body the ledger withholds, or exchanges for another. docs/spec/logs.md §4: that entry may
   * be a revocation, a writer or a reporter. So nothing after it is folded, and the alarm stands until the body
   * comes.
   */
  async fetch(from: number): Promise<UnverifiedItems | undefined> {
    const { ledger, alarms, keys } = this.#parts;
    const page = await readItems(ledger, from);
    const shown = page.items.findIndex((item) => !hasBody(item));
    if (shown === -1) return page;
    const { origin } = keys;
    const detail = { index: from + shown, size: page.size };
    alarms.raiseState({ kind: "registry-hidden", subject: origin, log: origin, detail });
    if (shown === 0) return undefined;
    const [items, entries] = [page.items.slice(0, shown), page.entries.slice(0, shown)];
    return { ...page, items, entries };
  }

  take(page: UnverifiedItems, _first: number, range: CompactRange): void {
    const { store, alarms, keys, copy } = this.#parts;
    for (const item of page.items) this.#fold(item);
    for (const item of page.items) if (item.index >= this.#copied) copy.put(item);
    this.#copied = Math.max(this.#copied, range.size);
    if (range.size > this.#sizeBefore && page.items.length > 0) store.save(this.#id, range);
    if (range.size === page.size) alarms.recover("registry-hidden", keys.origin);
  }

  #fold(item: RegistryItem): void {
    const { registry, alarms, keys } = this.#parts;
    const result = registry.apply(item);
    // An earlier run has raised the alarms for what it folded. An item without a body does not come here.
    const isNew = item.index >= this.#sizeBefore;
    if (result.kind === "applied" && result.statement.type === "pinned-key" && isNew)
      this.#tell(result.statement.what, result.statement, item.index);
    if (result.kind === "applied" && result.statement.type === "body-read" && isNew)
      this.#tellReading(result.statement, item.index);
    if (result.kind === "applied" && NAMES_AUTHORS.includes(result.statement.type))
      this.#lookAtAuthors(item.index, isNew);
    if (result.kind !== "void" || !isNew) return;
    alarms.raise({
      kind: "void-statement",
      subject: `${keys.origin} ${item.index}`,
      log: keys.origin,
      detail: { index: item.index, code: result.code, reason: result.reason.slice(0, 512) },
    });
  }

  /**
   * The key of the operator or of a ring was replaced. Holders of root keys agreed to it, and everybody must know.
   */
  #lookAtAuthors(index: number, isNew: boolean): void {
    const before = this.#authors;
    this.#authors = authorsOf(this.#parts.registry);
    for (const [who, key] of this.#authors) {
      const was = before.get(who);
      if (isNew && was !== undefined && was !== key) this.#tell(who, { key, before: was }, index);
    }
  }

  /** Somebody with the operator's key reads who got a token: others are to know. */
  #tellReading({ realm, by, token, reason }: BodyReadStatement, index: number): void {
    const { alarms, keys } = this.#parts;
    const detail = { realm, by, token, reason, index };
    alarms.raise({ kind: "body-read", subject: `${realm} ${index}`, log: keys.origin, detail });
  }

  #tell(
    who: string,
    { key, before }: Pick<PinnedKeyStatement, "key" | "before">,
    index: number,
  ): void {
    const { alarms, keys } = this.#parts;
    const detail = { who, key, ...(before !== undefined && { before }), index };
    alarms.raise({ kind: "key-replaced", subject: `${who} ${index}`, log: keys.origin, detail });
  }
}

function hasBody({ entry, statement, envelope }: RegistryItem): boolean {
  return statement && envelope ? registryEntry(statement, envelope).equals(entry) : false;
}

/** The verifier keys of the operator and of each realm's ring. */
function authorsOf({ operator, realms }: Registry): ReadonlyMap<string, string> {
  const rings = [...realms.values()].map(({ realm, ring }) => [`ring ${realm}`, ring] as const);
  const all = [["operator", operator] as const, ...rings];
  return new Map(all.map(([who, key]) => [who, encodeVerifierKey(key)]));
}
