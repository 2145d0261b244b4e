import { errorCode, ServiceError } from "@redoubt/base";
import { credentialsOf, parseStatement } from "@redoubt/registry";
import { encodeVerifierKey, type VerifierKey } from "@redoubt/tlog";
import {
  LEDGER,
  route,
  routesByName,
  routeWithBytes,
  type Call,
  type Handler,
  type Asked,
  type Route,
} from "@redoubt/wire";
import {
  canCommit,
  canFind,
  canOpen,
  canRead,
  canReadBodies,
  checkAppend,
  isOfRing,
  readsAll,
} from "./access.ts";
import type { StatementBodies } from "./bodies.ts";
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
import { splitCommit } from "./requests.ts";
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

type Allows = (caller: string, log: Log) => boolean;

/** The operations of docs/spec/wire.md §4. Each names who may call it before it does anything. */
export class LedgerHandler {
  readonly #parts: HandlerParts;
  readonly #routes: ReadonlyMap<string, Route>;
  /** The newest cosignature time that a caller was given with a commit, by caller and log. */
  readonly #told = new Map<string, number>();

  constructor(parts: HandlerParts) {
    this.#parts = parts;
    this.#routes = routesByName([
      route(LEDGER.commit, (request, call) => this.#commit(request, call)),
      route(LEDGER.append, (request, call) => this.#append(request, call)),
      route(LEDGER.restore, (request, call) => this.#restore(request, call)),
      route(LEDGER.openLog, (request, call) => this.#openLog(request, call)),
      route(LEDGER.state, ({ log }, call) => describe(this.#allowed(call, log, canRead))),
      routeWithBytes(LEDGER.entries, (request, call) => this.#entries(request, call)),
      routeWithBytes(LEDGER.batch, (request, call) => this.#batch(request, call)),
      route(LEDGER.registry, (request, call) => this.#registry(request, call)),
      route(LEDGER.prove, (request, call) => this.#prove(request, call)),
      route(LEDGER.proveGrowth, (request, call) => this.#proveGrowth(request, call)),
      route(LEDGER.find, (request, call) => this.#find(request, call)),
      route(LEDGER.wait, (request, call) => this.#wait(request, call)),
      route(LEDGER.logs, () => this.#logs()),
    ]);
  }

  readonly handle: Handler = async (call) => {
    const found = this.#routes.get(call.op);
    if (!found) throw new ServiceError("ERR_REQUEST_OP", "Unknown operation");
    try {
      return await found.handle(call);
    } catch (error) {
      if (errorCode(error) === "ERR_SQLITE_ERROR") throw storageFailure(error).refusal;
      throw error;
    }
  };

  async #commit(request: Asked<typeof LEDGER.commit>, call: Call) {
    const batch = splitCommit(request, call.attachment);
    const log = this.#allowed(call, request.log, canCommit);
    const { sequencer } = this.#parts;
    const { first, n, checkpoint } = await sequencer.submit(log, stageBatch(batch, this.#parts));
    return { size: first + n, checkpoint, cosigned: this.#newCosigned(call.caller, log) };
  }

  async #append(request: Asked<typeof LEDGER.append>, call: Call) {
    const log = this.#allowed(call, request.log, isRegistry);
    this.#checkStatement(call, request);
    const staged = stageStatement(request, request.ifSize);
    const { first, n, checkpoint } = await this.#parts.sequencer.submit(log, staged);
    return { index: first, size: first + n, checkpoint };
  }

  #restore(request: Asked<typeof LEDGER.restore>, call: Call) {
    const { registry } = this.#parts;
    if (call.caller !== "operator" || request.log !== registry.origin) {
      this.#parts.events.denied(call.caller, call.op, registry.origin);
      throw refusal("ERR_LEDGER_DENIED", `${call.caller} may not ${call.op} here`);
    }
    for (const { statement, credentials } of request.items)
      credentialsOf(parseStatement(statement), credentials);
    return restoreRegistry(this.#parts, registry, request);
  }

  #checkStatement({ caller, op }: Call, bodies: StatementBodies): void {
    const { statement, envelope, credentials } = bodies;
    const parsed = parseStatement(statement);
    try {
      checkAppend(caller, parsed);
    } catch (error) {
      this.#parts.events.denied(caller, op, this.#parts.registry.origin);
      throw error;
    }
    const isNamed = parsed.type === "client" && parsed.credentialsHash !== undefined;
    if (isNamed && !credentials)
      throw refusal("ERR_LEDGER_BODY", "The credentials that the statement names are missing");
    credentialsOf(parsed, credentials);
    // The ledger does not know the ring keys of realms. A statement that another key signed is void in every fold.
    if (!isOfRing(parsed)) this.#parts.operators.verifyAuthor(parsed, statement, envelope);
  }

  #openLog({ log: origin, writer }: Asked<typeof LEDGER.openLog>, call: Call) {
    const log = this.#allowed(call, origin, canOpen);
    log.checkOpen();
    const expected = log.identity.writer;
    if (writer !== undefined && (!expected || encodeVerifierKey(expected) !== writer))
      throw refusal("ERR_LEDGER_WRITER", `Log ${origin} has another writer`);
    return describe(log);
  }

  #entries({ log: origin, ...range }: Asked<typeof LEDGER.entries>, call: Call) {
    const log = this.#allowed(call, origin, canRead);
    const { count, bundle } = readEntries(this.#parts.store, log, range);
    return { answer: { from: range.from, count, ...position(log) }, attachment: bundle };
  }

  #batch({ log: origin, index }: Asked<typeof LEDGER.batch>, call: Call) {
    const log = this.#allowed(call, origin, canReadBodies);
    const [batch] = index < log.size ? this.#parts.store.bodies(origin, index, 1) : [];
    if (!batch || batch.first + batch.n <= index)
      throw refusal("ERR_LEDGER_NOT_FOUND", "No batch holds this entry");
    const { first, n: count, entries, blobs } = batch;
    return {
      answer: { first, count, entriesBytes: entries.length },
      attachment: Buffer.concat([entries, blobs]),
    };
  }

  #registry(range: Asked<typeof LEDGER.registry>, call: Call) {
    const { registry, store } = this.#parts;
    const log = this.#allowed(call, registry.origin, canRead);
    const items = readRegistry(store, log, call.caller, range);
    return { from: range.from, ...position(log), items };
  }

  async #prove({ log: origin, index, size: atSize }: Asked<typeof LEDGER.prove>, call: Call) {
    const { log, prover } = this.#prover(call, origin);
    const size = atSize ?? log.size;
    return { index, size, ...(await prover.inclusion(index, size)) };
  }

  async #proveGrowth({ log: origin, size1, size2 }: Asked<typeof LEDGER.proveGrowth>, call: Call) {
    const { prover } = this.#prover(call, origin);
    if (size2 < size1) throw refusal("ERR_LEDGER_NOT_FOUND", "Sizes are not in order");
    return { size1, size2, ...(await prover.consistency(size1, size2)) };
  }

  #prover(call: Call, origin: string): { readonly log: Log; readonly prover: Prover } {
    const log = this.#allowed(call, origin, canRead);
    const prover = this.#parts.provers.get(log);
    if (!prover) throw refusal("ERR_LEDGER_HALTED", `Log ${origin} is halted`);
    return { log, prover };
  }

  async #find({ log: origin, digest }: Asked<typeof LEDGER.find>, call: Call) {
    const log = this.#allowed(call, origin, canFind);
    const index = await this.#parts.index.find(log, digest);
    if (index === undefined) throw refusal("ERR_LEDGER_NOT_FOUND", "No entry has this digest");
    return { index };
  }

  async #wait({ log: origin, ...wait }: Asked<typeof LEDGER.wait>, call: Call) {
    const log = this.#allowed(call, origin, canRead);
    await this.#parts.waiters.wait(call.caller, { log, ...wait });
    return { size: log.size };
  }

  #logs() {
    const logs = [...this.#parts.logs.values()].map(({ origin, size, identity }) => ({
      log: origin,
      vkey: encodeVerifierKey(identity.key.verifier),
      writer: identity.writer ? encodeVerifierKey(identity.writer) : null,
      size,
    }));
    return { logs };
  }

  /** A caller that may not read every log cannot tell a log that is not its own from one that does not exist. */
  #allowed(call: Call, origin: string, rule: Allows): Log {
    const log = this.#parts.logs.get(origin);
    if (!log && readsAll(call.caller)) throw refusal("ERR_LEDGER_NOT_FOUND", "No such log");
    if (!log || !rule(call.caller, log)) {
      this.#parts.events.denied(call.caller, call.op, log?.origin ?? "unknown");
      throw refusal("ERR_LEDGER_DENIED", `${call.caller} may not ${call.op} here`);
    }
    log.checkRunning();
    return log;
  }

  /** The newest cosigned checkpoint, unless an earlier commit of this caller was answered with it. */
  #newCosigned(caller: string, log: Log): string | undefined {
    const { cosigned } = log;
    const key = `${caller}\n${log.origin}`;
    // Another time is enough, it need not be later: a cosignature that was taken while this clock was ahead is
    // replaced by one with an earlier date.
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
    hashes: log.head.range.hashes(),
    ...position(log),
  };
}
