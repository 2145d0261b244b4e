import { errorCode, nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import type { Registry } from "@redoubt/registry";
import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import {
  ISSUE_REFUSAL,
  route,
  routesByName,
  SIGNER,
  type Answer,
  type Call,
  type ExactRequest,
  type IssuedToken,
  type IssueRequest,
  type RealmKeys,
  type Route,
} from "@redoubt/wire";
import type { SignerConfig } from "../config.ts";
import { personHandle } from "../people/person-handle.ts";
import { isDrillCaller } from "../keys/drill-key.ts";
import { describeKeys, keysOfRealm } from "../keys/fetch-keys.ts";
import type { Budgets } from "./budgets.ts";
import { parseIssueRequest, refuseReserved, refuseReservedOfIssue } from "./issue-request.ts";
import type { Mint } from "./mint.ts";
import type { Grant, Policy, PolicyInput } from "./policy.ts";
import { ExactSigner } from "./sign-exact.ts";
import type { UnsignedToken } from "./token.ts";

export interface HandlerOptions {
  readonly config: Pick<SignerConfig, "realm" | "origin">;
  readonly registry: () => Registry;
  readonly policy: Policy;
  readonly policyInput: PolicyInput;
  readonly budgets: Budgets;
  readonly mint: Mint;
  readonly operatorRoutes: readonly Route[];
  readonly drillRoute: Route;
  readonly clock: Clock;
  /** Throws while the registry cannot be relied on. */
  readonly checkRegistry: () => void;
  /** Throws while nothing can be committed. */
  readonly checkLog: () => void;
  readonly refused: (caller: string, error: unknown) => void;
  /** When a witness last vouched for the registry as it was read; 0 before the first time. */
  readonly registryTimeSeconds: () => number;
}

/** What the results of one answer may take of a frame's head; checked before anything is signed. */
const MAX_ANSWER_CHARS = 240 * 1024;
/** Signature (RSA-4096 at most), jti, kid and member names of one result. */
const RESULT_CHARS = 1024;

/** The signer's contract (docs/spec/wire.md §3). No call signs a digest, and none names a key (P2). */
export class SignerHandler {
  readonly #options: HandlerOptions;
  readonly #exact: ExactSigner;
  readonly #routes: ReadonlyMap<string, Route>;

  constructor(options: HandlerOptions) {
    this.#options = options;
    this.#exact = new ExactSigner({
      ...options,
      mint: {
        check: () => options.mint.check(),
        issue: (unsigned) => this.#mint(unsigned),
      },
    });
    this.#routes = routesByName([
      guarded(
        checkIssue,
        route(SIGNER.issue, (request, { caller }) => this.#mint(this.#build(caller, request))),
      ),
      guarded(
        checkIssueBatch,
        route(SIGNER.issueBatch, ({ items }, { caller }) => this.#issueBatch(caller, items)),
      ),
      guarded(
        ({ caller }) => checkForPeople(caller),
        route(SIGNER.signExactFor, (request, { caller }) => this.#signExact(caller, request)),
      ),
      route(SIGNER.fetchKeys, ({ since = 0 }) => this.#fetchKeys(since)),
      guarded((call) => this.#checkDrill(call), options.drillRoute),
      ...options.operatorRoutes.map((one) => guarded((call) => this.#checkOperator(call), one)),
    ]);
  }

  async handle(call: Call): Promise<Answer> {
    const found = this.#routes.get(call.op);
    if (!found) throw new ServiceError("ERR_SIGNER_OP", "No such call here");
    return found.handle(call);
  }

  async #mint(unsigned: UnsignedToken): Promise<IssuedToken> {
    try {
      return await this.#options.mint.issue(unsigned);
    } catch (error) {
      throw withUnsigned(error, unsigned);
    }
  }

  /** Everything that may refuse a request, up to but not including the log. */
  #build(caller: string, request: IssueRequest): UnsignedToken {
    const { budgets, mint } = this.#options;
    const grant = this.#decide(caller, request);
    budgets.take(caller, grant.tenant, grant.client);
    return mint.build(grant, caller);
  }

  #decide(caller: string, request: IssueRequest): Grant {
    const { policy, policyInput, mint, checkRegistry } = this.#options;
    // Half a registry would refuse what is allowed, and that would look like an attack by the caller.
    checkRegistry();
    try {
      return policy(policyInput, caller, request);
    } catch (error) {
      // With a wrong clock no key is within its time: the clock is what must be told.
      if (errorCode(error) === "ERR_SIGNER_NO_KEY") mint.check();
      throw error;
    }
  }

  async #issueBatch(caller: string, items: readonly JsonValue[]) {
    const room = { chars: MAX_ANSWER_CHARS };
    return {
      results: await Promise.all(items.map((item) => this.#issueItem(caller, item, room))),
    };
  }

  async #issueItem(caller: string, item: JsonValue, room: { chars: number }): Promise<JsonValue> {
    try {
      if (!isJsonObject(item))
        throw new ServiceError("ERR_REQUEST_MEMBER", "issueBatch: items must be objects");
      const unsigned = this.#build(caller, parseIssueRequest(item));
      // A token that no frame can carry back would be signed, logged and lost.
      room.chars -=
        unsigned.signingInput.length + this.#options.config.origin.length + RESULT_CHARS;
      if (room.chars < 0)
        throw new ServiceError("ERR_SIGNER_BUSY", "The answer is full: ask for fewer at once");
      return await this.#mint(unsigned);
    } catch (error) {
      this.#options.refused(caller, error);
      room.chars -= RESULT_CHARS;
      return refusalOf(error);
    }
  }

  async #signExact(caller: string, request: ExactRequest): Promise<IssuedToken> {
    const { header, payload } = request;
    return this.#exact.sign({ caller, header, payload }, (input) => personHandle(input, request));
  }

  #fetchKeys(since: number): RealmKeys {
    const { config, registry, clock, checkRegistry, registryTimeSeconds } = this.#options;
    // Half a registry would look like a realm without keys.
    checkRegistry();
    const { size } = registry();
    const isNews = since < size;
    const keys = isNews ? keysOfRealm(registry(), config.realm, nowSeconds(clock)) : [];
    return describeKeys(keys, { asOf: size, asOfSeconds: registryTimeSeconds() });
  }

  #checkDrill({ caller }: Call): void {
    if (!isDrillCaller(caller))
      throw new ServiceError("ERR_SIGNER_OP", "Only a drill asks for this");
    this.#options.checkRegistry();
  }

  #checkOperator({ caller }: Call): void {
    if (caller !== "operator")
      throw new ServiceError("ERR_SIGNER_OP", "Only the operator asks for this");
    this.#options.checkRegistry();
  }
}

/** A route with a check that runs before any member of the request is read. */
function guarded(check: (call: Call) => void, inner: Route): Route {
  return {
    op: inner.op,
    handle: async (call) => {
      check(call);
      return inner.handle(call);
    },
  };
}

function checkIssue({ caller, head }: Call): void {
  checkIssuer(caller);
  refuseReservedOfIssue(head);
}

function checkIssueBatch({ caller, head }: Call): void {
  checkIssuer(caller);
  refuseReserved(head);
}

function checkIssuer(caller: string): void {
  if (caller !== "issuer" && !isDrillCaller(caller))
    throw new ServiceError("ERR_SIGNER_OP", "This caller does not issue");
}

/** Drills have no people. */
function checkForPeople(caller: string): void {
  if (caller !== "issuer")
    throw new ServiceError("ERR_SIGNER_OP", "This caller has no people who sign in");
}

/**
 * A refusal of what is in the log already (docs/spec/reports.md §4). It carries what would have been signed, without a
 * signature, so that whoever asked can see that it is what it asked for and account for the entry: otherwise the
 * monitor would take it for a forgery, and a mere count would hide one (THREAT-28).
 */
function withUnsigned(error: unknown, { signingInput }: UnsignedToken): unknown {
  if (!(error instanceof ServiceError) || error.fields["committed"] !== true) return error;
  const fields = { ...error.fields, unsigned: signingInput };
  return new ServiceError(error.code, error.message, { cause: error, fields });
}

/** The result of a refused item, as an error frame would say it: only what is meant for callers leaves. */
function refusalOf(error: unknown): JsonObject {
  if (!(error instanceof ServiceError)) return { code: "ERR_INTERNAL", message: "Internal error" };
  const { retryAfterSeconds, committed, unsigned } = error.fields;
  return ISSUE_REFUSAL.write({
    code: errorCode(error),
    message: error.message.slice(0, 200),
    retryAfterSeconds: typeof retryAfterSeconds === "number" ? retryAfterSeconds : undefined,
    committed: committed === true,
    unsigned: typeof unsigned === "string" ? unsigned : undefined,
  });
}
