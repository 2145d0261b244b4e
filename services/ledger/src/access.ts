import type { Statement } from "@redoubt/registry";
import { refusal } from "./errors.ts";
import type { Log } from "./log.ts";

/** Callers are named by the socket they came in on (docs/spec/wire.md §1), never by a message. */
const SIGNER = "signer-";
const ISSUER = "issuer-";
const BROKER = "broker";

const READERS_OF_ALL: readonly string[] = ["operator", "monitor", "publisher"];

export function readsAll(caller: string): boolean {
  return READERS_OF_ALL.includes(caller);
}

export function canRead(caller: string, log: Log): boolean {
  if (readsAll(caller)) return true;
  if (log.identity.kind === "registry")
    return caller.startsWith(SIGNER) || caller.startsWith(ISSUER);
  return log.identity.caller === caller;
}

/** One writer per log: even the operator cannot add an entry to an issuance log. */
export function canCommit(caller: string, log: Log): boolean {
  return log.identity.kind === "issuance" && log.identity.caller === caller;
}

export function canOpen(caller: string, log: Log): boolean {
  return log.identity.kind === "issuance" && (caller === "operator" || canCommit(caller, log));
}

export function canFind(caller: string): boolean {
  return caller === "operator" || caller === "monitor";
}

/**
 * Sealed bodies say in clear whose tenant and day they are (THREAT-35), and only the operator can have one opened. What is
 * kept beside a grant is evidence and what it was held to, nobody's data: the publisher shows it beside keys.
 */
export function canReadBodies(caller: string, { identity }: Log): boolean {
  if (identity.kind !== "issuance") return false;
  return caller === "operator" || (caller === "publisher" && identity.caller === BROKER);
}

/**
 * docs/spec/wire.md §4: the operator appends any statement, a signer only what its own realm's ring key may say.
 * Whether the author really is the ring is for everybody who folds the log to decide, not for the ledger.
 */
export function checkAppend(caller: string, statement: Statement): void {
  if (caller === "operator") return;
  if (!isOfRing(statement) || caller !== `${SIGNER}${statement.realm}`)
    throw refusal("ERR_LEDGER_DENIED", `${caller} may not append this statement`);
}

/** Whether a statement is one that a realm's ring key signs: of its keys, and in its own name. */
export function isOfRing(statement: Statement): statement is RingStatement {
  const { type } = statement;
  return (
    type === "key" || type === "key-state" || (type === "key-retain" && statement.by === "ring")
  );
}

type RingStatement = Extract<Statement, { readonly type: "key" | "key-state" | "key-retain" }>;
