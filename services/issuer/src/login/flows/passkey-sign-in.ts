import type { Clock } from "@redoubt/base";
import type { Passkey as StoredPasskey, PeopleStore, Person } from "@redoubt/store";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import type { Ceremonies } from "../ceremonies.ts";
import type { ModelMetadata } from "../passkeys/metadata.ts";
import { authenticationOptions } from "../passkeys/options.ts";
import { PASSKEY_ALGORITHMS, type Passkey } from "../passkeys/passkey.ts";
import { PasskeyError } from "../passkeys/passkey-error.ts";
import type { PasskeyPolicy } from "../passkeys/policy.ts";
import { readAssertion } from "../passkeys/read-answer.ts";
import { TIER_CLAIMS, tierOf, type PasskeyTier, type TierClaims } from "../passkeys/tier.ts";
import { verifySignIn } from "../passkeys/verify-sign-in.ts";

/** Where passkeys of a realm work, and which. */
export interface PasskeyPlace {
  readonly rp: { readonly id: string; readonly name: string };
  /** The one origin of the pages, as a browser writes it. */
  readonly origin: string;
  readonly policy: PasskeyPolicy;
  /** What is known of models now; null where there is no metadata. */
  readonly metadata: () => ModelMetadata | null;
}

export interface SignInParts {
  readonly store: Pick<PeopleStore, "people" | "passkeys" | "tallies">;
  readonly ceremonies: Ceremonies;
  readonly place: PasskeyPlace;
  readonly clock: Clock;
}

/** A person who was there, verified by the authenticator, a moment ago. */
export interface ProvenPerson {
  readonly person: Person;
  readonly tier: PasskeyTier;
  readonly claims: TierClaims;
}

/** The only way in: a passkey with user verification (THREAT-18). */
export class PasskeySignIn {
  readonly #parts: SignInParts;

  constructor(parts: SignInParts) {
    this.#parts = parts;
  }

  /** How the organisation calls itself. */
  get organisation(): string {
    return this.#parts.place.rp.name;
  }

  get rpId(): string {
    return this.#parts.place.rp.id;
  }

  /** What a page needs; the answer is good for this purpose alone. */
  async options(purpose: string) {
    const { ceremonies, place } = this.#parts;
    const challenge = await ceremonies.begin("sign-in", purpose);
    return authenticationOptions({ rpId: place.rp.id, challenge });
  }

  /**
   * @param response what the browser sent: hostile
   * @throws PasskeyError, whose code is for the log and not for the page where it would tell who exists
   */
  async verify(tenant: string, purpose: string, response: unknown): Promise<ProvenPerson> {
    const { ceremonies, place, store } = this.#parts;
    const { id, clientData, userHandle } = readAssertion(response);
    const challenge = await ceremonies.take("sign-in", purpose, clientData);
    const person = await store.people.findByHandle(userHandle);
    const stored = await store.passkeys.find(decodeBase64url(id));
    // WebAuthn §5.1.10.3: the authenticator may forget it, for good. So this is said only where both hold: this very
    // store made the handle, and has no such passkey. Another realm's store may have it under the same domain.
    if (person?.tenant === tenant && person.status === "active" && !stored)
      throw new PasskeyError("ERR_PASSKEY_DELETED", "Sign-in: the passkey was deleted");
    // An id that is nobody's, or somebody's of another tenant, or of a person who is disabled: told apart to nobody.
    if (!person || person.tenant !== tenant || stored?.personId !== person.id)
      throw new PasskeyError("ERR_PASSKEY_CREDENTIAL", "Sign-in: no such passkey here");
    if (stored.rpId !== place.rp.id)
      throw new PasskeyError("ERR_PASSKEY_RP", "Sign-in: the passkey is of another domain");
    const passkey = fromStore(stored);
    const { counter, backedUp } = await verifySignIn({
      response,
      expected: { challenge, origin: place.origin, rpId: place.rp.id },
      passkey,
      personHandle: person.handle,
      policy: place.policy,
      metadata: place.metadata(),
    });
    if (person.status !== "active")
      throw new PasskeyError("ERR_PASSKEY_CREDENTIAL", "Sign-in: the person is disabled");
    const kept = await store.passkeys.used(stored.credentialId, { counter, backedUp });
    if (kept !== "used")
      throw new PasskeyError("ERR_PASSKEY_COUNTER", "Sign-in: the passkey changed meanwhile");
    const tier = tierOf(passkey);
    await store.tallies.add(tier);
    return { person, tier, claims: TIER_CLAIMS[tier] };
  }
}

/** @throws PasskeyError for a row of an algorithm or trust that this software does not know */
export function fromStore(stored: StoredPasskey): Passkey {
  const algorithm = PASSKEY_ALGORITHMS.get(stored.algorithm);
  const trust = TRUSTS.find((one) => one === stored.trust);
  const format = FORMATS.find((one) => one === stored.format);
  if (!algorithm || !trust || !format)
    throw new PasskeyError(
      "ERR_PASSKEY_FORM",
      "Stored passkey: unknown algorithm, trust or format",
    );
  return {
    credentialId: encodeBase64url(stored.credentialId),
    publicKey: new Uint8Array(stored.publicKey),
    algorithm,
    counter: stored.counter,
    trust,
    format,
    aaguid: stored.aaguid === "" ? undefined : stored.aaguid,
    backupEligible: stored.backupEligible,
    backedUp: stored.backedUp,
    transports: stored.transports,
  };
}

const TRUSTS = ["chain", "self", "none", "unverified"] as const;
const FORMATS = ["none", "packed"] as const;
