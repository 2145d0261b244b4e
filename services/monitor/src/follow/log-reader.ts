import { TlogError, type CompactRange, type OpenedCheckpoint, type TreeHead } from "@redoubt/tlog";
import { proveGrowth, type Requester } from "@redoubt/wire";
import type { Alarms } from "../alarms/alarms.ts";
import { monitorError } from "../errors.ts";
import type { Claims, PendingClaim } from "../witness/claims.ts";
import { judgeSignatures, type LogKeys } from "../witness/log-keys.ts";
import type { Witness } from "../witness/witness.ts";
import type { UnverifiedEntries } from "./unverified-pages.ts";

/**
 * `distrusted`: nothing may be believed of it, and an alarm says so. Others go on being judged: the ledger must not
 * be able to mute them with one log.
 */
export type ReadOutcome = "current" | "behind" | "distrusted";

/** What one kind of log gives and takes. */
export interface LogPages<Page extends UnverifiedEntries> {
  /** Pages of one reading; a log that grows faster is left `behind`. */
  readonly maxPages: number;
  /** Undefined when what the ledger gives cannot be used, with an alarm that says why. */
  fetch(from: number): Promise<Page | undefined>;
  /** Takes a page that is proven; `range` is the log after it. */
  take(page: Page, first: number, range: CompactRange): void;
  /**
   * This monitor has forgotten the entries up to this size. Their deliveries may have been reported to an earlier
   * run, and are not reported again.
   */
  forgot?(size: number): void;
}

export interface LogReaderParts {
  readonly keys: LogKeys;
  readonly ledger: Requester;
  readonly alarms: Alarms;
  readonly claims: Claims;
  readonly witness: Witness;
  /** Active milliseconds. */
  readonly active: () => number;
}

/** How long the ledger may leave a claim unanswered that it must be able to answer. */
const CLAIM_PATIENCE_MS = 10_000;

/**
 * Reads one log to its end and holds it against its checkpoints: every root is computed here from the entries, and
 * only roots that the log and its writer signed are taken (THREAT-06).
 */
export class LogReader<Page extends UnverifiedEntries> {
  readonly #parts: LogReaderParts;
  readonly #pages: LogPages<Page>;
  /** How far an earlier run read. It may lie ahead: the registry is read from its beginning at every start. */
  readonly #before: TreeHead;
  #range: CompactRange;
  #unverifiedSize = 0;
  #checkedNote = "";
  #checkedCosigned = "";
  #hasToldForgotten = false;
  #checked: OpenedCheckpoint | undefined;

  constructor(
    parts: LogReaderParts,
    pages: LogPages<Page>,
    start: { readonly range: CompactRange; readonly before: TreeHead },
  ) {
    this.#parts = parts;
    this.#pages = pages;
    this.#range = start.range;
    this.#before = start.before;
  }

  get size(): number {
    return this.#range.size;
  }

  /** What the ledger last said that there is: never less than what was read. */
  get unverifiedSize(): number {
    return Math.max(this.#unverifiedSize, this.size);
  }

  /** @throws when the ledger cannot be read */
  async read(): Promise<ReadOutcome> {
    for (let pages = 0; pages < this.#pages.maxPages; pages++) {
      const outcome = await this.#readPage();
      if (outcome === "behind") continue;
      if (outcome === "current") await this.#settleClaims();
      return outcome;
    }
    return "behind";
  }

  /** Our memory of it is an old copy. @throws when the ledger cannot be read */
  async forgot(): Promise<void> {
    if (this.#hasToldForgotten || !this.#pages.forgot) return;
    this.#pages.forgot((await this.#pages.fetch(this.size))?.size ?? 0);
    this.#hasToldForgotten = true;
  }

  async #readPage(): Promise<ReadOutcome> {
    const first = this.size;
    const page = await this.#pages.fetch(first);
    this.#unverifiedSize = page?.size ?? 0;
    const range = page && (await this.#accept(page));
    if (!page || !range) return "distrusted";
    this.#pages.take(page, first, range);
    return range.size < page.size ? "behind" : "current";
  }

  /** The range after the page; undefined when the log is not to be believed, with an alarm that says why. */
  async #accept(page: Page): Promise<CompactRange | undefined> {
    const { keys } = this.#parts;
    if (page.size < Math.max(this.size, this.#before.size)) return this.#shrunk(page.size);
    this.#checkCosigned(page.cosigned);
    // If that note has just shown that our memory is an old copy, the log waits for the operator.
    if (this.#parts.witness.isHalted(keys.origin)) return undefined;
    if (page.size === 0) return this.#range;
    const checkpoint = this.#open(page.checkpoint);
    if (!checkpoint) return undefined;
    if (checkpoint.size !== page.size || (page.entries.length === 0 && this.size < page.size))
      throw monitorError("ERR_MONITOR_LEDGER", "Ledger answer: size and checkpoint do not fit");
    const next = this.#range.clone();
    if (!this.#append(next, page.entries))
      return this.#forked(page, "log differs from what was read before");
    if (!(await this.#covers(checkpoint, next)))
      return this.#forked(page, "entries do not give the signed root");
    this.#range = next;
    this.#parts.alarms.recover("log-shrunk", keys.origin);
    return next;
  }

  /**
   * Each note is checked once. The witness's memory only grows while this process lives, so a note that said nothing
   * new never will.
   */
  #checkCosigned(note: string): void {
    if (note === "" || note === this.#checkedCosigned) return;
    this.#parts.witness.checkOwnCosignature(this.#parts.keys.origin, note);
    this.#checkedCosigned = note;
  }

  /** False when the log differs from what an earlier run read. */
  #append(range: CompactRange, entries: readonly Buffer[]): boolean {
    const { size, root } = this.#before;
    const left = size - range.size;
    if (left <= 0 || left > entries.length) {
      range.appendEntries(entries);
      return true;
    }
    range.appendEntries(entries.slice(0, left));
    const isAsBefore = range.root().equals(root);
    range.appendEntries(entries.slice(left));
    return isAsBefore;
  }

  #forked({ checkpoint }: UnverifiedEntries, why: string): undefined {
    const { keys, witness } = this.#parts;
    witness.halt(keys.origin, checkpoint, why);
    return undefined;
  }

  /** Asks the ledger to agree with what was claimed of its log (see Claim). */
  async #settleClaims(): Promise<void> {
    const { claims, keys } = this.#parts;
    for (const claim of claims.of(keys.origin)) {
      const agrees = await this.#agrees(claim);
      if (agrees === true) claims.settle(claim);
      else if (agrees === false || this.#isOutOfPatience(claim)) this.#convict(claim);
    }
  }

  #convict(claim: PendingClaim): void {
    const { claims, alarms, witness } = this.#parts;
    const { origin, note, size } = claim;
    claims.settle(claim);
    if (claim.kind === "unsigned-batch")
      return alarms.raise({
        kind: "unsigned-batch",
        subject: origin,
        log: origin,
        detail: { size, note },
      });
    witness.halt(origin, note, "signed checkpoint that the log does not continue");
  }

  #isOutOfPatience(claim: PendingClaim): boolean {
    const now = this.#parts.active();
    claim.doubtedSince ??= now;
    return now - claim.doubtedSince >= CLAIM_PATIENCE_MS;
  }

  /** Undefined while the ledger has neither shown nor failed to show it. */
  async #agrees(claim: PendingClaim): Promise<boolean | undefined> {
    if (claim.size > this.#range.size) return undefined;
    if (claim.size === 0) return true;
    try {
      return await this.#isProven(claim, this.#range.head);
    } catch {
      // It may be busy or broken; patience decides, not one answer.
      return undefined;
    }
  }

  #open(note: string): OpenedCheckpoint | undefined {
    if (note === this.#checkedNote) return this.#checked;
    const { keys, alarms } = this.#parts;
    const verdict = judgeSignatures(note, keys);
    this.#checkedNote = note;
    this.#checked = verdict.kind === "signed" ? verdict.checkpoint : undefined;
    if (verdict.kind !== "signed")
      alarms.raise({
        kind: "unsigned-batch",
        subject: keys.origin,
        log: keys.origin,
        detail: { why: "ledger shows a checkpoint without the signatures of log and writer" },
      });
    return this.#checked;
  }

  /** The signed root, or a proof from our root to it while we are still behind. */
  async #covers(checkpoint: OpenedCheckpoint, next: CompactRange): Promise<boolean> {
    return next.size <= checkpoint.size && (await this.#isProven(next.head, checkpoint));
  }

  /** @throws when the ledger cannot be read */
  async #isProven(before: TreeHead, after: TreeHead): Promise<boolean> {
    try {
      await proveGrowth(this.#parts.ledger, this.#parts.keys.origin, before, after);
      return true;
    } catch (error) {
      if (error instanceof TlogError) return false;
      throw error;
    }
  }

  #shrunk(now: number): undefined {
    const { alarms, keys } = this.#parts;
    alarms.raiseState({
      kind: "log-shrunk",
      subject: keys.origin,
      log: keys.origin,
      detail: { read: Math.max(this.size, this.#before.size), now },
    });
    return undefined;
  }
}
