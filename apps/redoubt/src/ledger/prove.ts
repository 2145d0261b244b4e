import { hash } from "node:crypto";
import { errorCode, nowSeconds, ServiceError, SHA256, systemClock } from "@redoubt/base";
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
import { ask, LEDGER, type Requester } from "@redoubt/wire";
import { EXIT, type CommandContext } from "../command.ts";
import { withOperator } from "../operator.ts";
import { lookUntil } from "../wait.ts";
import { finding, isFinding } from "./finding.ts";
import { missingSigner, tokenKeys, type LogKeys } from "./log-keys.ts";

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

const COSIGN_PATIENCE = { timeoutMs: 6000, pollMs: 200 };

export function ledgerProve(context: CommandContext, subject: string): Promise<number> {
  const { terminal } = context;
  const digest = digestOf(subject);
  return withOperator(context, async (operator, { settings }) => {
    const keys = tokenKeys(settings, await operator.readRegistry());
    const now = nowSeconds(systemClock);
    try {
      const found = await proveDigest(operator.client("ledger"), keys, digest, now);
      terminal.result({ json: found, text: found.proof.trimEnd() });
      return EXIT.ok;
    } catch (error) {
      if (!isFinding(error)) throw error;
      const { message } = error;
      const code = errorCode(error);
      terminal.result({ json: { digest, code, message }, text: `REFUSED ${code}: ${message}` });
      return EXIT.refused;
    }
  });
}

/** A digest as it is, or that of a token; docs/spec/logs.md §1. */
export function digestOf(subject: string): string {
  if (SHA256.test(subject)) return subject;
  const segments = subject.split(".");
  if (segments.length !== 3 || segments.some((segment) => !/^[\w-]+$/.test(segment)))
    throw new ServiceError(
      "ERR_OPTION",
      "Name a digest (43 characters of base64url) or a whole token",
    );
  return hash("sha256", segments.slice(0, 2).join("."), "base64url");
}

export async function proveDigest(
  ledger: Requester,
  keys: ReadonlyMap<string, LogKeys>,
  digest: string,
  now: number,
): Promise<LoggedToken> {
  const wanted = decodeBase64url(digest, { bytes: 32 });
  for (const [log, logKeys] of keys) {
    const index = await find(ledger, log, wanted);
    if (index === undefined) continue;
    return await prove(ledger, { log, keys: logKeys, digest, index, now });
  }
  throw finding("ERR_LOG_MISSING", `No log has an entry for ${digest}: nobody issued this token`);
}

async function find(ledger: Requester, log: string, digest: Buffer): Promise<number | undefined> {
  try {
    return (await ask(ledger, LEDGER.find, { log, digest })).index;
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
  ledger: Requester,
  { log, keys, digest, index, now }: Subject,
): Promise<LoggedToken> {
  const size = await cosignedSize(ledger, log, index);
  const answer = await ask(ledger, LEDGER.prove, { log, index, size });
  const { leaf: entry, proof: hashes, checkpoint } = answer;
  if (entry.subarray(1, 33).toString("base64url") !== digest)
    throw finding("ERR_LOG_PROOF", "Ledger proves another entry than the one asked for");
  const proof = encodeProofFile({ index, proof: hashes, checkpoint, extra: entry });
  const leafHash = hashLeaf(entry);
  const verifiers = [...keys.required, ...keys.optional];
  const { checkpoint: signed } = verifyProofFile(proof, { leafHash, origin: log, verifiers });
  const missing = missingSigner(keys, signed.verified);
  if (missing !== undefined)
    throw finding("ERR_LOG_PROOF", `Checkpoint of the proof is not signed by ${missing}`);
  // THREAT-37: one that is dated ahead vouches for nothing.
  const cosigned = signed.verified.some(
    (one) => one.type === SIGNATURE_TYPE.cosignature && !isDatedAhead(one.timeSeconds, now),
  );
  return { log, index, size: signed.size, digest, entry: encodeBase64url(entry), cosigned, proof };
}

/** P3: cosignatures follow within seconds. Waits for one that covers the entry; undefined if none comes in time. */
async function cosignedSize(
  ledger: Requester,
  log: string,
  index: number,
): Promise<number | undefined> {
  const size = await lookUntil(
    async () => {
      const { cosigned: note } = await ask(ledger, LEDGER.state, { log });
      // Whether it is a cosignature at all is for the proof's own check: this only chooses the size to ask for.
      return note === "" ? 0 : unverifiedSize(note);
    },
    (found) => found > index,
    COSIGN_PATIENCE,
  );
  return size > index ? size : undefined;
}

function unverifiedSize(note: string): number {
  return parseCheckpoint(parseNote(note).body).size;
}
