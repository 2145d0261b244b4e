import { generateKeyPairSync } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import {
  credentialsOf,
  parseStatement,
  registryEntry,
  seesCredentials,
  seesStatement,
  type SignedStatement,
} from "@redoubt/registry";
import {
  cosignWitnessed,
  ed25519Cosigner,
  EMPTY_ROOT,
  encodeEntryBundle,
  encodeVerifierKey,
  openCheckpoint,
  parseCheckpoint,
  parseEntryBundle,
  parseNote,
  type NoteSigner,
  type WitnessedQuestion,
} from "@redoubt/tlog";
import {
  LEDGER,
  route,
  routesByName,
  routeWithBytes,
  WireError,
  type Answer,
  type Answered,
  type Call,
  type Handler,
  type Asked,
} from "@redoubt/wire";
import { FakeLog } from "./fake-log.ts";
import { FakeService, type FakePlace } from "./fake-service.ts";

export type Honest = () => Promise<Answer>;

/** Says something else than the honest ledger would. */
type Misbehaviour = (call: Call, honest: Honest) => Answer | Promise<Answer>;

interface FakeWitness {
  readonly signer: NoteSigner;
  readonly nowSeconds: () => number;
  isUp: boolean;
}

interface FakeLogs {
  readonly registry: FakeLog;
  readonly issuance?: FakeLog;
}

type RegistryItemShown = Answered<typeof LEDGER.registry>["items"][number];

const READERS_OF_ALL: readonly string[] = ["operator", "monitor", "publisher"];

/** A ledger that keeps its logs in memory, and lies on command. */
export class FakeLedger extends FakeService {
  readonly registry: FakeLog;
  readonly issuance: FakeLog;
  /** Further logs, such as took the place of `issuance`. */
  readonly successors: FakeLog[] = [];
  readonly witness: FakeWitness;
  readonly calls: Call[] = [];
  /** Logs that answer nothing any more. */
  readonly halted = new Set<string>();
  isDown = false;
  misbehave: Misbehaviour | undefined;
  /** Of one answer to `registry`. */
  pageItems = 64;
  readonly #routes = routesByName([
    route(LEDGER.openLog, ({ log }, call) => this.#position(this.#log(log, call))),
    route(LEDGER.state, ({ log }, call) => this.#state(this.#log(log, call))),
    route(LEDGER.commit, (request, call) => this.#commit(request, call)),
    route(LEDGER.append, (request, call) => this.#append(request, call)),
    routeWithBytes(LEDGER.entries, (request, call) => this.#entries(request, call)),
    routeWithBytes(LEDGER.batch, ({ log, index }, call) => batchOf(this.#log(log, call), index)),
    route(LEDGER.registry, (request, call) => this.#registry(request, call)),
    route(LEDGER.prove, (request, call) => this.#prove(request, call)),
    route(LEDGER.proveGrowth, ({ log, ...sizes }, call) => {
      const { size1, size2 } = sizes;
      const found = this.#log(log, call);
      if (size2 < size1) throw new ServiceError("ERR_LEDGER_NOT_FOUND", "Sizes are not in order");
      const checkpoint = checkpointAt(found, size2);
      return { ...sizes, proof: found.proveGrowth(size1, size2), checkpoint };
    }),
    route(LEDGER.find, ({ log, digest }, call) => {
      const index = this.#log(log, call).indexOf(digest);
      if (index < 0) throw new ServiceError("ERR_LEDGER_NOT_FOUND", "No entry has this digest");
      return { index };
    }),
    route(LEDGER.logs, () => ({
      logs: this.#logs.map(({ origin, key, writer, size }) => ({
        log: origin,
        vkey: encodeVerifierKey(key),
        writer: writer ? encodeVerifierKey(writer) : null,
        size,
      })),
    })),
    // Grown or not, whoever waits looks for itself.
    route(LEDGER.wait, ({ log }, call) => ({ size: this.#log(log, call).size })),
    route(LEDGER.restore, () => {
      throw new ServiceError("ERR_LEDGER_RESTORE", "The registry is not halted");
    }),
  ]);

  /** `place`: where it listens, once it is started. */
  constructor(
    { registry, issuance = new FakeLog("issuance") }: FakeLogs,
    witness: FakeWitness = silent(),
    place?: FakePlace,
  ) {
    super(place);
    this.registry = registry;
    this.issuance = issuance;
    this.witness = witness;
  }

  readonly handler: Handler = (call) => {
    if (this.isDown) throw new WireError("ERR_WIRE_CLOSED", "Ledger is down");
    this.calls.push(call);
    const honest: Honest = () => this.#honest(call);
    return this.misbehave ? this.misbehave(call, honest) : honest();
  };

  /** What the witness holds: it is the ledger that brings it every checkpoint. */
  readonly witnessed = (question: WitnessedQuestion): string => {
    const held = this.#logs.find(({ origin }) => origin === question.log)?.witnessed;
    const { signer, nowSeconds } = this.witness;
    const by = { signer, timeSeconds: nowSeconds() };
    return cosignWitnessed(question, held ?? { size: 0, root: EMPTY_ROOT }, by);
  };

  commits(): readonly Call[] {
    return this.calls.filter(({ op }) => op === "commit");
  }

  get #logs(): readonly FakeLog[] {
    return [this.registry, this.issuance, ...this.successors];
  }

  #log(named: string, { caller }: Call): FakeLog {
    const log = this.#logs.find(({ origin }) => origin === named);
    if (log && this.halted.has(named))
      throw new ServiceError("ERR_LEDGER_HALTED", `Log ${named} is halted`);
    if (log) return log;
    const code = READERS_OF_ALL.includes(caller) ? "ERR_LEDGER_NOT_FOUND" : "ERR_LEDGER_DENIED";
    throw new ServiceError(code, "No such log");
  }

  async #honest(call: Call): Promise<Answer> {
    const found = this.#routes.get(call.op);
    if (!found) throw new ServiceError("ERR_REQUEST_OP", "Unknown operation");
    return found.handle(call);
  }

  #position(log: FakeLog): Answered<typeof LEDGER.openLog> {
    if (this.witness.isUp) log.cosign(this.witness.signer, this.witness.nowSeconds());
    const { origin, key, size, checkpoint, cosigned } = log;
    return { log: origin, vkey: encodeVerifierKey(key), size, checkpoint, cosigned };
  }

  #state(log: FakeLog): Answered<typeof LEDGER.state> {
    return { ...this.#position(log), hashes: log.range().hashes() };
  }

  #entries({ log, from, max }: Asked<typeof LEDGER.entries>, call: Call) {
    const found = this.#log(log, call);
    const entries = found.entries.slice(from, from + max);
    const { size, checkpoint, cosigned } = found;
    return {
      answer: { from, count: entries.length, size, checkpoint, cosigned },
      attachment: Buffer.concat(entries.flatMap((one) => [Buffer.of(0, one.length), one])),
    };
  }

  #registry(
    { from, max }: Asked<typeof LEDGER.registry>,
    call: Call,
  ): Answered<typeof LEDGER.registry> {
    const { size, checkpoint, cosigned } = this.#log(this.registry.origin, call);
    const page = this.registry.items.slice(from, from + Math.min(max, this.pageItems));
    const items = page.map((item) => shownTo(call.caller, item));
    return { from, size, checkpoint, cosigned, items };
  }

  #prove(
    { log, index, size: atSize }: Asked<typeof LEDGER.prove>,
    call: Call,
  ): Answered<typeof LEDGER.prove> {
    const found = this.#log(log, call);
    const size = atSize ?? found.size;
    const checkpoint = checkpointAt(found, size);
    const leaf = found.entries[index];
    if (!leaf || index >= size) throw new ServiceError("ERR_LEDGER_NOT_FOUND", "No such entry");
    return { index, size, leaf, proof: found.prove(index, size), checkpoint };
  }

  #append({ log, ifSize, ...said }: Asked<typeof LEDGER.append>, call: Call) {
    if (this.#log(log, call) !== this.registry)
      throw new ServiceError("ERR_LEDGER_DENIED", "Not the registry");
    if (ifSize !== undefined && ifSize !== this.registry.size)
      throw new ServiceError("ERR_LEDGER_SIZE", "Registry moved");
    const parsed = parseStatement(said.statement);
    credentialsOf(parsed, said.credentials);
    if (parsed.type === "client" && parsed.credentialsHash !== undefined && !said.credentials)
      throw new ServiceError("ERR_LEDGER_BODY", "Credentials are missing");
    const index = this.state(said);
    return { index, size: this.registry.size, checkpoint: this.registry.checkpoint };
  }

  /** Puts a statement into the registry, as the operator would. */
  state(
    said: Omit<SignedStatement, "entry"> & { readonly credentials?: Buffer | undefined },
  ): number {
    const entry = registryEntry(said.statement, said.envelope);
    return this.registry.state({ ...said, entry });
  }

  #commit(
    { log: origin, first, checkpoint: note, entriesBytes }: Asked<typeof LEDGER.commit>,
    call: Call,
  ): Answered<typeof LEDGER.commit> {
    const { attachment } = call;
    if (READERS_OF_ALL.includes(call.caller))
      throw new ServiceError("ERR_LEDGER_DENIED", "Not the writer");
    const log = this.#log(origin, call);
    const { size, root } = openWriters(note, log);
    const held = log.batchAt(first);
    if (held?.bytes?.equals(attachment) && held.writerNote === note)
      return { size, checkpoint: checkpointAt(log, size) };
    if (first !== log.size)
      throw new ServiceError("ERR_LEDGER_SIZE", `Log has ${log.size}`, {
        fields: { size: log.size },
      });
    const entries = parseEntryBundle(attachment.subarray(0, entriesBytes));
    const range = log.range();
    range.appendEntries(entries);
    if (range.size !== size || !range.root().equals(root))
      throw new ServiceError("ERR_LEDGER_ROOT", "Another tree");
    log.append(entries, Buffer.from(attachment), note);
    return { size, checkpoint: checkpointAt(log, size) };
  }
}

/** Only batches of one entry are read so. */
function batchOf(log: FakeLog, index: number) {
  const { entries, bytes } = log.batchAt(index) ?? {};
  if (!entries || !bytes) throw new ServiceError("ERR_LEDGER_NOT_FOUND", "No batch begins here");
  const answer = {
    first: index,
    count: entries.length,
    entriesBytes: encodeEntryBundle(entries).length,
  };
  return { answer, attachment: bytes };
}

/** Of whom nothing was ever heard. */
function silent(): FakeWitness {
  const signer = ed25519Cosigner("witness", generateKeyPairSync("ed25519").privateKey);
  return { signer, nowSeconds: () => 0, isUp: false };
}

/** The honest answer with some members changed. */
export async function changed(honest: Honest, members: object): Promise<Answer> {
  return { head: { ...(await honest()).head, ...members } };
}

/** docs/spec/logs.md §4. */
function shownTo(caller: string, { credentials, ...item }: RegistryItemShown): RegistryItemShown {
  const isRestricted = caller === "publisher" || caller.startsWith("issuer-");
  if (!item.statement || (!isRestricted && !credentials)) return item;
  const statement = parseStatement(item.statement);
  if (!seesStatement(caller, statement)) return { entry: item.entry };
  return { ...item, ...(credentials && seesCredentials(caller, statement) && { credentials }) };
}

function checkpointAt(log: FakeLog, size: number): string {
  const checkpoint = log.checkpointAt(size);
  if (checkpoint !== undefined) return checkpoint;
  throw new ServiceError("ERR_LEDGER_NOT_FOUND", `No batch ends at ${size}`);
}

/** Size and root that a note claims. Where the log's writer is not known, that one's own tests check its signature. */
function openWriters(note: string, { origin, writer }: FakeLog) {
  if (!writer) return parseCheckpoint(parseNote(note).body);
  try {
    return openCheckpoint(note, { origin, verifiers: [writer] });
  } catch (cause) {
    throw new ServiceError("ERR_LEDGER_WRITER", "Not signed by the writer", { cause });
  }
}
