import { errorCode, MemberReader, ServiceError } from "@redoubt/base";
import { parseStatement } from "@redoubt/keys";
import { encodeVerifierKey, type VerifierKey } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { Answer, Call, Handler } from "@redoubt/wire";
import { canCommit, canFind, canOpen, canRead, checkAppend, isOfRing, readsAll } from "./access.ts";
import type { DigestIndex } from "./digest-index.ts";
import { readEntries } from "./entry-reader.ts";
import { refusal, storageFailure } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import { stageBatch } from "./issuance-batch.ts";
import type { Log } from "./log.ts";
import type { Operators } from "./operators.ts";
import type { Prover } from "./proofs.ts";
import { stageStatement } from "./registry-batch.ts";
import { restoreRegistry } from "./registry-restore.ts";
import { readRegistry } from "./registry-reader.ts";
import {
  readBytes,
  readCommit,
  readDigest,
  readRequest,
  readRestore,
  readSize,
} from "./requests.ts";
import type { Sequencer } from "./sequencer.ts";
import type { Store } from "./store.ts";
import type { Waiters } from "./waiters.ts";

export interface HandlerParts {
  readonly store: Store;
  readonly sequencer: Sequencer;
  readonly logs: ReadonlyMap<string, Log>;
  readonly provers: ReadonlyMap<Log, Prover>;
  readonly registry: Log;
  readonly operators: Operators;
  readonly witness: VerifierKey;
  readonly index: DigestIndex;
  readonly waiters: Waiters;
  readonly events: LedgerEvents;
}

const MAX_ENTRIES = 4096;
const MAX_REGISTRY_ITEMS = 512;
const MAX_WAIT_MS = 10_000;

/** The operations of docs/spec/wire.md §4. Each names who may call it before it does anything. */
export class LedgerHandler {
  readonly #parts: HandlerParts;
  /** The newest cosignature time that a caller was given with a commit, by caller and log. */
  readonly #told = new Map<string, number>();

  constructor(parts: HandlerParts) {
    this.#parts = parts;
  }

  readonly handle: Handler = async (call) => {
    try {
      return await this.#dispatch(call);
    } catch (error) {
      if (errorCode(error) === "ERR_SQLITE_ERROR") throw storageFailure(error).refusal;
      throw error;
    }
  };

  #dispatch(call: Call): Answer | Promise<Answer> {
    switch (call.op) {
      case "commit":
        return this.#commit(call);
      case "append":
        return this.#append(call);
      case "openLog":
        return this.#openLog(call);
      case "state":
        return this.#state(call);
      case "entries":
        return this.#entries(call);
      case "registry":
        return this.#registry(call);
      case "prove":
        return this.#prove(call);
      case "find":
        return this.#find(call);
      case "restore":
        return this.#restore(call);
      case "wait":
        return this.#wait(call);
      case "logs":
        return this.#logs();
      default:
        throw new ServiceError("ERR_REQUEST_OP", "Unknown operation");
    }
  }

  async #commit(call: Call): Promise<Answer> {
    const { log: origin, ...batch } = readCommit(call);
    const log = this.#allowed(call, origin, canCommit);
    const { sequencer } = this.#parts;
    const { first, n, checkpoint } = await sequencer.submit(log, stageBatch(batch, this.#parts));
    const news = this.#newCosigned(call.caller, log);
    return { head: { size: first + n, checkpoint, ...(news ? { cosigned: news } : {}) } };
  }

  async #append(call: Call): Promise<Answer> {
    const { log: origin, ...request } = readRequest(call, (head) => ({
      statement: readBytes(head, "statement"),
      envelope: readBytes(head, "envelope"),
      ifSize: head.optionalInteger("ifSize", 0, Number.MAX_SAFE_INTEGER),
    }));
    const log = this.#allowed(call, origin, isRegistry);
    this.#checkStatement(call, request.statement, request.envelope);
    const staged = stageStatement(request, request.ifSize);
    const { first, n, checkpoint } = await this.#parts.sequencer.submit(log, staged);
    return { head: { index: first, size: first + n, checkpoint } };
  }

  #restore(call: Call): Answer {
    const { registry } = this.#parts;
    const { log: origin, ...request } = readRestore(call);
    if (call.caller !== "operator" || origin !== registry.origin) {
      this.#parts.events.denied(call.caller, call.op, registry.origin);
      throw refusal("ERR_LEDGER_DENIED", `${call.caller} may not ${call.op} here`);
    }
    for (const { statement } of request.items) parseStatement(statement);
    return { head: restoreRegistry(this.#parts, registry, request) };
  }

  #checkStatement({ caller, op }: Call, statement: Buffer, envelope: Buffer): void {
    const parsed = parseStatement(statement);
    try {
      checkAppend(caller, parsed);
    } catch (error) {
      this.#parts.events.denied(caller, op, this.#parts.registry.origin);
      throw error;
    }
    // The ring keys of realms are in the registry and not known here: a wrong author there is void for every fold.
    if (!isOfRing(parsed)) this.#parts.operators.verifyAuthor(parsed, statement, envelope);
  }

  #openLog(call: Call): Answer {
    const { log: origin, writer } = readRequest(call, (head) => ({
      writer: head.optionalString("writer", 512),
    }));
    const log = this.#allowed(call, origin, canOpen);
    log.checkOpen();
    const expected = log.identity.writer;
    if (writer !== undefined && (!expected || encodeVerifierKey(expected) !== writer))
      throw refusal("ERR_LEDGER_WRITER", `Log ${origin} has another writer`);
    const { hashes: _, ...head } = describe(log);
    return { head };
  }

  #state(call: Call): Answer {
    const { log: origin } = readRequest(call, () => ({}));
    return { head: describe(this.#allowed(call, origin, canRead)) };
  }

  #entries(call: Call): Answer {
    const { log: origin, ...range } = readRequest(call, (head) => ({
      from: readSize(head, "from"),
      max: head.integer("max", 1, MAX_ENTRIES),
    }));
    const log = this.#allowed(call, origin, canRead);
    const { count, bundle } = readEntries(this.#parts.store, log, range);
    return { head: { from: range.from, count, ...position(log) }, attachment: bundle };
  }

  #registry(call: Call): Answer {
    const { registry, store } = this.#parts;
    const head = new MemberReader(call.head, call.op);
    const from = readSize(head, "from");
    const max = head.integer("max", 1, MAX_REGISTRY_ITEMS);
    head.done();
    const log = this.#allowed(call, registry.origin, canRead);
    const items = readRegistry(store, log, call.caller, { from, max });
    return { head: { from, ...position(log), items } };
  }

  #prove(call: Call): Promise<Answer> {
    return Object.hasOwn(call.head, "index") ? this.#proveInclusion(call) : this.#proveGrowth(call);
  }

  async #proveInclusion(call: Call): Promise<Answer> {
    const asked = readRequest(call, (head) => ({
      index: readSize(head, "index"),
      atSize: head.optionalInteger("size", 1, Number.MAX_SAFE_INTEGER),
    }));
    const { log, prover } = this.#prover(call, asked.log);
    const { index, atSize: size = log.size } = asked;
    const { leaf, proof, checkpoint } = await prover.inclusion(index, size);
    const hashes = proof.map(encodeBase64url);
    return { head: { index, size, leaf: encodeBase64url(leaf), proof: hashes, checkpoint } };
  }

  async #proveGrowth(call: Call): Promise<Answer> {
    const asked = readRequest(call, (head) => ({
      size1: head.integer("size1", 1, Number.MAX_SAFE_INTEGER),
      size2: head.integer("size2", 1, Number.MAX_SAFE_INTEGER),
    }));
    const { size1, size2 } = asked;
    const { prover } = this.#prover(call, asked.log);
    if (size2 < size1) throw refusal("ERR_LEDGER_NOT_FOUND", "Sizes are not in order");
    const { proof, checkpoint } = await prover.consistency(size1, size2);
    return { head: { size1, size2, proof: proof.map(encodeBase64url), checkpoint } };
  }

  #prover(call: Call, origin: string): { readonly log: Log; readonly prover: Prover } {
    const log = this.#allowed(call, origin, canRead);
    const prover = this.#parts.provers.get(log);
    if (!prover) throw refusal("ERR_LEDGER_HALTED", `Log ${origin} is halted`);
    return { log, prover };
  }

  async #find(call: Call): Promise<Answer> {
    const { log: origin, digest } = readRequest(call, (head) => ({ digest: readDigest(head) }));
    const log = this.#allowed(call, origin, canFind);
    const index = await this.#parts.index.find(log, digest);
    if (index === undefined) throw refusal("ERR_LEDGER_NOT_FOUND", "No entry has this digest");
    return { head: { index } };
  }

  async #wait(call: Call): Promise<Answer> {
    const {
      log: origin,
      size,
      timeoutMs,
    } = readRequest(call, (head) => ({
      size: readSize(head, "size"),
      timeoutMs: head.integer("timeoutMs", 0, MAX_WAIT_MS),
    }));
    const log = this.#allowed(call, origin, canRead);
    await this.#parts.waiters.wait(call.caller, { log, size, timeoutMs });
    return { head: { size: log.size } };
  }

  #logs(): Answer {
    const logs = [...this.#parts.logs.values()].map(({ origin, size, identity }) => ({
      log: origin,
      vkey: encodeVerifierKey(identity.key.verifier),
      writer: identity.writer ? encodeVerifierKey(identity.writer) : null,
      size,
    }));
    return { head: { logs } };
  }

  /** To a caller with logs of its own, one that it may not use and one that does not exist look alike. */
  #allowed(call: Call, origin: string, rule: (caller: string, log: Log) => boolean): Log {
    const log = this.#parts.logs.get(origin);
    if (!log && readsAll(call.caller)) throw refusal("ERR_LEDGER_NOT_FOUND", "No such log");
    if (!log || !rule(call.caller, log)) {
      this.#parts.events.denied(call.caller, call.op, log?.origin ?? "unknown");
      throw refusal("ERR_LEDGER_DENIED", `${call.caller} may not ${call.op} here`);
    }
    log.checkRunning();
    return log;
  }

  /** The cosignature that came since this caller's last commit. */
  #newCosigned(caller: string, log: Log): string | undefined {
    const { cosigned } = log;
    const key = `${caller}\n${log.origin}`;
    // Another time, not a later one: what was kept while this clock was ahead gives way to an earlier date.
    if (!cosigned || cosigned.timeSeconds === this.#told.get(key)) return undefined;
    this.#told.set(key, cosigned.timeSeconds);
    return cosigned.note;
  }
}

function isRegistry(caller: string, log: Log): boolean {
  return (
    log.identity.kind === "registry" && (caller === "operator" || caller.startsWith("signer-"))
  );
}

function position(log: Log) {
  return { size: log.size, checkpoint: log.head.checkpoint, cosigned: log.cosigned?.note ?? "" };
}

function describe(log: Log) {
  return {
    log: log.origin,
    vkey: encodeVerifierKey(log.identity.key.verifier),
    hashes: log.head.range.hashes().map(encodeBase64url),
    ...position(log),
  };
}
