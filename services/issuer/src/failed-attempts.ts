import type { Clock } from "@redoubt/base";
import { OAuthError } from "./errors.ts";
import type { IssuerEvents } from "./events.ts";
import { FailureLimiter, type FailureLimits } from "./failure-limiter.ts";

/** An attempt to authenticate that failed. */
export interface Attempt {
  readonly tenant: string;
  /** As it was given; anybody can give any. */
  readonly clientId: string;
  /** There is a client of this name. */
  readonly isKnown: boolean;
  /** Where it came from, as far as addresses are told apart. */
  readonly address: string;
}

export interface FailedAttemptsOptions {
  readonly clock: Pick<Clock, "monotonic">;
  readonly events: Pick<IssuerEvents, "guessing">;
  /** Told of a burst, seldom enough for an alarm. */
  readonly alarm: (detail: string) => void;
  readonly limits?: Partial<FailureLimits>;
}

const ALARM_INTERVAL_MS = 60_000;

/**
 * What wrong credentials come to, by tenant, client and address (THREAT-34, THREAT-39): 429 in place of 401 when there
 * were too many, and one event for each burst. Asked after the credential was found wrong, never before.
 */
export class FailedAttempts {
  readonly #options: FailedAttemptsOptions;
  readonly #limiter: FailureLimiter;
  #nextAlarmAt = -Infinity;

  constructor(options: FailedAttemptsOptions) {
    this.#options = options;
    this.#limiter = new FailureLimiter(options.clock, options.limits);
  }

  /** The answer to this one: `refusal`, unless there were too many before it. */
  answer(attempt: Attempt, refusal: OAuthError): OAuthError {
    const { tenant, clientId, address } = attempt;
    const { waitMs, startsBurst } = this.#limiter.fail(tenant, clientId, address);
    if (startsBurst) this.#tell(attempt);
    return waitMs > 0 ? tooMany(waitMs, refusal) : refusal;
  }

  #tell({ tenant, clientId, isKnown, address }: Attempt): void {
    // What somebody made up stays out of the log: it may be a secret in the wrong place.
    const client = isKnown ? clientId : null;
    this.#options.events.guessing({ tenant, client, address });
    const now = this.#options.clock.monotonic();
    // Strangers choose how many names they use. The alarm counts minutes with bursts; the events say whose they were.
    if (now < this.#nextAlarmAt) return;
    this.#nextAlarmAt = now + ALARM_INTERVAL_MS;
    const whose = client === null ? "unknown client" : `client ${client}`;
    this.#options.alarm(`${whose} of tenant ${tenant}, from ${address}`);
  }
}

function tooMany(waitMs: number, cause: OAuthError): OAuthError {
  const description = "Too many failed attempts";
  return new OAuthError("ERR_ISSUER_AUTH_LIMITED", "temporarily_unavailable", description, {
    status: 429,
    retryAfterSeconds: Math.ceil(waitMs / 1000),
    cause,
  });
}
