import { randomBytes } from "node:crypto";
import { nowSeconds, ServiceError, TokenBucket, type Clock } from "@redoubt/base";
import { type GrantLog, isHolder, type Lease, openGrant } from "@redoubt/lease";
import type { GatewayEvents } from "./events.ts";
import type { TimeFloor } from "./time-floor.ts";

export interface LeaseSessionsOptions {
  /** Whose keys are here: a lease of another realm opens nothing. */
  readonly realm: string;
  /** The signer as the broker knows it. */
  readonly signer: string;
  readonly log: GrantLog;
  readonly clock: Clock;
  readonly floor: TimeFloor;
  readonly events: Pick<GatewayEvents, "begun" | "refused" | "clockBehind" | "notRemembered">;
}

export interface Begun {
  readonly session: Buffer;
  /** POSIX seconds. */
  readonly expires: number;
}

interface Session {
  readonly expires: number;
  /** Monotonic milliseconds. */
  readonly endsMs: number;
}

/** docs/spec/leases.md §5: how far two clocks may be apart. */
const MAX_APART_SECONDS = 30;
const CHALLENGE_MS = 10_000;
const MAX_CHALLENGES = 64;
const MAX_SESSIONS = 16;
/** How often time and lease are written down while keys are used. */
const REMEMBER_SECONDS = 60;
/** Processes that may begin one lease after the first: crashes are few, and a new lease is there for the asking. */
const MAX_RESTARTS = 3;
/** Each beginning is an event and a durable write, whoever asks for it. */
const BEGIN_LIMIT = { capacity: 64, perSecond: 1 } as const;

/** A lease that was begun in this process. */
interface BegunLease {
  readonly index: number;
  readonly restarts: number;
  /** Monotonic milliseconds. */
  readonly endsMs: number;
}

/**
 * P5: who may use the keys now. A session begins with a lease and ends with it, on this machine's clock and on its
 * monotonic one, whichever is first: setting the clock back lengthens nothing. What is left of a lease is remembered when
 * this process ends, and only so many later ones begin it again.
 */
export class LeaseSessions {
  readonly #options: LeaseSessionsOptions;
  readonly #challenges = new Map<string, number>();
  readonly #sessions = new Map<string, Session>();
  readonly #begins: TokenBucket;
  /** The newest lease, and when it ends however often it is begun: the clock may be set back in between. */
  #newest: BegunLease | undefined;
  /** When the time was to be written down last, monotonic milliseconds. */
  #triedMs = -Infinity;
  /** When it was said last that the clock is behind, monotonic milliseconds. */
  #saidMs = -Infinity;

  constructor(options: LeaseSessionsOptions) {
    this.#options = options;
    this.#begins = new TokenBucket(BEGIN_LIMIT, options.clock.monotonic());
  }

  challenge(): Buffer {
    const now = this.#options.clock.monotonic();
    for (const [old, endsMs] of this.#challenges) if (endsMs <= now) this.#challenges.delete(old);
    if (this.#challenges.size >= MAX_CHALLENGES)
      throw new ServiceError("ERR_LEASE_BUSY", "Too many challenges wait for an answer", {
        fields: { retryAfterSeconds: CHALLENGE_MS / 1000 },
      });
    const challenge = randomBytes(32);
    this.#challenges.set(challenge.toString("hex"), now + CHALLENGE_MS);
    return challenge;
  }

  /**
   * @throws ServiceError `ERR_LEASE_FORMAT`, `_PROOF`, `_CHALLENGE`, `_HOLDER`, `_REALM`, `_EXPIRED`, `_OLD`, `_CLOCK`,
   *   `_BUSY`; `ERR_FILE_*` where the time cannot be written down
   */
  begin(challenge: Buffer, grantText: string, proof: Buffer): Begun {
    const { log, clock, events } = this.#options;
    if (!this.#begins.take(1, clock.monotonic()))
      throw new ServiceError("ERR_LEASE_BUSY", "Leases are begun too often", {
        fields: { retryAfterSeconds: 1 / BEGIN_LIMIT.perSecond },
      });
    try {
      this.#spend(challenge);
      const grant = openGrant(grantText, log);
      if (!isHolder(grant, challenge, proof))
        throw refusal("ERR_LEASE_HOLDER", "Not proven by the lease's holder");
      const { lease, index } = grant;
      const now = nowSeconds(clock);
      this.#check(lease, index, now);
      const begun = this.#count(lease, index, now);
      this.#write(Math.max(now, lease.issued), begun);
      this.#newest = begun;
      const session = this.#add(lease, begun);
      events.begun(lease, index);
      return { session, expires: lease.expires };
    } catch (error) {
      events.refused(error);
      throw error;
    }
  }

  /** To be called at each use of a key. @throws ServiceError `ERR_LEASE_SESSION`, `ERR_LEASE_CLOCK` */
  check(session: Buffer): void {
    const id = session.toString("hex");
    const found = this.#sessions.get(id);
    const now = nowSeconds(this.#options.clock);
    if (found === undefined || this.#isOver(found)) {
      this.#sessions.delete(id);
      throw refusal("ERR_LEASE_SESSION", "No session of a lease that lasts: begin one");
    }
    this.#checkClock(now);
    this.#remember(now);
  }

  /** A full disk ends no session: the next one cannot begin before the time is written down. */
  #remember(now: number): void {
    const { clock, events } = this.#options;
    if (!this.#newest || clock.monotonic() < this.#triedMs + REMEMBER_SECONDS * 1000) return;
    try {
      this.#write(now, this.#newest);
    } catch (error) {
      events.notRemembered(error);
    }
  }

  #write(seconds: number, { endsMs, ...lease }: BegunLease): void {
    const { clock, floor } = this.#options;
    this.#triedMs = clock.monotonic();
    const leftSeconds = Math.max(0, Math.floor((endsMs - clock.monotonic()) / 1000));
    floor.raise({ seconds, ...lease, leftSeconds });
  }

  /** Leases that last, and until when the longest does (POSIX seconds). */
  get state(): { readonly sessions: number; readonly expires: number | null } {
    this.#sweep();
    const ends = [...this.#sessions.values()].map(({ expires }) => expires);
    return { sessions: ends.length, expires: ends.length === 0 ? null : Math.max(...ends) };
  }

  /** THREAT-14: a challenge is for one use. */
  #spend(challenge: Buffer): void {
    const id = challenge.toString("hex");
    const endsMs = this.#challenges.get(id);
    this.#challenges.delete(id);
    if (endsMs === undefined || this.#options.clock.monotonic() >= endsMs)
      throw refusal("ERR_LEASE_CHALLENGE", "Not a challenge that waits for an answer");
  }

  #check(lease: Lease, index: number, now: number): void {
    const { realm, signer, floor } = this.#options;
    if (lease.realm !== realm || lease.signer !== signer)
      throw refusal("ERR_LEASE_REALM", `Lease is of ${lease.realm}, ${lease.signer}`);
    this.#checkClock(now);
    if (lease.issued > now + MAX_APART_SECONDS)
      throw refusal("ERR_LEASE_CLOCK", "Lease begins ahead of this clock");
    if (now >= lease.expires) throw refusal("ERR_LEASE_EXPIRED", "Lease has ended");
    if (index < floor.value.index) throw refusal("ERR_LEASE_OLD", "A newer lease was used already");
  }

  /** THREAT-29. */
  #checkClock(now: number): void {
    const { clock, floor, events } = this.#options;
    const behind = floor.value.seconds - now;
    if (behind <= MAX_APART_SECONDS) return;
    // Each use of a key comes here: it is said once a minute.
    if (clock.monotonic() >= this.#saidMs + REMEMBER_SECONDS * 1000) {
      this.#saidMs = clock.monotonic();
      events.clockBehind(behind);
    }
    throw refusal("ERR_LEASE_CLOCK", "This clock was set back");
  }

  /**
   * THREAT-29: what a lease that is begun once more, here or in a process before this one, has left.
   *
   * @throws ServiceError `ERR_LEASE_OLD` after too many processes
   */
  #count({ issued, expires }: Lease, index: number, now: number): BegunLease {
    const { clock, floor } = this.#options;
    const endsMs = clock.monotonic() + (expires - Math.max(now, issued)) * 1000;
    const own = this.#newest;
    if (own?.index === index) return { ...own, endsMs: Math.min(own.endsMs, endsMs) };
    const { index: known, restarts, leftSeconds } = floor.value;
    if (known !== index) return { index, restarts: 0, endsMs };
    if (restarts >= MAX_RESTARTS)
      throw refusal("ERR_LEASE_OLD", "Lease was begun by too many processes: ask for a new one");
    const keptMs = clock.monotonic() + leftSeconds * 1000;
    return { index, restarts: restarts + 1, endsMs: Math.min(keptMs, endsMs) };
  }

  #add({ expires }: Lease, { endsMs }: BegunLease): Buffer {
    this.#sweep();
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= MAX_SESSIONS && oldest !== undefined) this.#sessions.delete(oldest);
    const session = randomBytes(32);
    this.#sessions.set(session.toString("hex"), { expires, endsMs });
    return session;
  }

  #sweep(): void {
    for (const [id, session] of this.#sessions)
      if (this.#isOver(session)) this.#sessions.delete(id);
  }

  #isOver({ expires, endsMs }: Session): boolean {
    const { clock } = this.#options;
    return clock.monotonic() >= endsMs || nowSeconds(clock) >= expires;
  }
}

function refusal(code: string, message: string): ServiceError {
  return new ServiceError(code, message);
}
