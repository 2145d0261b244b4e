import { statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { parseVerifierKey } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import { readTokenCounts } from "../coverage/tokens.ts";
import { withRootsLabel } from "../ceremony/root-state.ts";
import { readKeys } from "../keys/key-list.ts";
import { Operator } from "../operator.ts";
import { servicesOf } from "../layout.ts";
import { extentOf, type Settings } from "../settings.ts";
import { readSystemStatus } from "../status.ts";
import type { PageFacts } from "./facts.ts";
import type { TokenRates } from "./token-rates.ts";

export interface LookParts {
  readonly folder: string;
  readonly settings: Settings;
  /** What the supervisor sees itself. */
  readonly status: () => Promise<JsonObject>;
  readonly rates: Pick<TokenRates, "rates">;
}

/** However many browsers look, processes are asked once in this time. */
const KEPT_MS = 2000;
const ANSWER_MS = 2000;
const CONNECT_MS = 1000;
const LOOK_MS = 8000;
const MAX_PAGES = 16;

/**
 * Reads what the page shows, when somebody looks: as the operator, as `redoubt status` does. One reading runs at a
 * time, however long a process keeps it waiting.
 */
export class Look implements AsyncDisposable {
  readonly #parts: LookParts;
  readonly #operator: Operator;
  readonly #upSince = nowSeconds(systemClock);
  #reading: Promise<PageFacts> | undefined;
  #newest: { readonly facts: PageFacts; readonly atMs: number } | undefined;

  /** The working directory is the data folder. */
  constructor(parts: LookParts) {
    this.#parts = parts;
    const limits = { connectTimeoutMs: CONNECT_MS, timeoutMs: ANSWER_MS };
    this.#operator = new Operator("", parts.settings, limits);
  }

  /** @throws ServiceError `ERR_STATUS` where it takes too long */
  async facts(): Promise<PageFacts> {
    const { facts, atMs } = this.#newest ?? {};
    if (facts && atMs !== undefined && systemClock.monotonic() - atMs < KEPT_MS) return facts;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    const late = new AbortController();
    const limit = pause(LOOK_MS, undefined, { ref: false, signal: late.signal }).then(() => {
      throw new ServiceError(
        "ERR_STATUS",
        `Reading the system takes longer than ${LOOK_MS / 1000} s`,
      );
    });
    try {
      return await Promise.race([this.#reading, limit]);
    } finally {
      limit.catch(() => undefined);
      late.abort();
    }
  }

  async #read(): Promise<PageFacts> {
    const { folder, settings, status, rates } = this.#parts;
    const operator = this.#operator;
    const now = nowSeconds(systemClock);
    const [found, coverage] = await Promise.all([
      status().then((page) =>
        readSystemStatus(page, {
          folder,
          client: (service) => operator.client(service),
          services: servicesOf(extentOf(settings)),
          readKeys: (alarms) => readKeys(operator, { alarms, nowSeconds: now }),
          witness: parseVerifierKey(settings.witness),
          now,
        }),
      ),
      this.#coverage(now - 3600),
    ]);
    const facts = {
      now,
      upSince: this.#upSince,
      host: new URL(settings.realms.enterprise.issuer).host,
      folder,
      system: { ...found, labels: withRootsLabel(found.labels, operator.registry) },
      rates: rates.rates,
      coverage,
      ledgerBytes: bytesOf(["ledger.db", "ledger.db-wal"]),
    };
    this.#newest = { facts, atMs: systemClock.monotonic() };
    return facts;
  }

  /** A realm's sum is the row without an audience. */
  async #coverage(since: number): Promise<PageFacts["coverage"]> {
    try {
      const rows = await readTokenCounts(this.#operator.client("monitor"), since, MAX_PAGES);
      const sums = rows.filter(({ audience }) => audience === null);
      return {
        issued: sums.reduce((sum, row) => sum + row.issued, 0),
        seen: sums.reduce((sum, row) => sum + row.seen, 0),
      };
    } catch {
      return null;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#operator[Symbol.asyncDispose]();
  }
}

function bytesOf(files: readonly string[]): number | null {
  try {
    return files.reduce((sum, file) => {
      const found = statSync(join("ledger", file), { throwIfNoEntry: false });
      return sum + (found?.size ?? 0);
    }, 0);
  } catch {
    return null;
  }
}
