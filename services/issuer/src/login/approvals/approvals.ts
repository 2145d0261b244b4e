import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import {
  acceptApproval,
  enrolmentKey,
  openStatement,
  personHash,
  PresenceError,
  sealEnvelope,
  type ActionName,
  type ApprovalPolicy,
  type Assertion,
  type Ceremony,
  type Enrolment,
  type Enrolments,
  type OpenedStatement,
} from "@redoubt/presence";
import type { Passkey, PeopleStore } from "@redoubt/store";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { fromStore, type PasskeyPlace } from "../flows/passkey-sign-in.ts";
import { PasskeyError } from "../passkeys/passkey-error.ts";
import { checkPasskeyPolicy } from "../passkeys/policy.ts";
import type { ActingKey } from "./acting-key.ts";

/** As whoever asks hands it over: nothing of it is verified. */
export interface UnverifiedApproval {
  readonly statement: Uint8Array;
  readonly assertions: readonly Assertion[];
}

export interface ApprovalsParts {
  readonly realm: string;
  /** Where people approve; undefined where there is no such page. */
  readonly ceremony: Ceremony | undefined;
  /** Of the realm, as the registry has them now. @throws ServiceError `ERR_ISSUER_REGISTRY` */
  readonly enrolments: () => Enrolments;
  readonly store: Pick<PeopleStore, "approvals" | "passkeys" | "people">;
  readonly key: ActingKey | undefined;
  /** Which passkeys count now, by policy and by what is known of their models (M3). */
  readonly place: Pick<PasskeyPlace, "policy" | "metadata">;
  readonly clock: Pick<Clock, "now">;
}

/** What a statement must say, member by member: what somebody approved, and nothing near it. */
export type Subject = Readonly<Record<string, string | number>>;

/** How old a statement may be: a person approves what happens now. */
export const APPROVAL_SECONDS = 300;

/** Approvals that this issuer acts on: it verifies each by itself, uses it up, and keeps it (P8, THREAT-20). */
export class Approvals {
  readonly #parts: ApprovalsParts;

  constructor(parts: ApprovalsParts) {
    this.#parts = parts;
  }

  /** Whose word on the time counts; undefined where nothing is approved. */
  get service(): string | undefined {
    return this.#parts.key?.vkey;
  }

  /**
   * Takes an approval of exactly this, once. What is refused is not used up.
   *
   * @returns the statement's hash, by which the approval is kept
   * @throws ServiceError `ERR_ISSUER_PRESENCE`: nothing can be approved here; `ERR_ISSUER_REGISTRY`
   * @throws PresenceError
   */
  async accept<A extends ActionName>(
    { statement: bytes, assertions }: UnverifiedApproval,
    subject: Subject,
    policy: Omit<ApprovalPolicy<A>, "tier" | "maxAgeSeconds">,
  ): Promise<string> {
    const { ceremony, key, store, realm } = this.#parts;
    if (!ceremony || !key)
      throw new ServiceError(
        "ERR_ISSUER_PRESENCE",
        "No page is configured at which people approve: nothing can be approved here",
      );
    const statement = openStatement(bytes);
    if (statement.statement.realm !== realm || !isAbout(statement, policy.action, subject))
      throw new PresenceError("ERR_PRESENCE_ACTION", "Something else was approved than is asked");
    const at = nowSeconds(this.#parts.clock);
    const { statementHash } = await acceptApproval({
      statement: bytes,
      assertions,
      policy: { ...policy, tier: "verified", maxAgeSeconds: APPROVAL_SECONDS },
      ceremony,
      enrolments: await this.#counting(assertions),
      // One row says that it was used, and what it was: there is no approval that was acted on and not kept.
      consumed: {
        use: (id) => {
          const envelope = sealEnvelope({ statement, assertions, at, service: key });
          return store.approvals.use({ id, at, envelope });
        },
      },
      now: at,
    });
    return statementHash;
  }

  /**
   * Enrolments that count today: the registry says whose they are, and this realm's store can only take away. An
   * administrator who was disabled, or a passkey that was stolen, approves nothing, also before somebody says so to the
   * registry.
   */
  async #counting(assertions: readonly Assertion[]): Promise<Enrolments> {
    const { enrolments, realm } = this.#parts;
    const all = enrolments();
    const named = assertions.flatMap(({ credentialId }) => {
      const place = enrolmentKey(realm, credentialId);
      const enrolment = all.get(place);
      return enrolment ? [{ place, enrolment }] : [];
    });
    const standing = await Promise.all(named.map(({ enrolment }) => this.#stands(enrolment)));
    return new Map(
      named.filter((_, index) => standing[index]).map(({ place, enrolment }) => [place, enrolment]),
    );
  }

  async #stands({ credential, person }: Enrolment): Promise<boolean> {
    const { store, place } = this.#parts;
    const passkey = await store.passkeys.find(decodeBase64url(credential));
    if (!passkey || personHash(passkey.personId) !== person) return false;
    // A model that a list or the metadata names since refuses approvals as it refuses sign-ins.
    if (!isAllowed(passkey, place)) return false;
    return store.people.isActiveAdministrator(passkey.personId);
  }
}

function isAllowed(passkey: Passkey, { policy, metadata }: ApprovalsParts["place"]): boolean {
  try {
    checkPasskeyPolicy(fromStore(passkey), policy, metadata());
    return true;
  } catch (error) {
    if (error instanceof PasskeyError) return false;
    throw error;
  }
}

/** Both have the same members, with the same values. */
function isAbout({ statement }: OpenedStatement, action: ActionName, subject: Subject): boolean {
  if (statement.action !== action) return false;
  const said = new Map<string, unknown>(Object.entries(statement.subject));
  const wanted = Object.entries(subject);
  return said.size === wanted.length && wanted.every(([name, value]) => said.get(name) === value);
}
