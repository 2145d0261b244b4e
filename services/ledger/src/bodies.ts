import { credentialsOf, parseStatement, registryEntry } from "@redoubt/registry";
import { BodyCommitments, joinBlobs, splitBlobs } from "@redoubt/wire";
import type { LogKind } from "./entries.ts";
import { historyError, refusal } from "./errors.ts";

/** docs/spec/logs.md §1: after the tag and the digest of the signing input. */
const COMMITMENT_OFFSET = 33;

/**
 * Checks that these are exactly the bodies that the entries commit to: none changed, none missing, none left over.
 * Commits check it before anything is stored, and the audit checks what is stored (THREAT-06). The ledger cannot open
 * sealed bodies.
 *
 * @throws ServiceError `ERR_LEDGER_BODY`, WireError `ERR_WIRE_FRAME`
 */
export function checkBodies(kind: LogKind, entries: readonly Buffer[], bodies: Buffer): void {
  if (kind === "issuance") checkSealedBlobs(entries, splitBlobs(bodies, entries.length));
  else checkStatement(entries, bodies);
}

/**
 * THREAT-35: no entry says to which blob it belongs. But the entries of one blob stand in the order of its bodies, so
 * that for each blob exactly one commitment may come next.
 */
function checkSealedBlobs(entries: readonly Buffer[], blobs: readonly Buffer[]): void {
  const next = new Map<string, SealedBlob>();
  for (const bytes of blobs) {
    const blob = new SealedBlob(bytes);
    next.set(blob.commitment, blob);
  }
  let unused = blobs.length;
  for (const [i, entry] of entries.entries()) {
    const commitment = entry.toString("latin1", COMMITMENT_OFFSET);
    const blob = next.get(commitment);
    if (!blob) throw refusal("ERR_LEDGER_BODY", `No sealed body has the commitment of entry ${i}`);
    if (blob.position === 0) unused -= 1;
    next.delete(commitment);
    blob.position += 1;
    next.set(blob.commitment, blob);
  }
  if (unused > 0) throw refusal("ERR_LEDGER_BODY", `${unused} sealed blobs have no entry`);
}

class SealedBlob {
  position = 0;
  readonly #commitments: BodyCommitments;

  constructor(bytes: Buffer) {
    this.#commitments = new BodyCommitments(bytes);
  }

  /** Of the body at `position`, as text: the key of a map. */
  get commitment(): string {
    return this.#commitments.of(this.position).toString("latin1");
  }
}

function checkStatement([entry, ...more]: readonly Buffer[], bodies: Buffer): void {
  const { statement, envelope, credentials } = splitStatement(bodies);
  if (more.length > 0 || !entry || !registryEntry(statement, envelope).equals(entry))
    throw refusal("ERR_LEDGER_BODY", "Statement and envelope are not those of the entry");
  if (credentials) credentialsOf(parseStatement(statement), credentials);
}

/** A statement and its envelope as they came, with the document whose hash a client's statement names. */
export interface StatementBodies {
  readonly statement: Buffer;
  readonly envelope: Buffer;
  readonly credentials?: Buffer | undefined;
}

export function joinStatement({ statement, envelope, credentials }: StatementBodies): Buffer {
  return joinBlobs([statement, envelope, ...(credentials ? [credentials] : [])]);
}

/** The reverse of `joinStatement`. @throws ServiceError `ERR_LEDGER_HISTORY`, WireError `ERR_WIRE_FRAME` */
export function splitStatement(blobs: Buffer): StatementBodies {
  const [statement, envelope, credentials] = splitBlobs(blobs, 3);
  if (!statement || !envelope) throw historyError("Registry bodies are missing");
  return { statement, envelope, credentials };
}
