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
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { RemoteError, WireError, type Requester } from "@redoubt/wire";

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

  async request(
    head: Readonly<Record<string, unknown>>,
  ): Promise<{ head: JsonObject; attachment: Buffer }> {
    this.requests += 1;
    if (this.isDown) throw new WireError("ERR_WIRE_CLOSED", "Ledger is down");
    const { op, log: named } = head;
    if (typeof op !== "string") throw new RemoteError("ERR_REQUEST_OP", "No such operation");
    const origin = typeof named === "string" ? named : this.registry.origin;
    const refusal = this.refusals.get(origin) ?? this.refusals.get(op);
    if (refusal !== undefined) throw new RemoteError(refusal, "Refused");
    const log = this.log(origin);
    const [from, max] = [Number(head["from"]), Number(head["max"])];
    switch (op) {
      case "entries": {
        const entries = log.entries.slice(from, from + max);
        return answer({ from, count: entries.length, ...stateOf(log) }, bundle(entries));
      }
      case "registry": {
        const items = log.entries
          .slice(from, from + max)
          .map((entry, i) => itemOf(entry, log.bodies[from + i] ?? {}));
        return answer({ from, items, ...stateOf(log) });
      }
      case "proveGrowth": {
        const [size1, size2] = [Number(head["size1"]), Number(head["size2"])];
        const proof = log.proof(size1, size2).map(encodeBase64url);
        return answer({ size1, size2, proof, checkpoint: log.checkpoint() });
      }
      default:
        throw new RemoteError("ERR_REQUEST_OP", "No such operation");
    }
  }
}

/** The note with the witness's answer under it. */
export function withCosignature(note: string, line: string): string {
  return addSignature(note, line);
}

function stateOf(log: FakeLog): Record<string, unknown> {
  const checkpoint = log.shown ?? (log.size === 0 ? "" : log.checkpoint());
  return { size: log.size, checkpoint, cosigned: log.cosigned };
}

function itemOf(
  entry: Buffer,
  { statement, envelope }: { statement?: Buffer; envelope?: Buffer },
): Record<string, string> {
  return {
    entry: encodeBase64url(entry),
    ...(statement && { statement: encodeBase64url(statement) }),
    ...(envelope && { envelope: encodeBase64url(envelope) }),
  };
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

/** Through the reader, as an answer from a socket would come. */
function answer(
  head: Record<string, unknown>,
  attachment: Buffer = Buffer.alloc(0),
): { head: JsonObject; attachment: Buffer } {
  return { head: parseJsonObject(JSON.stringify(head), { maxBytes: 4 * 1024 * 1024 }), attachment };
}
