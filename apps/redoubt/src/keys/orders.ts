import { errorCode, nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import type { KeyInfo } from "@redoubt/registry";
import {
  ask,
  RemoteError,
  SIGNER,
  WireError,
  type Operation,
  type Requester,
  type RingStatus,
} from "@redoubt/wire";
import { EXIT, type CommandContext } from "../command.ts";
import type { ServiceName } from "../layout.ts";
import { checkRealm, withOperator, type Operator } from "../operator.ts";
import { span } from "../table.ts";
import { findKey } from "./find-key.ts";
import { whenText } from "./key-list.ts";

type Told<O> = O extends Operation<unknown, infer A> ? A & { readonly realm: string } : never;
/** Which key signed `before`, and which does now; null where nothing changed, or nothing signed. */
export type Takeover = Told<typeof SIGNER.rotate>;
/** `active` is the key of the same ring that signs now; null while none can. */
export type TaintResult = Told<typeof SIGNER.taint>;
export type RetainResult = Told<typeof SIGNER.retain> & {
  /** Whose statement is in the registry now that was not before. */
  readonly written: "by-signer" | "by-operator" | "nothing";
};

export interface Asker {
  /** Those whose signers are here. */
  readonly realms: readonly string[];
  client(service: ServiceName): Requester;
}

/** P6: `early` lets a key sign that some verifier may not know yet. */
interface Wish {
  readonly reason: string;
  readonly early: boolean;
}

/** Which of a signer's rings is meant: that of access tokens, unless said. @throws ServiceError `ERR_OPTION` that lists them */
export async function classOf(
  operator: Asker,
  realm: string,
  wanted?: RingStatus["class"],
): Promise<RingStatus["class"]> {
  const { rings } = await order(operator, realm, SIGNER.rings, {});
  const classes = rings.map((ring) => ring.class);
  const found = wanted ?? (classes.includes("at") ? "at" : classes[0]);
  if (found !== undefined && classes.includes(found)) return found;
  throw new ServiceError(
    "ERR_OPTION",
    `Signer of realm ${realm} has rings of class ${classes.join(", ")}: name one with --class`,
  );
}

/** A standby that every verifier knows signs in place of the active key. */
export function rotate(
  operator: Asker,
  realm: string,
  { tokenClass, ...wish }: Wish & { readonly tokenClass: RingStatus["class"] },
): Promise<Takeover> {
  return order(operator, realm, SIGNER.rotate, { class: tokenClass, ...wish });
}

/** A key that was replaced signs again. */
export async function rollBack(operator: Asker, key: KeyInfo, reason: string): Promise<Takeover> {
  return order(operator, key.realm, SIGNER.rollback, { kid: key.kid, reason });
}

/** THREAT-12: nothing is signed under the key any more. */
export async function taint(operator: Asker, key: KeyInfo, wish: Wish): Promise<TaintResult> {
  return order(operator, key.realm, SIGNER.taint, { kid: key.kid, ...wish });
}

/** THREAT-11: automation must keep the key published; `by` says whose word it is. */
export async function retain(
  operator: Asker & Pick<Operator, "state">,
  key: KeyInfo,
  wish: { readonly retain: boolean; readonly by: "ring" | "operator"; readonly reason: string },
): Promise<RetainResult> {
  const { realm, kid } = key;
  checkRealm(operator, realm);
  const { retain: wanted, by, reason } = wish;
  // Only the operator takes back what the operator said: automation signs with the ring key, and must not.
  const author = !wanted && key.retainedBy === "operator" ? "operator" : by;
  if (author === "operator") {
    const isSo = wanted ? key.retainedBy === "operator" : key.retainedBy === undefined;
    if (!isSo)
      await operator.state({ type: "key-retain", realm, kid, by: author, retain: wanted, reason });
    const written = isSo ? "nothing" : "by-operator";
    return { realm, kid, retained: wanted, presence: "none", written };
  }
  const done = await order(operator, realm, SIGNER.retain, { kid, retain: wanted, reason });
  const written = (key.retainedBy !== undefined) === wanted ? "nothing" : "by-signer";
  return { ...done, written };
}

export interface RetainOptions {
  readonly reason: string;
  readonly off?: boolean;
  readonly asOperator?: boolean;
}

export function keysRetain(
  context: CommandContext,
  named: string,
  { reason, off = false, asOperator = false }: RetainOptions,
): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator) => {
    const key = findKey((await operator.readRegistry()).keys, named);
    const by = asOperator ? "operator" : "ring";
    const done = await retain(operator, key, { retain: !off, by, reason });
    const until = whenText(key.record.verifyUntil, nowSeconds(systemClock));
    const text = done.retained
      ? `Key ${done.kid} stays published until ${until}, unless it is tainted or released`
      : `Key ${done.kid} is released: the life cycle withdraws it when it is time`;
    terminal.result({ json: done, text: `${text}\n${footnote(done, done.written)}` });
    return EXIT.ok;
  });
}

async function order<Q, A extends object>(
  operator: Asker,
  realm: string,
  asked: Operation<Q, A>,
  request: Q,
): Promise<A & { readonly realm: string }> {
  checkRealm(operator, realm);
  try {
    return { realm, ...(await ask(operator.client(`signer-${realm}`), asked, request)) };
  } catch (error) {
    throw explain(error, realm);
  }
}

/** The same refusal, and what to do about it. */
function explain(error: unknown, realm: string): unknown {
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
      return `try again in ${span(retryAfterSeconds ?? 0)}, when every verifier can know it. If a key must go at once: redoubt keys taint. If no key signs: --early lets the standby sign now`;
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

/** P8: what was done by hand is labelled until presence is proven. */
export function footnote(
  { presence }: { readonly presence: string },
  written: "by-signer" | "by-operator" | "nothing",
): string {
  switch (written) {
    case "by-signer":
      return `Written to the registry, and told to the monitor (presence: ${presence})`;
    case "by-operator":
      return `Written to the registry with the operator key (presence: ${presence})`;
    case "nothing":
      return "It was so already: nothing was written";
  }
}
