import { hash } from "node:crypto";
import { nowSeconds, type Clock } from "@redoubt/base";
import {
  cosignCheckpoint,
  cosignWitnessed,
  encodeWitnessSize,
  parseAddCheckpointRequest,
  parseNote,
  verifyCosignature,
  WITNESS_SIZE_MEDIA_TYPE,
  type NoteSigner,
  type OpenedCheckpoint,
  type UnverifiedAddCheckpoint,
  type VerifierKey,
  type WitnessedQuestion,
} from "@redoubt/tlog";
import type { Alarms } from "../alarms/alarms.ts";
import { monitorError } from "../errors.ts";
import type { Claims } from "./claims.ts";
import { attempt, grows, judgeSignatures, type FindLog } from "./log-keys.ts";
import type { Held, WitnessStore } from "./witness-store.ts";

export interface WitnessAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422;
  readonly body: string;
  readonly contentType?: string;
  /** The log grew. A checkpoint that was cosigned before is no news: it is public, and anybody can send it again. */
  readonly isNews?: boolean;
}

export interface WitnessParts {
  readonly store: WitnessStore;
  readonly alarms: Alarms;
  readonly claims: Claims;
  readonly clock: Pick<Clock, "now">;
  readonly cosigner: NoteSigner;
  /** Our own verifier key, to recognise what we once signed. */
  readonly self: VerifierKey;
  readonly findLog: FindLog;
  /** A checkpoint of this log was cosigned. */
  readonly onCosigned: (origin: string) => void;
}

const MAX_EVIDENCE_CHARS = 8192;

/** C2SP tlog-witness. Every byte of a request is anybody's who reaches the port. */
export class Witness {
  readonly #parts: WitnessParts;

  constructor(parts: WitnessParts) {
    this.#parts = parts;
  }

  addCheckpoint(body: Uint8Array): WitnessAnswer {
    const request = parseRequest(body);
    if (!request) return { status: 400, body: "Malformed request\n" };
    const { origin } = request.unverified;
    const keys = this.#parts.findLog(origin);
    if (!keys) return { status: 404, body: "Unknown log\n" };
    const verdict = judgeSignatures(request.checkpoint, keys);
    if (verdict.kind === "unknown") return { status: 403, body: "Not signed by the log\n" };
    const { checkpoint } = verdict;
    if (verdict.kind === "unsigned-batch") {
      this.#claim("unsigned-batch", checkpoint, request.checkpoint);
      return { status: 403, body: "Not signed by the writer\n" };
    }
    this.checkOwnCosignature(origin, request.checkpoint);
    return this.#parts.store.transaction(() => this.#decide(checkpoint, request));
  }

  /**
   * The newest checkpoint that was cosigned of the log whose origin has this SHA-256 (hex), with the cosignature. A
   * ledger that lost its newest entries halts by it (design note 0006): the log itself signed it, while nobody signs
   * the answer 409.
   */
  newest(originHash: string): string | undefined {
    const { store } = this.#parts;
    const origin = store.origins().find((one) => hash("sha256", one, "hex") === originHash);
    return origin === undefined ? undefined : store.held(origin).note;
  }

  /**
   * THREAT-38: what we hold of a log now, for a signer that starts.
   * @throws ServiceError `ERR_MONITOR_HALTED` for a log that is cosigned no more
   */
  witnessed(question: WitnessedQuestion): string {
    const { store, clock, cosigner } = this.#parts;
    if (store.isHalted(question.log))
      throw monitorError("ERR_MONITOR_HALTED", `The witness has halted ${question.log}`);
    const by = { signer: cosigner, timeSeconds: nowSeconds(clock) };
    return cosignWitnessed(question, store.held(question.log), by);
  }

  /**
   * THREAT-30: a cosignature of ours for a larger tree than we remember means that our memory is an old copy.
   * Going on from it could sign a second history.
   */
  checkOwnCosignature(origin: string, note: string): void {
    const { store, alarms, self, clock } = this.#parts;
    const size = cosignedSize(note, origin, self);
    const { size: held } = store.held(origin);
    if (size === undefined || size <= held || store.isHalted(origin)) return;
    store.halt(origin, nowSeconds(clock), "witness-rollback");
    alarms.raise({
      kind: "witness-rollback",
      subject: origin,
      log: origin,
      detail: { held, cosigned: size, note: bounded(note) },
    });
  }

  isHalted(origin: string): boolean {
    return this.#parts.store.isHalted(origin);
  }

  /** THREAT-06: two histories. The log is never cosigned nor followed again. */
  halt(origin: string, shown: string, why: string): void {
    const { store, alarms, clock } = this.#parts;
    if (store.isHalted(origin)) return;
    const held = bounded(store.held(origin).note);
    store.halt(origin, nowSeconds(clock), "fork");
    const detail = { why, held, shown: bounded(shown) };
    alarms.raise({ kind: "fork", subject: origin, log: origin, detail });
  }

  #decide(checkpoint: OpenedCheckpoint, request: UnverifiedAddCheckpoint): WitnessAnswer {
    const { origin, size, root } = checkpoint;
    const { store } = this.#parts;
    if (store.isHalted(origin)) return { status: 403, body: "Log is halted\n" };
    const held = store.held(origin);
    // Both are signed: nothing more is needed to prove two histories, whatever the old size says.
    if (size === held.size && !root.equals(held.root)) {
      this.halt(origin, request.checkpoint, "two roots for one size");
      return conflict(held);
    }
    if (request.oldSize !== held.size) return conflict(held);
    if (!grows(held, checkpoint, request.proof)) {
      this.#claim("fork", checkpoint, request.checkpoint);
      return { status: 422, body: "Consistency proof does not verify\n" };
    }
    return { ...this.#cosign(checkpoint, request.checkpoint), isNews: size > held.size };
  }

  /** Persists, then signs: within the transaction, so that no answer leaves before it is committed. */
  #cosign(checkpoint: OpenedCheckpoint, note: string): WitnessAnswer {
    const { store, clock, cosigner, onCosigned } = this.#parts;
    const { origin, size, root, body } = checkpoint;
    const line = cosignCheckpoint(body, nowSeconds(clock), cosigner);
    store.put(origin, { size, root, note: `${signedPart(note, checkpoint)}${line}` });
    this.#claim("witnessed", checkpoint, note);
    onCosigned(origin);
    return { status: 200, body: line };
  }

  #claim(
    kind: "witnessed" | "fork" | "unsigned-batch",
    { origin, size, root }: OpenedCheckpoint,
    note: string,
  ): void {
    this.#parts.claims.add({ kind, origin, size, root, note: bounded(note) });
  }
}

function parseRequest(body: Uint8Array): UnverifiedAddCheckpoint | undefined {
  return attempt(() => parseAddCheckpointRequest(body));
}

function cosignedSize(note: string, origin: string, self: VerifierKey): number | undefined {
  const checkpoint = attempt(() => verifyCosignature(note, self))?.checkpoint;
  return checkpoint?.origin === origin ? checkpoint.size : undefined;
}

/**
 * The note with the verified signatures alone. Anybody can add other lines, which would take the place of those that
 * count.
 */
function signedPart(note: string, { body, verified }: OpenedCheckpoint): string {
  const { signatures } = parseNote(note);
  const lines = note.slice(body.length + 1).split("\n");
  const places = verified.map(({ name, keyId }) =>
    signatures.findIndex((one) => one.name === name && one.keyId === keyId),
  );
  return `${body}\n${places.map((place) => `${lines[place]}\n`).join("")}`;
}

function conflict({ size }: Held): WitnessAnswer {
  return { status: 409, body: encodeWitnessSize(size), contentType: WITNESS_SIZE_MEDIA_TYPE };
}

function bounded(note: string): string {
  return note.slice(0, MAX_EVIDENCE_CHARS);
}
