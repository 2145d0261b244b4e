import type { FoldResult, RegistryItem } from "./registry-types.ts";
import { parseStatement } from "./statement-parser.ts";
import type { Statement } from "./statement-types.ts";

/** What decides which keys an issuer's JWKS lists; a root can name another ring key. */
const OF_KEY_SETS: readonly string[] = [
  "realm",
  "writer",
  "broker",
  "log-closed",
  "tenant",
  "key",
  "key-state",
  "key-retain",
  "root",
];
/** What an issuer folds of its own realm: it acts on what enrolled people approve, so it verifies that (P8). */
const OF_CLIENTS: readonly string[] = ["realm", "tenant", "client", "enrolment"];

/**
 * docs/spec/logs.md §4: whose statements the ledger shows to a caller of its socket. To everybody else they are an
 * entry, whose digests tell nothing.
 */
export function seesStatement(caller: string, statement: Statement): boolean {
  if (caller === "operator" || caller === "monitor" || caller.startsWith("signer-")) return true;
  const { type } = statement;
  if (caller === "publisher") return OF_KEY_SETS.includes(type);
  if (!caller.startsWith("issuer-")) return false;
  // A root can name another operator.
  return type === "root" || (OF_CLIENTS.includes(type) && isOfIssuer(caller, statement));
}

/** The same of an item that was folded; of one without its body it cannot be told, and is false. */
export function isShownTo(
  caller: string,
  { statement }: RegistryItem,
  result: FoldResult,
): boolean {
  if (result.kind === "applied") return seesStatement(caller, result.statement);
  const isMalformed = result.kind === "void" && result.code === "ERR_STATEMENT_MALFORMED";
  return statement && !isMalformed ? seesStatement(caller, parseStatement(statement)) : false;
}

/** THREAT-34: what a client proves itself with is for its own issuer, and for the operator who said it. */
export function seesCredentials(caller: string, statement: Statement): boolean {
  return caller === "operator" || isOfIssuer(caller, statement);
}

function isOfIssuer(caller: string, statement: Statement): boolean {
  return "realm" in statement && caller === `issuer-${statement.realm}`;
}
