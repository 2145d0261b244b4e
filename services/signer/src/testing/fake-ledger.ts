import { ServiceError } from "@redoubt/base";
import { registryEntry, type SignedStatement } from "@redoubt/keys";
import {
  cosignWitnessed,
  encodeVerifierKey,
  parseEntryBundle,
  type NoteSigner,
  type WitnessedQuestion,
} from "@redoubt/tlog";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import {
  joinBlobs,
  readSocketSecret,
  serveSocket,
  splitBlobs,
  type Answer,
  type Call,
  type SocketPlace,
} from "@redoubt/wire";
import type { FakeLog } from "./fake-log.ts";

/** Says something else than the honest ledger would; `undefined` from `honest` is never needed. */
export type Misbehaviour = (call: Call, honest: () => Answer) => Answer | Promise<Answer>;

export interface FakeWitness {
  readonly signer: NoteSigner;
  readonly nowSeconds: () => number;
  isUp: boolean;
}

/** A ledger over a real socket that keeps its logs in memory, and lies on command. */
export class FakeLedger {
  readonly registry: FakeLog;
  readonly issuance: FakeLog;
  /** Logs that took the place of `issuance`. */
  readonly successors: FakeLog[] = [];
  readonly witness: FakeWitness;
  readonly calls: Call[] = [];
  misbehave: Misbehaviour | undefined;
  readonly #place: SocketPlace;
  #server: AsyncDisposable | undefined;

  constructor(
    place: SocketPlace,
    logs: { readonly registry: FakeLog; readonly issuance: FakeLog },
    witness: FakeWitness,
  ) {
    this.#place = place;
    this.registry = logs.registry;
    this.issuance = logs.issuance;
    this.witness = witness;
  }

  async start(): Promise<void> {
    this.#server = await serveSocket({
      path: this.#place.path,
      caller: "signer",
      secret: readSocketSecret(this.#place),
      service: "ledger",
      instance: "fake",
      handler: (call) => {
        this.calls.push(call);
        const honest = (): Answer => this.#honest(call);
        return this.misbehave ? this.misbehave(call, honest) : honest();
      },
      log: () => undefined,
    });
  }

  /** Connections break; what was not answered never is. */
  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** What the witness holds: it is the ledger that brings it every checkpoint. */
  readonly witnessed = (question: WitnessedQuestion): string => {
    const { signer, nowSeconds } = this.witness;
    const by = { signer, timeSeconds: nowSeconds() };
    return cosignWitnessed(question, this.#log({ log: question.log }).witnessed, by);
  };

  commits(): readonly Call[] {
    return this.calls.filter(({ op }) => op === "commit");
  }

  #log(head: JsonObject): FakeLog {
    const logs = [this.registry, this.issuance, ...this.successors];
    const log = logs.find(({ origin }) => origin === head["log"]);
    if (!log) throw new ServiceError("ERR_LEDGER_DENIED", "No such log");
    return log;
  }

  #honest(call: Call): Answer {
    const { op, head } = call;
    switch (op) {
      case "openLog":
        return { head: this.#state(this.#log(head)) };
      case "state":
        return { head: { ...this.#state(this.#log(head)), ...hashesOf(this.#log(head)) } };
      case "registry":
        return { head: this.#registry(Number(head["from"])) };
      case "wait":
        // Grown or not, the signer looks for itself.
        return { head: { size: this.#log(head).size } };
      case "proveGrowth":
        return { head: this.#prove(head) };
      case "append":
        return { head: this.#append(head) };
      case "commit":
        return { head: this.#commit(call) };
      default:
        throw new ServiceError("ERR_REQUEST_OP", "Unknown operation");
    }
  }

  #state(log: FakeLog): object {
    const { signer, nowSeconds, isUp } = this.witness;
    if (isUp) log.cosign(signer, nowSeconds());
    return {
      log: log.origin,
      vkey: encodeVerifierKey(log.key),
      size: log.size,
      checkpoint: log.checkpoint,
      cosigned: log.cosigned,
    };
  }

  #prove({ log, size1, size2 }: JsonObject): object {
    const found = this.#log({ log: log ?? "" });
    const proof = found.prove(Number(size1), Number(size2)).map(encodeBase64url);
    return { size1: Number(size1), size2: Number(size2), proof, checkpoint: found.checkpoint };
  }

  #registry(from: number): object {
    const items = this.registry.batches.slice(from, from + 64).map(({ entries, bytes }) => {
      const [statement = Buffer.alloc(0), envelope = Buffer.alloc(0)] = splitBlobs(bytes);
      return {
        entry: encodeBase64url(entries[0] ?? Buffer.alloc(0)),
        statement: encodeBase64url(statement),
        envelope: encodeBase64url(envelope),
      };
    });
    const { size, checkpoint } = this.registry;
    return { from, size, checkpoint, cosigned: "", items };
  }

  #append({ statement, envelope, ifSize }: JsonObject): object {
    if (ifSize !== undefined && ifSize !== this.registry.size)
      throw new ServiceError("ERR_LEDGER_SIZE", "Registry moved");
    const index = this.state({
      statement: decodeBase64url(text(statement)),
      envelope: decodeBase64url(text(envelope)),
    });
    return { index, size: this.registry.size, checkpoint: this.registry.checkpoint };
  }

  /** Puts a statement into the registry, as the operator would. */
  state({ statement, envelope }: Omit<SignedStatement, "entry">): number {
    const entry = registryEntry(statement, envelope);
    return this.registry.append([entry], joinBlobs([statement, envelope])).first;
  }

  #commit({ head, attachment }: Call): object {
    const log = this.#log(head);
    const first = Number(head["first"]);
    const note = text(head["checkpoint"]);
    const held = log.batches.find((batch) => batch.first === first);
    if (
      held?.bytes.equals(attachment) &&
      held.checkpoint === log.sign(log.range(openUnverified(note).size), note)
    )
      return { size: held.first + held.entries.length, checkpoint: held.checkpoint };
    if (first !== log.size) throw new ServiceError("ERR_LEDGER_SIZE", `Log has ${log.size}`);
    const entries = parseEntryBundle(attachment.subarray(0, Number(head["entriesBytes"])));
    const { size, root } = openUnverified(note);
    const range = log.range();
    range.appendEntries(entries);
    if (range.size !== size || !range.root().equals(root))
      throw new ServiceError("ERR_LEDGER_ROOT", "Another tree");
    const batch = log.append(entries, Buffer.from(attachment), note);
    return { size, checkpoint: batch.checkpoint };
  }
}

function hashesOf(log: FakeLog): object {
  return { hashes: log.range().hashes().map(encodeBase64url) };
}

/** Size and root that a note claims; the signer's own tests check its signature. */
function openUnverified(note: string): { readonly size: number; readonly root: Buffer } {
  const [, size, root = ""] = note.split("\n");
  return { size: Number(size), root: Buffer.from(root, "base64") };
}

function text(value: JsonValue | undefined): string {
  if (typeof value !== "string") throw new ServiceError("ERR_REQUEST_MEMBER", "Not a string");
  return value;
}
