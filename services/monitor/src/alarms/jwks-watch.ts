import { hash } from "node:crypto";
import { nowSeconds, type Clock } from "@redoubt/base";
import { keysForIssuer, type KeyInfo, type Registry } from "@redoubt/registry";
import { issuerFor, tenantCovered } from "@redoubt/verify";
import type { Alarms } from "./alarms.ts";
import type { HttpAnswer, HttpRequest } from "../sockets/outgoing-http.ts";
import type { EvidenceKey } from "../joins/evidence/evidence-signature.ts";
import { isShownAs, readJwksUri, readServedKeys, usesOf, type ServedKey } from "./jwks-document.ts";

/** A key that some JWKS of ours served and that the registry does not allow there. */
export interface ForeignKey extends EvidenceKey {
  readonly issuer: string;
}

export interface JwksWatchParts {
  readonly registry: Registry;
  readonly publisherUrl: string;
  readonly request: HttpRequest;
  readonly alarms: Alarms;
  readonly clock: Pick<Clock, "now">;
  readonly active: () => number;
  /** Reads every log to its end, beginning after the call. */
  readonly readLogs: () => Promise<boolean>;
}

interface Issuer {
  readonly issuer: string;
  readonly realm: string;
  readonly tenant: string;
}

type Served =
  | { readonly kind: "keys"; readonly keys: readonly ServedKey[] }
  | { readonly kind: "unreadable"; readonly why: string; readonly body: Buffer }
  | { readonly kind: "unreachable" };

const INTERVAL_MS = 15_000;
const REFRESH_MS = 5000;
const UNREACHABLE_MS = 60_000;
const TIMEOUT_MS = 5000;
const MAX_BYTES = 1024 * 1024;
const AT_ONCE = 8;
const MAX_FOREIGN = 256;
/** How long the publisher may go on showing a key that the registry withdrew. */
const WITHDRAWAL_SECONDS = 120;

/**
 * Reads every JWKS of ours the way a client finds it, and holds it against the registry: a key that stands there
 * without a record is how an attacker's own key gets trusted (THREAT-27).
 */
export class JwksWatch {
  readonly #parts: JwksWatchParts;
  readonly #foreign = new Map<string, readonly ForeignKey[]>();
  readonly #reachedAt = new Map<string, number>();
  #polledAt = -Infinity;
  #running: Promise<void> | undefined;

  constructor(parts: JwksWatchParts) {
    this.#parts = parts;
  }

  foreignKeys(kid: string): readonly ForeignKey[] {
    return this.#foreign.get(kid) ?? [];
  }

  /** Called at every tick; polls when it is time. */
  poll(): Promise<void> {
    return this.#pollAfter(INTERVAL_MS);
  }

  /** Polls now, unless that was done just now. */
  refresh(): Promise<void> {
    return this.#pollAfter(REFRESH_MS);
  }

  #pollAfter(intervalMs: number): Promise<void> {
    if (this.#running) return this.#running;
    const now = this.#parts.active();
    if (now - this.#polledAt < intervalMs) return Promise.resolve();
    this.#polledAt = now;
    this.#running = this.#pollAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #pollAll(): Promise<void> {
    const issuers = this.#issuers();
    for (let at = 0; at < issuers.length; at += AT_ONCE) {
      const some = issuers.slice(at, at + AT_ONCE);
      // oxlint-disable-next-line no-await-in-loop -- a bounded number at once
      await Promise.all(some.map((issuer) => this.#pollOne(issuer)));
    }
    for (const issuer of this.#reachedAt.keys())
      if (!issuers.some((one) => one.issuer === issuer)) this.#reachedAt.delete(issuer);
  }

  #issuers(): Issuer[] {
    const { realms, tenants } = this.#parts.registry;
    return [...tenants.values()].flatMap(({ realm, tenant, status }) => {
      const template = realms.get(realm)?.issuer;
      if (template === undefined || status !== "active") return [];
      return [{ issuer: issuerFor({ issuer: template }, tenant), realm, tenant }];
    });
  }

  async #pollOne(issuer: Issuer): Promise<void> {
    const served = await this.#fetchKeys(issuer.issuer);
    if (served.kind === "unreachable") return this.#noteUnreachable(issuer.issuer);
    this.#reachedAt.set(issuer.issuer, this.#parts.active());
    this.#parts.alarms.recover("jwks-unreachable", issuer.issuer);
    if (served.kind === "unreadable") return this.#noteUnreadable(issuer, served);
    const suspects = served.keys.filter((key) => !this.#isRegistered(issuer, key));
    if (suspects.length === 0) return;
    // The publisher may know a statement that we have not read yet.
    if (!(await this.#parts.readLogs())) return;
    for (const key of suspects)
      if (!this.#isRegistered(issuer, key)) this.#noteForeign(issuer, key);
  }

  async #fetchKeys(issuer: string): Promise<Served> {
    const document = await this.#get(
      `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
    );
    if (!document) return { kind: "unreachable" };
    const uri = readJwksUri(document.body, issuer);
    // THREAT-27: a document that sends clients elsewhere replaces the keys without touching ours.
    if (uri === undefined || !isAt(uri, issuer))
      return { kind: "unreadable", why: "discovery document", body: document.body };
    const jwks = await this.#get(uri);
    if (!jwks) return { kind: "unreachable" };
    const keys = jwks.truncated ? undefined : readServedKeys(jwks.body);
    if (!keys) return { kind: "unreadable", why: "JWKS", body: jwks.body };
    return { kind: "keys", keys };
  }

  /** Asks our publisher for the path of the address. What stands between it and its clients is not ours to watch. */
  async #get(address: string): Promise<HttpAnswer | undefined> {
    const { publisherUrl, request } = this.#parts;
    if (!URL.canParse(address)) return undefined;
    const { pathname, search } = new URL(address);
    try {
      const options = { method: "GET", maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS } as const;
      const answer = await request(`${publisherUrl}${pathname}${search}`, options);
      return answer.status === 200 ? answer : undefined;
    } catch {
      return undefined;
    }
  }

  #isRegistered({ issuer, realm, tenant }: Issuer, served: ServedKey): boolean {
    const { registry, clock } = this.#parts;
    const { kid } = served;
    const key = registry.keys.get(kid);
    const hasLeases = [...registry.brokers.values()].some(({ realms }) => realms.includes(realm));
    if (!key || !isShownAs(key, served, issuer, hasLeases)) return false;
    const now = nowSeconds(clock);
    if (keysForIssuer(registry, realm, tenant, now).some((one) => one.kid === kid)) return true;
    return isJustWithdrawn(key, realm, tenant, now);
  }

  #noteForeign({ issuer, realm }: Issuer, { kid, digest, jwk }: ServedKey): void {
    const uses = usesOf(jwk).map((use) => ({ ...use, issuer }));
    const others = this.foreignKeys(kid).filter((one) => one.issuer !== issuer);
    this.#foreign.delete(kid);
    this.#foreign.set(kid, [...others, ...uses].slice(-MAX_FOREIGN));
    const [oldest] = this.#foreign.keys();
    if (this.#foreign.size > MAX_FOREIGN && oldest !== undefined) this.#foreign.delete(oldest);
    this.#parts.alarms.raise({
      kind: "foreign-key",
      subject: `${issuer} ${digest}`,
      digests: [digest],
      detail: { issuer, realm, kid: kid.slice(0, 256) },
    });
  }

  #noteUnreadable({ issuer, realm }: Issuer, { why, body }: { why: string; body: Buffer }): void {
    const digest = hash("sha256", body, "base64url");
    this.#parts.alarms.raise({
      kind: "foreign-key",
      subject: `${issuer} ${why}`,
      digests: [digest],
      detail: { issuer, realm, why: `${why} is not what the publisher makes` },
    });
  }

  #noteUnreachable(issuer: string): void {
    const { active, alarms } = this.#parts;
    const since = this.#reachedAt.get(issuer) ?? active();
    this.#reachedAt.set(issuer, since);
    if (active() - since >= UNREACHABLE_MS)
      alarms.raiseState({ kind: "jwks-unreachable", subject: issuer, detail: { issuer } });
  }
}

function isAt(uri: string, issuer: string): boolean {
  return URL.canParse(uri) && new URL(uri).origin === new URL(issuer).origin;
}

function isJustWithdrawn(key: KeyInfo, realm: string, tenant: string, now: number): boolean {
  const { stateAt, record } = key;
  if (key.realm !== realm || !tenantCovered(record.tenants, tenant)) return false;
  if (key.state === "generated") return false;
  return (
    now - stateAt <= WITHDRAWAL_SECONDS || Math.abs(now - record.verifyUntil) <= WITHDRAWAL_SECONDS
  );
}
