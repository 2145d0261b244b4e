import { createHmac, hash, randomBytes } from "node:crypto";
import { nowSeconds, type Clock } from "@redoubt/base";
import type { ClientInfo } from "@redoubt/registry";
import type { ProtocolRepository, StoredProtocolRow } from "@redoubt/store";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import {
  errors,
  Provider,
  type Adapter,
  type AdapterPayload,
  type ClientMetadata,
} from "oidc-provider";
import { clientMetadata } from "./client-metadata.ts";

export interface AdapterParts {
  /** Part of every id: what one tenant's endpoint gave out is nothing at another's. */
  readonly tenant: string;
  readonly rows: ProtocolRepository;
  readonly client: (client: string) => ClientInfo | undefined;
  readonly clock: Clock;
}

/**
 * How long after a rotation the refresh token before it is still answered, with the same successor, as long as nobody
 * has used that one: an answer was lost, or two tabs asked at once.
 */
export const ROTATION_GRACE_SECONDS = 10;
const MERGE_ATTEMPTS = 8;

/**
 * The protocol library's state in our store. Ids are what a browser or client holds as a secret, so rows are named by
 * their hash and payloads are without them: whoever reads the database can be nobody's session.
 */
export class ProtocolAdapter implements Adapter {
  readonly #kind: string;
  readonly #parts: AdapterParts;

  constructor(kind: string, parts: AdapterParts) {
    this.#kind = kind;
    this.#parts = parts;
  }

  async find(id: string): Promise<AdapterPayload | ClientMetadata | undefined> {
    if (this.#kind === "Client") return this.#findClient(id);
    const row = await this.#parts.rows.find(this.#kind, this.#name(id));
    if (!row) return undefined;
    const payload: JsonObject & { jti: string } = { ...readPayload(row), jti: id };
    const { ctx } = Provider;
    const seed = payload["seed"];
    if (typeof seed === "string" && ctx) rememberSuccessor(ctx.state, id, seed);
    if (row.consumedAt === null || (await this.#isInGrace(id, row))) return payload;
    return { ...payload, consumed: row.consumedAt };
  }

  /** Only to see whether a session goes on, and whose it is: its id, which is the browser's secret, is not known here. */
  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    const row = await this.#parts.rows.findByUid(this.#kind, this.#name(uid));
    return row && readPayload(row);
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    if (this.#kind === "Session") return this.#saveSession(id, payload, expiresIn);
    const row = this.#row(id, payload, expiresIn);
    if (this.#kind !== "ReplayDetection") return this.#parts.rows.upsert(row);
    // RFC 9449 §11.1: found absent by two replicas at once, a proof would be used twice.
    if (!(await this.#parts.rows.insertIfAbsent(row)))
      throw new errors.InvalidDpopProof("DPoP proof JWT Replay detected");
    return undefined;
  }

  async consume(id: string): Promise<void> {
    const { rows } = this.#parts;
    const name = this.#name(id);
    if (await rows.consume(this.#kind, name)) return;
    // RFC 9700 §4.14.2: of two who use it at once, one is not its owner. But for a lost answer: then both get the same.
    const row = await rows.find(this.#kind, name);
    if (row && (await this.#isInGrace(id, row))) return;
    throw new errors.InvalidGrant("used already");
  }

  async destroy(id: string): Promise<void> {
    await this.#parts.rows.destroy(this.#kind, this.#name(id));
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    await this.#parts.rows.revokeByGrantId(this.#name(grantId));
  }

  // Device codes do not exist here.
  findByUserCode(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  #findClient(id: string): ClientMetadata | undefined {
    const client = this.#parts.client(id);
    return client && clientMetadata(client);
  }

  async #isInGrace(id: string, row: StoredProtocolRow): Promise<boolean> {
    const { rows, clock } = this.#parts;
    const seed = readPayload(row)["seed"];
    if (this.#kind !== "RefreshToken" || row.consumedAt === null || typeof seed !== "string")
      return false;
    if (nowSeconds(clock) - row.consumedAt > ROTATION_GRACE_SECONDS) return false;
    const successor = await rows.find(this.#kind, this.#name(successorOf(id, seed)));
    return successor === undefined || successor.consumedAt === null;
  }

  /** Two clients that authorise at once on one session: each keeps what the other has written. */
  async #saveSession(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    const { rows } = this.#parts;
    for (let attempt = 0; attempt < MERGE_ATTEMPTS; attempt += 1) {
      // eslint-disable-next-line no-await-in-loop -- each attempt looks at what the one before lost against
      const current = await rows.find(this.#kind, this.#name(id));
      const row = this.#row(
        id,
        current ? mergeSession(readPayload(current), payload) : payload,
        expiresIn,
      );
      const isSaved = current
        ? // eslint-disable-next-line no-await-in-loop -- as above
          await rows.update(row, current.version)
        : // eslint-disable-next-line no-await-in-loop -- as above
          await rows.insertIfAbsent(row);
      if (isSaved) return;
    }
    throw new errors.TemporarilyUnavailable("session is busy");
  }

  #row(id: string, { jti: _jti, ...payload }: AdapterPayload, expiresIn: number) {
    const { grantId, accountId, uid, session, ...rest } = payload;
    // An interaction is told which session it began in; that session's id stays with the browser.
    const { cookie: _cookie, ...shown } = isRecord(session) ? session : {};
    return {
      kind: this.#kind,
      id: this.#name(id),
      payload: JSON.stringify({
        ...rest,
        grantId,
        accountId,
        uid,
        ...(session !== undefined && { session: shown }),
        ...(this.#kind === "RefreshToken" && { seed: randomBytes(16).toString("base64url") }),
      }),
      expires: nowSeconds(this.#parts.clock) + expiresIn,
      grantId: typeof grantId === "string" ? this.#name(grantId) : null,
      accountId: typeof accountId === "string" ? accountId : null,
      uid: typeof uid === "string" ? this.#name(uid) : null,
    };
  }

  #name(id: string): string {
    return rowName(this.#parts.tenant, id);
  }
}

/**
 * The refresh token that follows this one: always the same, so that an answer that was lost can be given again. `seed`
 * is the row's own and leaves it never, so that an old token, whoever has it, does not lead to those after it.
 */
function successorOf(token: string, seed: string): string {
  return createHmac("sha256", seed).update(token).digest("base64url");
}

/**
 * A code or refresh token was spent and no token was signed for it: its owner may use it again. Of a refresh token the
 * successor, which nobody got, stays what it is: the next attempt leads to the same.
 */
export async function giveBack(
  rows: Pick<ProtocolRepository, "release">,
  tenant: string,
  form: ReadonlyMap<string, string>,
): Promise<void> {
  const [code, refreshToken] = [form.get("code"), form.get("refresh_token")];
  if (code !== undefined) await rows.release("AuthorizationCode", rowName(tenant, code));
  if (refreshToken !== undefined) await rows.release("RefreshToken", rowName(tenant, refreshToken));
}

function rowName(tenant: string, id: string): string {
  return hash("sha256", `${tenant}/${id}`, "base64url");
}

const SUCCESSOR = Symbol("successor");

function rememberSuccessor(state: object, token: string, seed: string): void {
  Reflect.set(state, SUCCESSOR, { of: token, value: successorOf(token, seed) });
}

/** What follows the refresh token that this request brought, if it brought that one. */
export function successorIn(state: object, token: string): string | undefined {
  const known: unknown = Reflect.get(state, SUCCESSOR);
  if (!isRecord(known) || known["of"] !== token) return undefined;
  const { value } = known;
  return typeof value === "string" ? value : undefined;
}

function mergeSession(current: JsonObject, next: AdapterPayload): AdapterPayload {
  const before = current["authorizations"];
  if (current["accountId"] !== next.accountId || !isJsonObject(before)) return next;
  return { ...next, authorizations: { ...before, ...Object(next["authorizations"]) } };
}

function readPayload({ payload }: StoredProtocolRow): JsonObject {
  return parseJsonObject(payload, { maxDepth: 16 });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
