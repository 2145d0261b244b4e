import { hash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { errorCode, MemberReader, nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import {
  encodeProofFile,
  hashLeaf,
  isDatedAhead,
  parseCheckpoint,
  parseNote,
  SIGNATURE_TYPE,
  verifyProofFile,
} from "@redoubt/tlog";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import { EXIT, type CommandContext } from "../command.ts";
import { Operator } from "../operator.ts";
import { enterRunning } from "../running.ts";
import { finding, isFinding } from "./finding.ts";
import { systemKeys, type LogKeys } from "./log-keys.ts";

export interface LoggedToken {
  readonly log: string;
  readonly index: number;
  readonly size: number;
  /** base64url SHA-256 of the signing input. */
  readonly digest: string;
  /** The 65 public bytes, base64url. */
  readonly entry: string;
  readonly cosigned: boolean;
  /** C2SP tlog-proof; its extra data is the entry, so that the file proves the digest alone. */
  readonly proof: string;
}

type AskLedger = (head: object) => Promise<JsonObject>;

const DIGEST = /^[\w-]{43}$/;
const MAX_SIZE = Number.MAX_SAFE_INTEGER;
const MAX_NOTE = 64 * 1024;
const COSIGN_ATTEMPTS = 30;
const COSIGN_PAUSE_MS = 200;

export async function ledgerProve(
  { folder, terminal }: CommandContext,
  subject: string,
): Promise<number> {
  const digest = digestOf(subject);
  const { settings } = await enterRunning(folder);
  await using operator = new Operator("", settings);
  const keys = systemKeys(settings, await operator.readRegistry());
  const ask: AskLedger = (head) => operator.ask("ledger", head);
  try {
    const found = await proveDigest(ask, keys, digest, nowSeconds(systemClock));
    terminal.result({ json: found, text: found.proof.trimEnd() });
    return EXIT.ok;
  } catch (error) {
    if (!isFinding(error)) throw error;
    terminal.result({
      json: { digest, code: errorCode(error), message: error.message },
      text: `REFUSED ${errorCode(error)}: ${error.message}`,
    });
    return EXIT.refused;
  }
}

/** A digest as it is, or that of a token; docs/spec/logs.md §1. */
export function digestOf(subject: string): string {
  if (DIGEST.test(subject)) return subject;
  const segments = subject.split(".");
  if (segments.length !== 3 || segments.some((segment) => !/^[\w-]+$/.test(segment)))
    throw new ServiceError(
      "ERR_OPTION",
      "Name a digest (43 characters of base64url) or a whole token",
    );
  return hash("sha256", segments.slice(0, 2).join("."), "base64url");
}

export async function proveDigest(
  ask: AskLedger,
  keys: ReadonlyMap<string, LogKeys>,
  digest: string,
  now: number,
): Promise<LoggedToken> {
  for (const [log, logKeys] of keys) {
    const index = await find(ask, log, digest);
    if (index === undefined) continue;
    return await prove(ask, { log, keys: logKeys, digest, index, now });
  }
  throw finding("ERR_LOG_MISSING", `No log has an entry for ${digest}: nobody issued this token`);
}

async function find(ask: AskLedger, log: string, digest: string): Promise<number | undefined> {
  try {
    const answer = new MemberReader(await ask({ op: "find", log, digest }), "find");
    return answer.integer("index", 0, MAX_SIZE);
  } catch (error) {
    if (errorCode(error) === "ERR_LEDGER_NOT_FOUND") return undefined;
    throw error;
  }
}

interface Subject {
  readonly log: string;
  readonly keys: LogKeys;
  readonly digest: string;
  readonly index: number;
  /** POSIX seconds. */
  readonly now: number;
}

/** The ledger is not trusted: what it answers counts only when the proof verifies. */
async function prove(
  ask: AskLedger,
  { log, keys, digest, index, now }: Subject,
): Promise<LoggedToken> {
  const atSize = await cosignedSize(ask, log, index);
  const size = atSize === undefined ? {} : { size: atSize };
  const reader = new MemberReader(await ask({ op: "prove", log, index, ...size }), "proof");
  const entry = decodeBase64url(reader.string("leaf", 128), { maxBytes: 65 });
  const hashes = reader
    .strings("proof", 63, 64)
    .map((text) => decodeBase64url(text, { bytes: 32 }));
  const checkpoint = reader.string("checkpoint", MAX_NOTE);
  if (entry.subarray(1, 33).toString("base64url") !== digest)
    throw finding("ERR_LOG_PROOF", "Ledger proves another entry than the one asked for");
  const proof = encodeProofFile({ index, proof: hashes, checkpoint, extra: entry });
  const leafHash = hashLeaf(entry);
  const verifiers = [...keys.required, ...keys.optional];
  const { checkpoint: signed } = verifyProofFile(proof, { leafHash, origin: log, verifiers });
  for (const { name, keyId } of keys.required)
    if (!signed.verified.some((one) => one.name === name && one.keyId === keyId))
      throw finding("ERR_LOG_PROOF", `Checkpoint of the proof is not signed by ${name}`);
  // THREAT-37: one that is dated ahead vouches for nothing.
  const cosigned = signed.verified.some(
    (one) => one.type === SIGNATURE_TYPE.cosignature && !isDatedAhead(one.timeSeconds, now),
  );
  return { log, index, size: signed.size, digest, entry: encodeBase64url(entry), cosigned, proof };
}

/** P3: cosignatures follow within seconds, and a proof is worth more with one; without one it is still a proof. */
async function cosignedSize(
  ask: AskLedger,
  log: string,
  index: number,
): Promise<number | undefined> {
  for (let attempt = 0; attempt < COSIGN_ATTEMPTS; attempt += 1) {
    const { cosigned: note } = await ask({ op: "state", log });
    // Whether it is a cosignature at all is for the proof's own check: this only chooses the size to ask for.
    const size = typeof note === "string" && note !== "" ? unverifiedSize(note) : 0;
    if (size > index) return size;
    await pause(COSIGN_PAUSE_MS);
  }
  return undefined;
}

function unverifiedSize(note: string): number {
  return parseCheckpoint(parseNote(note).body).size;
}
