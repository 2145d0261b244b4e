import { hash } from "node:crypto";
import { errorCode, ServiceError } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import {
  ask,
  RemoteError,
  SIGNER,
  WireError,
  type ExactRequest,
  type IssuedToken,
  type Requester,
} from "@redoubt/wire";
import { digestOfUnsigned } from "./unsigned-token.ts";
import { OAuthError } from "./errors.ts";
import type { IssuerEvents } from "./events.ts";
import { GivenUp, QueueFull, type IssueBatches } from "./issue-batches.ts";

/** What this process may ask for: intent, never bytes, a key or a claim that is the signer's (P2). */
export interface Intent {
  readonly tenant: string;
  readonly client: string;
  readonly audience: string;
  readonly scope?: string | undefined;
}

export interface SignerPortOptions {
  readonly client: Requester;
  readonly batches: Pick<IssueBatches, "issue" | "giveUp">;
  readonly realm: string;
  readonly ttlSeconds: number;
  readonly events: IssuerEvents;
  /** Told of each token that came, and of each that may have been signed and did not come. */
  readonly deliveries: { add(digest: string, audience: string): void; lost(count: number): void };
}

/** The signer as the token endpoint sees it: a token, or the refusal to answer with. */
export class SignerPort {
  readonly #options: SignerPortOptions;
  #underWay = 0;
  #isSilent = false;
  /** Timed out at a signer that was silent: it may still sign them, once it goes on. */
  #unknown = 0;

  constructor(options: SignerPortOptions) {
    this.#options = options;
  }

  /** Requests without an answer: tokens that may exist, or come to exist, without our knowing them. */
  get underWay(): number {
    return this.#underWay + this.#unknown;
  }

  /**
   * Nothing was heard of the signer for too long: until it is heard again, everybody is refused at once. What it has
   * already is not forgotten: a late token is reported like any other.
   */
  signerSilent(): void {
    this.#isSilent = true;
    this.#options.batches.giveUp({
      done: ({ handle, ...asked }, head) => {
        this.#underWay -= 1;
        this.#accountLate(head, { ...asked, tenant: handle.tenant });
      },
      failed: ({ handle, ...asked }, error) => {
        this.#underWay -= 1;
        this.#refusal(error, { ...asked, tenant: handle.tenant });
      },
    });
  }

  /** What it had is logged from now on, if at all. A loss that was reported before would not explain those entries. */
  signerHeard(): void {
    this.#isSilent = false;
    this.#options.deliveries.lost(this.#unknown);
    this.#unknown = 0;
  }

  connectionEnded(): void {
    this.#options.deliveries.lost(this.underWay);
    this.#unknown = 0;
  }

  async issue(intent: Intent): Promise<IssuedToken> {
    const { tenant, client, audience, scope } = intent;
    const { realm, ttlSeconds } = this.#options;
    const handle = { realm, tenant, class: "at" };
    if (this.#isSilent) throw unavailable("ERR_ISSUER_SIGNER_SILENT", 2);
    const asked = { handle, client, sub: client, audience, scope, ttl: ttlSeconds };
    this.#underWay += 1;
    try {
      return this.#take(await this.#options.batches.issue(asked), intent);
    } catch (error) {
      throw this.#refusal(error, intent);
    } finally {
      this.#underWay -= 1;
    }
  }

  /** Has a token signed that the protocol library built; nothing else is taken for it. @throws OAuthError */
  async signExact(asked: ExactRequest, audience: string): Promise<Buffer> {
    if (this.#isSilent) throw unavailable("ERR_ISSUER_SIGNER_SILENT", 2);
    const signingInput = `${asked.header}.${asked.payload}`;
    const digest = hash("sha256", signingInput, "base64url");
    this.#underWay += 1;
    try {
      const { token } = await ask(this.#options.client, SIGNER.signExactFor, asked);
      const [header, payload, signature = ""] = token.split(".");
      if (`${header}.${payload}` !== signingInput) throw this.#lostAnswer();
      this.#options.deliveries.add(digest, audience);
      return Buffer.from(signature, "base64url");
    } catch (error) {
      throw this.#exactRefusal(error, { digest, signingInput, audience });
    } finally {
      this.#underWay -= 1;
    }
  }

  #exactRefusal(
    error: unknown,
    {
      digest,
      signingInput,
      audience,
    }: { readonly [name in "digest" | "signingInput" | "audience"]: string },
  ): unknown {
    if (error instanceof OAuthError) return error;
    // What came is no answer: there may be a token all the same.
    if (error instanceof ServiceError) return this.#lostAnswer();
    if (error instanceof RemoteError && error.details["committed"] === true) {
      if (error.details["unsigned"] === signingInput)
        this.#options.deliveries.add(digest, audience);
      else this.#options.events.signerAnswer();
    }
    return this.#remoteRefusal(error);
  }

  #lostAnswer(): OAuthError {
    this.#options.deliveries.lost(1);
    return this.#badAnswer();
  }

  #take(head: JsonObject, intent: Intent): IssuedToken {
    const { deliveries } = this.#options;
    const issued = readIssued(head);
    if (!issued) {
      deliveries.lost(1);
      throw this.#badAnswer();
    }
    const { token } = issued;
    // Computed here, not taken from the signer: the second join must not depend on its word (THREAT-28). And only for
    // what was asked: a signer must not have a forgery delivered in answer to somebody else's request.
    const digest = this.#digestOf(token.slice(0, token.lastIndexOf(".")), intent);
    if (digest === undefined) throw this.#badAnswer();
    deliveries.add(digest, intent.audience);
    return issued;
  }

  #badAnswer(): OAuthError {
    this.#options.events.signerAnswer();
    return unavailable("ERR_ISSUER_SIGNER_ANSWER", 5);
  }

  #digestOf(unsigned: unknown, intent: Intent): string | undefined {
    return digestOfUnsigned(unsigned, { ...intent, ttlSeconds: this.#options.ttlSeconds });
  }

  /** No client gets this token any more. It is accounted for all the same, or its entry would look forged. */
  #accountLate(head: JsonObject, intent: Intent): void {
    try {
      this.#take(head, intent);
    } catch {
      // `#take` has logged and counted it.
    }
  }

  #timedOut(): void {
    if (this.#isSilent) this.#unknown += 1;
    else this.#options.deliveries.lost(1);
  }

  #refusal(error: unknown, intent: Intent): unknown {
    if (error instanceof GivenUp) {
      // Still under way, until its late outcome is known.
      if (error.wasSent) this.#underWay += 1;
      return unavailable(error.code, 2, error);
    }
    if (error instanceof QueueFull) return tooMany(error.code, 1, error);
    if (error instanceof RemoteError && error.details["committed"] === true)
      this.#account(error.details["unsigned"], intent);
    return this.#remoteRefusal(error);
  }

  #remoteRefusal(error: unknown): unknown {
    if (error instanceof WireError) {
      // The signer may have signed; a connection that broke is counted where it is seen to break.
      if (error.code === "ERR_WIRE_TIMEOUT") this.#timedOut();
      return unavailable("ERR_ISSUER_SIGNER_DOWN", 2, error);
    }
    if (!(error instanceof RemoteError)) return error;
    this.#options.events.signerRefused(errorCode(error));
    return refusalOf(error);
  }

  /**
   * docs/spec/reports.md §4: the entry is in the log, and the token was not signed. Accounted for by its digest, and
   * only where it says what was asked for: a signer must not explain a forgery away by refusing somebody (THREAT-28).
   */
  #account(unsigned: unknown, intent: Intent): void {
    const { events, deliveries } = this.#options;
    const digest = this.#digestOf(unsigned, intent);
    if (digest === undefined) events.signerAnswer();
    else deliveries.add(digest, intent.audience);
  }
}

/** Undefined for what is no token: the signer may be hostile (THREAT-28). */
function readIssued(head: JsonObject): IssuedToken | undefined {
  try {
    return SIGNER.issue.answer.read(head);
  } catch (error) {
    if (error instanceof ServiceError) return undefined;
    throw error;
  }
}

/** docs/spec/wire.md §3: what a refusal of the signer means for the client. */
function refusalOf(error: RemoteError): OAuthError {
  const { code, retryAfterSeconds = 2 } = error;
  const refused = "ERR_ISSUER_SIGNER_REFUSED";
  switch (code) {
    case "ERR_SIGNER_BUDGET":
      return tooMany("ERR_ISSUER_BUDGET", retryAfterSeconds, error);
    case "ERR_SIGNER_HANDLE":
    case "ERR_SIGNER_CLIENT":
      return new OAuthError(refused, "unauthorized_client", "Client may not obtain tokens here", {
        cause: error,
      });
    case "ERR_SIGNER_AUDIENCE":
      return new OAuthError(refused, "invalid_target", "resource is not allowed", { cause: error });
    case "ERR_SIGNER_SCOPE":
      return new OAuthError(refused, "invalid_scope", "scope is not allowed", { cause: error });
    case "ERR_SIGNER_RESERVED":
    case "ERR_SIGNER_TTL":
    case "ERR_REQUEST_MEMBER":
      // We asked for what nobody may have: a defect here, and an alarm there.
      return new OAuthError(refused, "server_error", "Internal error", { cause: error });
    default:
      return unavailable(refused, retryAfterSeconds, error);
  }
}

/** To this client alone. */
function tooMany(
  code: "ERR_ISSUER_BUDGET" | "ERR_ISSUER_QUEUE",
  retryAfterSeconds: number,
  cause: unknown,
): OAuthError {
  return new OAuthError(code, "temporarily_unavailable", "Too many requests", {
    status: 429,
    retryAfterSeconds,
    cause,
  });
}

function unavailable(
  code:
    | "ERR_ISSUER_SIGNER_ANSWER"
    | "ERR_ISSUER_SIGNER_DOWN"
    | "ERR_ISSUER_SIGNER_REFUSED"
    | "ERR_ISSUER_SIGNER_SILENT",
  retryAfterSeconds: number,
  cause?: unknown,
): OAuthError {
  return new OAuthError(code, "temporarily_unavailable", "Try again later", {
    retryAfterSeconds,
    cause,
  });
}
