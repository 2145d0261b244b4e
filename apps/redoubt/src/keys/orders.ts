import { errorCode, MemberReader, ServiceError } from "@redoubt/base";
import type { KeyInfo } from "@redoubt/keys";
import { RemoteError, WireError } from "@redoubt/wire";
import { REALMS, type Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";
import { span } from "../table.ts";

/** Which key signed before, and which does now. */
export interface Takeover {
  readonly realm: Realm;
  readonly kid: string;
  /** Null where nothing changed, or nothing signed. */
  readonly before: string | null;
  readonly presence: string;
}
export interface TaintResult {
  readonly realm: Realm;
  readonly kid: string;
  readonly state: string;
  /** The key of the same ring that signs now; null while none can. */
  readonly active: string | null;
  readonly presence: string;
}
export interface RetainResult {
  readonly realm: Realm;
  readonly kid: string;
  readonly retained: boolean;
  readonly presence: string;
  /** Whose statement is in the registry now that was not before. */
  readonly written: "by-signer" | "by-operator" | "nothing";
}

export type Asker = Pick<Operator, "ask">;
const KID = /^[\w-]{43}$/;

/** P6: `early` lets a key sign that some verifier may not know yet; a signer that does not know the word refuses it. */
interface Wish {
  readonly reason: string;
  readonly early: boolean;
}

/** A standby that every verifier knows signs in place of the active key. */
export async function rotate(
  operator: Asker,
  realm: Realm,
  { tokenClass, ...wish }: Wish & { readonly tokenClass: string },
): Promise<Takeover> {
  const head = { op: "rotate", class: tokenClass, ...wishHead(wish) };
  const answer = await order(operator, realm, head);
  return takeover(realm, answer);
}

/** A key that was replaced signs again. */
export async function rollBack(operator: Asker, key: KeyInfo, reason: string): Promise<Takeover> {
  const realm = realmOf(key);
  return takeover(realm, await order(operator, realm, { op: "rollback", kid: key.kid, reason }));
}

/** THREAT-12: nothing is signed under the key any more. */
export async function taint(operator: Asker, key: KeyInfo, wish: Wish): Promise<TaintResult> {
  const realm = realmOf(key);
  const answer = await order(operator, realm, { op: "taint", kid: key.kid, ...wishHead(wish) });
  const result = {
    realm,
    kid: answer.string("kid", 43, KID),
    state: answer.oneOf("state", ["tainted", "revoked"]),
    active: kidOrNull(answer, "active"),
    presence: answer.string("presence", 32),
  };
  answer.done();
  return result;
}

/** THREAT-11: automation must keep the key published; `by` says whose word it is. */
export async function retain(
  operator: Pick<Operator, "ask" | "state">,
  key: KeyInfo,
  wish: { readonly retain: boolean; readonly by: "ring" | "operator"; readonly reason: string },
): Promise<RetainResult> {
  const realm = realmOf(key);
  const { retain: wanted, by, reason } = wish;
  // What the operator said, only the operator takes back: the ring key is automation's.
  const author = !wanted && key.retainedBy === "operator" ? "operator" : by;
  if (author === "operator") {
    const { kid } = key;
    const isSo = wanted ? key.retainedBy === "operator" : key.retainedBy === undefined;
    if (!isSo)
      await operator.state({ type: "key-retain", realm, kid, by: author, retain: wanted, reason });
    const written = isSo ? "nothing" : "by-operator";
    return { realm, kid, retained: wanted, presence: "none", written };
  }
  const answer = await order(operator, realm, {
    op: "retain",
    kid: key.kid,
    retain: wanted,
    reason,
  });
  const result = {
    realm,
    kid: answer.string("kid", 43, KID),
    retained: answer.boolean("retained"),
    presence: answer.string("presence", 32),
    written:
      (key.retainedBy !== undefined) === wanted ? ("nothing" as const) : ("by-signer" as const),
  };
  answer.done();
  return result;
}

function wishHead({ reason, early }: Wish): object {
  return early ? { reason, early } : { reason };
}

export function realmOf({ realm, kid }: Pick<KeyInfo, "realm" | "kid">): Realm {
  const known = REALMS.find((name) => name === realm);
  if (known === undefined)
    throw new ServiceError(
      "ERR_OPTION",
      `Key ${kid} is of realm ${realm}: no signer of it is here`,
    );
  return known;
}

function takeover(realm: Realm, answer: MemberReader): Takeover {
  const result = {
    realm,
    kid: answer.string("kid", 43, KID),
    before: kidOrNull(answer, "before"),
    presence: answer.string("presence", 32),
  };
  answer.done();
  return result;
}

function kidOrNull(answer: MemberReader, name: string): string | null {
  return answer.isNull(name) ? null : answer.string(name, 43, KID);
}

async function order(operator: Asker, realm: Realm, head: object): Promise<MemberReader> {
  try {
    return new MemberReader(await operator.ask(`signer-${realm}`, head), "answer of the signer");
  } catch (error) {
    throw explain(error, realm);
  }
}

/** The same refusal, and what to do about it. */
function explain(error: unknown, realm: Realm): unknown {
  if (error instanceof WireError)
    return new ServiceError(
      error.code,
      `Signer of realm ${realm} does not answer, and may have done it all the same: look at redoubt keys list`,
      { cause: error },
    );
  if (!(error instanceof RemoteError)) return error;
  const { message, retryAfterSeconds } = error;
  const code = errorCode(error);
  const hint = advice(code, retryAfterSeconds);
  return hint === undefined ? error : new ServiceError(code, `${message}: ${hint}`);
}

function advice(code: string, retryAfterSeconds: number | undefined): string | undefined {
  switch (code) {
    case "ERR_SIGNER_NO_STANDBY":
      return `try again in ${span(retryAfterSeconds ?? 0)}, when every verifier can know it; a key that must go at once is a case for redoubt keys taint; --early does it now, where no key signs`;
    case "ERR_SIGNER_KEY_WINDOW":
      return "no roll-back makes it sign again; redoubt keys rotate goes forward";
    case "ERR_SIGNER_KEY":
      return "see redoubt keys show";
    case "ERR_SIGNER_CLOCK":
    case "ERR_SIGNER_UNWITNESSED":
      return "see redoubt status; taint and retain work meanwhile";
    case "ERR_LEDGER_SIZE":
    case "ERR_SIGNER_STARTING":
      return "ask again";
    default:
      return undefined;
  }
}
