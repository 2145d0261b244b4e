import type { KeyObject } from "node:crypto";
import {
  addSignature,
  buildConsistencyProof,
  CompactRange,
  ed25519Signer,
  encodeCheckpoint,
  hashLeaf,
  signNote,
} from "@redoubt/tlog";
import type { SignedStatement } from "@redoubt/keys";
import { requesterOf } from "@redoubt/testkit";
import {
  LEDGER,
  RemoteError,
  route,
  routesByName,
  routeWithBytes,
  WireError,
  type Answer,
  type Call,
  type Reply,
  type Requester,
} from "@redoubt/wire";

export interface LogSigners {
  readonly logKey: KeyObject;
  readonly writer?: KeyObject;
}

/** One log as a ledger keeps it; a test may cut it, rewrite it or sign it wrongly. */
export class FakeLog {
  readonly origin: string;
  readonly signers: LogSigners;
  entries: Buffer[] = [];
  readonly bodies: { statement?: Buffer; envelope?: Buffer }[] = [];
  /** What the ledger says it has of the witness. */
  cosigned = "";
  /** Replaces the checkpoint that is shown. */
  shown: string | undefined;

  constructor(origin: string, signers: LogSigners) {
    this.origin = origin;
    this.signers = signers;
  }

  get size(): number {
    return this.entries.length;
  }

  root(size = this.size): Buffer {
    return this.#range(size).root();
  }

  checkpoint(size = this.size, root = this.root(size), withWriter = true): string {
    const { logKey, writer } = this.signers;
    const log = ed25519Signer(this.origin, logKey);
    const by = writer && withWriter ? [ed25519Signer(`${this.origin}/writer`, writer), log] : [log];
    return signNote(encodeCheckpoint({ origin: this.origin, size, root }), by);
  }

  proof(size1: number, size2 = this.size): Buffer[] {
    if (size1 === 0 || size1 > size2) return [];
    const nodes = new Map<string, Buffer>();
    this.#range(size2, nodes);
    return buildConsistencyProof(
      (level, index) => nodes.get(`${level}/${index}`) ?? Buffer.alloc(0),
      size1,
      size2,
    );
  }

  #range(size: number, nodes?: Map<string, Buffer>): CompactRange {
    const range = CompactRange.empty();
    for (const entry of this.entries.slice(0, size))
      range.append(hashLeaf(entry), (level, index, hash) => nodes?.set(`${level}/${index}`, hash));
    return range;
  }
}

/** Speaks the ledger's operations that the monitor uses. */
export class FakeLedger implements Requester {
  readonly logs = new Map<string, FakeLog>();
  readonly registry: FakeLog;
  isDown = false;
  /** Refuses requests for this log with this code. */
  readonly refusals = new Map<string, string>();
  requests = 0;

  constructor(registry: FakeLog) {
    this.registry = registry;
    this.logs.set(registry.origin, registry);
  }

  append({ statement, envelope, entry }: SignedStatement): void {
    this.registry.entries.push(entry);
    this.registry.bodies.push({ statement, envelope });
  }

  log(origin: string): FakeLog {
    const log = this.logs.get(origin);
    if (!log) throw new RemoteError("ERR_LEDGER_DENIED", "No such log");
    return log;
  }

  readonly #service = requesterOf((call) => this.#answer(call), "monitor");
  readonly #routes = routesByName([
    routeWithBytes(LEDGER.entries, ({ log, from, max }) => {
      const entries = this.log(log).entries.slice(from, from + max);
      const answer = { from, count: entries.length, ...stateOf(this.log(log)) };
      return { answer, attachment: bundle(entries) };
    }),
    route(LEDGER.registry, ({ from, max }) => {
      const { entries, bodies } = this.registry;
      const items = entries
        .slice(from, from + max)
        .map((entry, i) => ({ entry, ...bodies[from + i] }));
      return { from, items, ...stateOf(this.registry) };
    }),
    route(LEDGER.proveGrowth, ({ log, size1, size2 }) => {
      const found = this.log(log);
      return { size1, size2, proof: found.proof(size1, size2), checkpoint: found.checkpoint() };
    }),
  ]);

  request(head: object, attachment?: Uint8Array): Promise<Reply> {
    return this.#service.request(head, attachment);
  }

  async #answer(call: Call): Promise<Answer> {
    this.requests += 1;
    if (this.isDown) throw new WireError("ERR_WIRE_CLOSED", "Ledger is down");
    const { op, head } = call;
    const origin = typeof head["log"] === "string" ? head["log"] : this.registry.origin;
    const refusal = this.refusals.get(origin) ?? this.refusals.get(op);
    if (refusal !== undefined) throw new RemoteError(refusal, "Refused");
    const found = this.#routes.get(op);
    if (!found) throw new RemoteError("ERR_REQUEST_OP", "No such operation");
    return found.handle(call);
  }
}

/** The note with the witness's answer under it. */
export function withCosignature(note: string, line: string): string {
  return addSignature(note, line);
}

function stateOf(log: FakeLog) {
  const checkpoint = log.shown ?? (log.size === 0 ? "" : log.checkpoint());
  return { size: log.size, checkpoint, cosigned: log.cosigned };
}

function bundle(entries: readonly Buffer[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(entry.length);
      return [length, entry];
    }),
  );
}
