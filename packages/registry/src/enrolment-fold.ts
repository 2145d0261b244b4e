import { enrolmentKey, parseCoseKey, type Enrolment } from "@redoubt/presence";
import { decodeBase64url } from "@redoubt/verify/base64url";
import type { RoleKeys } from "./role-keys.ts";
import { conflict } from "./scope-rules.ts";
import type { EnrolmentStatement } from "./statement-types.ts";

/**
 * The passkeys whose approvals count. One is enrolled once, for one person of one realm, and removed once: an approval of
 * years ago is verified by what stood here then, and nothing said later changes that.
 */
export class EnrolmentFold {
  readonly #all = new Map<string, Enrolment>();
  /** The key of `#all` by the credential alone: in no other realm may it be somebody else's. */
  readonly #placeOf = new Map<string, string>();

  get all(): ReadonlyMap<string, Enrolment> {
    return this.#all;
  }

  /** @throws KeyError `ERR_STATEMENT_CONFLICT` */
  take(statement: EnrolmentStatement, roleKeys: RoleKeys): void {
    const { realm, credential } = statement;
    const place = enrolmentKey(realm, credential);
    if ((this.#placeOf.get(credential) ?? place) !== place)
      throw conflict("Credential is enrolled in another realm");
    const known = this.#all.get(place);
    if (statement.status === "removed") this.#remove(place, known, statement);
    else this.#enrol(place, known, statement, roleKeys);
  }

  #enrol(
    place: string,
    known: Enrolment | undefined,
    { realm, person, credential, publicKey, class: tier, rpId, aaguid, at }: EnrolmentStatement,
    roleKeys: RoleKeys,
  ): void {
    // Also after it was removed: whoever gets a passkey back that was lost makes a new one.
    if (known) throw conflict("Credential was enrolled before");
    const { key } = parseCoseKey(decodeBase64url(publicKey));
    const role = `presence:${place}`;
    roleKeys.checkKey(key, role);
    roleKeys.addKey(key, role);
    this.#placeOf.set(credential, place);
    this.#all.set(place, {
      realm,
      person,
      credential,
      publicKey,
      class: tier,
      rpId,
      from: at,
      ...(aaguid !== undefined && { aaguid }),
    });
  }

  #remove(place: string, known: Enrolment | undefined, statement: EnrolmentStatement): void {
    if (!known) throw conflict("Credential is not enrolled");
    if (known.removedAt !== undefined) throw conflict("Credential was removed before");
    const isSame =
      known.person === statement.person &&
      known.publicKey === statement.publicKey &&
      known.class === statement.class &&
      known.rpId === statement.rpId &&
      known.aaguid === statement.aaguid;
    if (!isSame) throw conflict("Removal is of another enrolment than the one there is");
    if (statement.at < known.from) throw conflict("Removal is older than the enrolment");
    this.#all.set(place, { ...known, removedAt: statement.at });
  }
}
