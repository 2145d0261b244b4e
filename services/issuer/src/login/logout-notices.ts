import { randomBytes, randomUUID } from "node:crypto";
import { errorCode, nowSeconds, type Clock } from "@redoubt/base";
import type { ClientInfo } from "@redoubt/registry";
import type { Leased, PeopleStore } from "@redoubt/store";
import { parseJsonObject } from "@redoubt/verify/json";
import type { RealmKey } from "@redoubt/wire";
import { keysOfTenant } from "./signing-keys.ts";

/** A session that is over, and the clients that had a part in it. */
export interface EndedSession {
  readonly tenant: string;
  readonly accountId: string;
  readonly authorizations: Readonly<Record<string, { readonly sid?: string | undefined }>>;
}

export interface LogoutNoticesParts {
  readonly store: Pick<PeopleStore, "outbox">;
  readonly client: (tenant: string, client: string) => ClientInfo | undefined;
  /** Those of a tenant through which people sign in. */
  readonly clients: (tenant: string) => readonly ClientInfo[];
  readonly issuerOf: (tenant: string) => string;
  readonly keys: () => readonly RealmKey[];
  readonly sign: (tenant: string, kind: "oidc", input: string) => Promise<Buffer>;
  /** Sends a logout token; rejects where the client did not take it. */
  readonly send: (uri: string, logoutToken: string) => Promise<void>;
  readonly failed: (fields: {
    readonly client: string;
    readonly code: string;
    readonly isLast: boolean;
  }) => void;
  readonly clock: Clock;
  readonly intervalMs?: number;
}

/** Kinds of messages in the store's outbox. */
export const OUTBOX = {
  logout: "logout",
  deactivated: "deactivated",
  /** Nothing ends, and clients have nothing to do. */
  reactivated: "reactivated",
  /** All of a person's, though the person stays. */
  sessionsEnded: "sessions-ended",
} as const;

const EVENT = "http://schemas.openid.net/event/backchannel-logout";
const TOKEN_SECONDS = 120;
const LEASE_SECONDS = 30;
const AT_ONCE = 16;
const INTERVAL_MS = 1000;
/** A client that takes no word for so long has sessions that have ended by themselves. */
const GIVE_UP_SECONDS = 86_400;
const MAX_WAIT_SECONDS = 3600;

/**
 * Tells clients that a person's session is over (OpenID Connect Back-Channel Logout 1.0). What is to be told is in the
 * store with what happened, and is told again until the client takes it, by whichever replica lives.
 */
export class LogoutNotices implements AsyncDisposable {
  readonly #parts: LogoutNoticesParts;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(parts: LogoutNoticesParts) {
    this.#parts = parts;
    this.#schedule();
  }

  /** Writes down whom to tell. */
  async sessionEnded({ tenant, accountId: sub, authorizations }: EndedSession): Promise<void> {
    for (const [client, { sid }] of Object.entries(authorizations))
      if (this.#uriOf(tenant, client) !== undefined)
        // eslint-disable-next-line no-await-in-loop -- a handful, and in order
        await this.#add({ tenant, client, sub, ...(sid !== undefined && { sid }) });
  }

  /** Sends what is due; for tests, too. */
  async turn(): Promise<void> {
    const { store } = this.#parts;
    const due = await store.outbox.lease(LEASE_SECONDS, AT_ONCE);
    await Promise.all(due.map((message) => this.#handle(message)));
  }

  #add(payload: Readonly<Record<string, string>>): Promise<void> {
    const message = { id: randomUUID(), kind: OUTBOX.logout, payload: JSON.stringify(payload) };
    return this.#parts.store.outbox.add(message);
  }

  async #handle(message: Leased): Promise<void> {
    const { store, clock, failed } = this.#parts;
    const { tenant = "", client = "", sub = "", sid } = readPayload(message.payload);
    try {
      if (message.kind === OUTBOX.deactivated || message.kind === OUTBOX.sessionsEnded)
        await this.#tellAll(tenant, sub);
      else if (message.kind === OUTBOX.logout)
        await this.#tell(tenant, client, { sub, ...(sid !== undefined && { sid }) });
      await store.outbox.done(message);
    } catch (error) {
      const now = nowSeconds(clock);
      const isLast = now - message.created > GIVE_UP_SECONDS;
      failed({ client, code: errorCode(error), isLast });
      if (isLast) await store.outbox.done(message);
      else await store.outbox.failed(message, now + waitAfter(message.attempts));
    }
  }

  /** A disabled person's sessions are gone with what was in them: each client ends all that it has of hers. */
  async #tellAll(tenant: string, sub: string): Promise<void> {
    for (const { client, login } of this.#parts.clients(tenant))
      if (login?.backchannelLogoutUri !== undefined)
        // eslint-disable-next-line no-await-in-loop -- a handful, and in order
        await this.#add({ tenant, client, sub });
  }

  async #tell(
    tenant: string,
    client: string,
    whose: { readonly sub: string; readonly sid?: string },
  ): Promise<void> {
    const uri = this.#uriOf(tenant, client);
    // It was removed meanwhile, or wants to hear nothing any more.
    if (uri === undefined) return;
    const { keys, clock, sign, issuerOf, send } = this.#parts;
    const now = nowSeconds(clock);
    const key = keysOfTenant(keys(), tenant, now)?.oidc;
    if (!key) throw new Error("No key signs for this tenant");
    const header = { alg: key.alg, typ: "logout+jwt", kid: key.kid };
    const payload = {
      iss: issuerOf(tenant),
      aud: client,
      iat: now,
      exp: now + TOKEN_SECONDS,
      jti: randomBytes(16).toString("base64url"),
      tid: tenant,
      ...whose,
      events: { [EVENT]: {} },
    };
    const input = `${encode(header)}.${encode(payload)}`;
    await send(uri, `${input}.${(await sign(tenant, "oidc", input)).toString("base64url")}`);
  }

  #uriOf(tenant: string, client: string): string | undefined {
    const known = this.#parts.client(tenant, client);
    return known?.status === "active" ? known.login?.backchannelLogoutUri : undefined;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#turn = this.turn()
        .catch((error: unknown) =>
          this.#parts.failed({ client: "", code: errorCode(error), isLast: false }),
        )
        .finally(() => this.#schedule());
    }, this.#parts.intervalMs ?? INTERVAL_MS).unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#turn;
  }
}

const SEND_MS = 5000;

/** The addresses are the operator's own words, in the registry; nothing that a client answers leads elsewhere. */
export async function postLogoutToken(uri: string, logoutToken: string): Promise<void> {
  const answer = await fetch(uri, {
    method: "POST",
    body: new URLSearchParams({ logout_token: logoutToken }),
    redirect: "error",
    signal: AbortSignal.timeout(SEND_MS),
  });
  await answer.body?.cancel();
  // Back-Channel Logout 1.0 §2.8.
  if (answer.status !== 200 && answer.status !== 204)
    throw new Error(`The client answered ${answer.status}`);
}

function waitAfter(attempts: number): number {
  return Math.min(MAX_WAIT_SECONDS, 2 ** Math.min(attempts, 12));
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function readPayload(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(parseJsonObject(text)).flatMap(([name, value]) =>
      typeof value === "string" ? [[name, value]] : [],
    ),
  );
}
