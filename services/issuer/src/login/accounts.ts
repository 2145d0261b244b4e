import { hash, randomBytes, randomUUID } from "node:crypto";
import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import { personHash } from "@redoubt/presence";
import { StoreError, type PeopleStore, type Person } from "@redoubt/store";
import type { Approvals, UnverifiedApproval } from "./approvals/approvals.ts";
import { fromStore } from "./flows/passkey-sign-in.ts";
import { OUTBOX } from "./logout-notices.ts";
import { newPass } from "./pass.ts";
import { checkOperatorAlone, OPERATOR, type Approvers } from "./pass-authority.ts";
import { tierOf, type PasskeyTier } from "./passkeys/tier.ts";
import { checkDetails, type SaidDetails } from "./person-details.ts";

export interface AccountsParts {
  readonly store: PeopleStore;
  readonly clock: Pick<Clock, "now">;
  readonly approvers: () => Approvers;
  readonly approvals: Pick<Approvals, "accept">;
  /** Somebody's passkey was taken away, and why. */
  readonly passkeyRemoved: (fields: {
    readonly tenant: string;
    readonly person: string;
    readonly reason: string;
  }) => void;
}

export interface IssuedPass {
  /** Told once, and nowhere kept. */
  readonly pass: string;
  readonly expires: number;
}

export interface KnownPasskey {
  readonly credential: Buffer;
  readonly name: string;
  readonly tier: PasskeyTier;
  readonly created: number;
  readonly lastUsed: number | null;
}

export type PersonSource = Person["source"];

export interface PassAsked {
  readonly purpose: "onboarding" | "recovery";
  readonly minutes: number;
  /** Left out where the operator asks alone. */
  readonly approval?: UnverifiedApproval | undefined;
}

const HANDLE_BYTES = 32;
const MINUTE = 60;
const DAY = 86_400;
const MAX_TOKENS = 64;
const RECOVERY_APPROVERS = 2;

/**
 * A realm's people, for all who may say something of them: the operator's socket, imports and SCIM. There is one way to
 * deactivate somebody, and no way that leaves a session or a refresh token behind.
 */
export class Accounts {
  readonly #parts: AccountsParts;

  constructor(parts: AccountsParts) {
    this.#parts = parts;
  }

  /** @throws ServiceError `ERR_PERSON_DETAILS`, `ERR_PERSON_TAKEN` */
  async add(
    tenant: string,
    details: SaidDetails,
    given: {
      readonly source: PersonSource;
      readonly isAdministrator?: boolean;
      readonly isActive?: boolean;
    },
  ): Promise<Person> {
    const { source, isAdministrator = false, isActive = true } = given;
    const person = newPerson(tenant, details, { source, isAdministrator, isActive });
    return translated(() => this.#parts.store.people.add(person));
  }

  /**
   * @throws ServiceError `ERR_PERSON_DETAILS`, `ERR_PERSON_TAKEN`, `ERR_PERSON_CHANGED`: somebody else changed it
   *   meanwhile; `ERR_PERSON_UNKNOWN`
   */
  async change(person: Person, changes: Partial<SaidDetails>): Promise<Person> {
    checkDetails(changes);
    const { tenant, id, version } = person;
    return translated(() => this.#parts.store.people.update(tenant, id, version, changes));
  }

  /** @throws ServiceError `ERR_PERSON_UNKNOWN` */
  async find(
    tenant: string,
    by: { readonly id: string } | { readonly userName: string },
  ): Promise<Person> {
    const person = await this.#parts.store.people.find(tenant, by);
    if (!person) throw new ServiceError("ERR_PERSON_UNKNOWN", "No such person in this tenant");
    return person;
  }

  /**
   * The one way to deactivate: sessions, grants, codes, tokens and open passes end with it, and clients are told.
   *
   * @returns whether this call did it @throws ServiceError `ERR_PERSON_UNKNOWN`
   */
  deactivate(tenant: string, sub: string): Promise<boolean> {
    const message = messageOf(OUTBOX.deactivated, { tenant, sub });
    return translated(() => this.#parts.store.standing.deactivate(tenant, sub, message));
  }

  /** What ended stays ended. @returns whether this call did it @throws ServiceError `ERR_PERSON_UNKNOWN` */
  reactivate(tenant: string, sub: string): Promise<boolean> {
    const message = messageOf(OUTBOX.reactivated, { tenant, sub });
    return translated(() => this.#parts.store.standing.reactivate(tenant, sub, message));
  }

  /**
   * Once in a realm's life. Whoever holds the data folder could do as much; nobody else can (M6).
   *
   * @throws ServiceError `ERR_ADMINISTRATOR_EXISTS`, `ERR_PERSON_DETAILS`, `ERR_PERSON_TAKEN`
   */
  async addFirstAdministrator(
    tenant: string,
    details: SaidDetails,
    minutes: number,
  ): Promise<IssuedPass & { readonly person: Person }> {
    const given = { source: "command", isAdministrator: true, isActive: true } as const;
    const asked = newPerson(tenant, details, given);
    const { text: pass, hash: passHash, ...times } = this.#newPass(minutes);
    const stored = { hash: passHash, ...times, issuedBy: OPERATOR };
    const person = await translated(() =>
      this.#parts.store.passes.addFirstAdministrator(asked, stored),
    );
    return { person, pass, expires: times.expires };
  }

  /**
   * A pass lets its person register passkeys, once, within the hour, and do nothing else. Earlier ones of the same
   * purpose are void.
   *
   * @throws ServiceError `ERR_ISSUER_PRESENCE`, `ERR_ISSUER_REGISTRY`, `ERR_PERSON_UNKNOWN`: or disabled
   * @throws PresenceError
   */
  async issuePass(tenant: string, id: string, asked: PassAsked): Promise<IssuedPass> {
    const { purpose, minutes, approval } = asked;
    const { store, approvers } = this.#parts;
    if (!approval) checkOperatorAlone(approvers());
    const person = await this.find(tenant, { id });
    const { id: personId } = person;
    // Before the approval is used up for nothing.
    if (person.status !== "active")
      throw new ServiceError("ERR_PERSON_UNKNOWN", "No such person in this tenant, or disabled");
    const issuedBy = approval ? await this.#approved(person, asked, approval) : OPERATOR;
    const { text: pass, hash: passHash, ...times } = this.#newPass(minutes);
    const stored = { hashes: [passHash], personId, purpose, issuedBy, ...times };
    await translated(() => store.passes.issue(stored));
    return { pass, expires: times.expires };
  }

  /** THREAT-18: nobody lets herself back in, and one administrator alone lets nobody back in who was in before. */
  #approved(
    { id: person, tenant, userName }: Person,
    { purpose, minutes }: PassAsked,
    approval: UnverifiedApproval,
  ): Promise<string> {
    // The name, too: approvers know people by it, and it is this store's, whatever the statement's maker says.
    const subject = { person, tenant, userName, purpose, minutes };
    return this.#parts.approvals.accept(approval, subject, {
      action: "person.pass",
      approvers: purpose === "recovery" ? RECOVERY_APPROVERS : 1,
      notBy: [personHash(person)],
    });
  }

  #newPass(minutes: number) {
    const notBefore = nowSeconds(this.#parts.clock);
    return { ...newPass(), notBefore, expires: notBefore + minutes * MINUTE };
  }

  async passkeys(person: Person): Promise<readonly KnownPasskey[]> {
    const all = await this.#parts.store.passkeys.list(person.id);
    return all.map((stored) => ({
      credential: Buffer.from(stored.credentialId),
      name: stored.name,
      tier: tierOf(fromStore(stored)),
      created: stored.created,
      lastUsed: stored.lastUsed,
    }));
  }

  /**
   * Takes a passkey away, also the last one: it was lost or stolen. Whoever has it may be signed in, so all of the
   * person's sessions end.
   *
   * @throws ServiceError `ERR_PERSON_UNKNOWN` @returns whether it was there
   */
  async removePasskey(
    tenant: string,
    id: string,
    { credential, reason }: { readonly credential: Buffer; readonly reason: string },
  ): Promise<boolean> {
    const { store, passkeyRemoved } = this.#parts;
    const lost = { personId: id, credentialId: credential };
    const message = messageOf(OUTBOX.sessionsEnded, { tenant, sub: id });
    const wasThere = await translated(() => store.standing.removePasskey(tenant, lost, message));
    if (wasThere) passkeyRemoved({ tenant, person: id, reason });
    return wasThere;
  }

  /** For a directory that provisions this tenant's people. @throws ServiceError `ERR_SCIM_TOKENS`: too many */
  async addScimToken(tenant: string, name: string, days: number) {
    const { store, clock } = this.#parts;
    const { length } = await store.scimTokens.list(tenant);
    if (length >= MAX_TOKENS)
      throw new ServiceError(
        "ERR_SCIM_TOKENS",
        "The tenant has as many tokens as it may: remove one",
      );
    const token = randomBytes(HANDLE_BYTES).toString("base64url");
    const hashed = hash("sha256", token, "buffer");
    const expires = nowSeconds(clock) + days * DAY;
    await store.scimTokens.add({ hash: hashed, tenant, name, expires });
    return { id: hashed.toString("base64url"), token, expires };
  }

  async scimTokens(tenant: string) {
    const tokens = await this.#parts.store.scimTokens.list(tenant);
    return tokens.map(({ hash: hashed, name, created, expires }) => ({
      id: Buffer.from(hashed).toString("base64url"),
      name,
      created,
      expires,
    }));
  }

  removeScimToken(tenant: string, id: string): Promise<boolean> {
    return this.#parts.store.scimTokens.remove(tenant, Buffer.from(id, "base64url"));
  }

  /** Active accounts by the weakest passkey of each: an attacker needs no stronger one (M12). */
  async coverage(): Promise<Readonly<Record<PasskeyTier | "none", number>>> {
    const counts = { none: 0, synced: 0, "device-bound": 0, attested: 0 };
    for (const { hasSynced, trusts, people } of await this.#parts.store.people.countPasskeys())
      counts[weakest(hasSynced, trusts)] += people;
    return counts;
  }
}

function weakest(hasSynced: boolean | null, trusts: readonly string[]): PasskeyTier | "none" {
  if (hasSynced === null) return "none";
  if (hasSynced) return "synced";
  return trusts.every((trust) => trust === "chain") ? "attested" : "device-bound";
}

function newPerson(
  tenant: string,
  details: SaidDetails,
  given: {
    readonly source: PersonSource;
    readonly isAdministrator: boolean;
    readonly isActive: boolean;
  },
) {
  checkDetails(details);
  const { source, isAdministrator, isActive } = given;
  const status = isActive ? ("active" as const) : ("disabled" as const);
  const ids = { id: randomUUID(), handle: randomBytes(HANDLE_BYTES), tenant };
  return { ...details, ...ids, source, isAdministrator, status, onboardedAt: null };
}

function messageOf(kind: string, payload: { readonly tenant: string; readonly sub: string }) {
  return { id: randomUUID(), kind, payload: JSON.stringify(payload) };
}

/** What callers can do something about, in this room's words. */
async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    throw errorOf(cause) ?? cause;
  }
}

function errorOf(cause: StoreError): ServiceError | undefined {
  const { code, part } = cause;
  if (code === "ERR_STORE_MISSING")
    return new ServiceError("ERR_PERSON_UNKNOWN", "No such person in this tenant, or disabled", {
      cause,
    });
  if (code === "ERR_STORE_VALUE")
    return new ServiceError("ERR_PERSON_DETAILS", "Person: a text cannot be stored", { cause });
  if (code !== "ERR_STORE_CONFLICT") return undefined;
  if (part === "administrator")
    return new ServiceError(
      "ERR_ADMINISTRATOR_EXISTS",
      "The realm has had an administrator: the first one is made once",
      { cause },
    );
  if (part === "version")
    return new ServiceError("ERR_PERSON_CHANGED", "Somebody else changed the person", { cause });
  const fields = { part };
  return new ServiceError("ERR_PERSON_TAKEN", `Another person has this ${part}`, { cause, fields });
}
