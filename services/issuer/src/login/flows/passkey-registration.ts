import type { Clock } from "@redoubt/base";
import { StoreError, type NewPasskey, type PeopleStore, type Person } from "@redoubt/store";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import type { Ceremonies } from "../ceremonies.ts";
import { registrationOptions } from "../passkeys/options.ts";
import { PASSKEY_ALGORITHMS, type Passkey } from "../passkeys/passkey.ts";
import { PasskeyError } from "../passkeys/passkey-error.ts";
import { readRegistration } from "../passkeys/read-answer.ts";
import { verifyRegistration } from "../passkeys/verify-registration.ts";
import type { PasskeyPlace } from "./passkey-sign-in.ts";

export interface RegistrationParts {
  readonly store: Pick<PeopleStore, "people" | "passkeys">;
  readonly ceremonies: Ceremonies;
  readonly place: PasskeyPlace;
  /** How many passkeys a person must have before anything else is open. */
  readonly required: number;
  readonly clock: Clock;
}

/** What let a person register: a pass that an administrator gave, a passkey that the person has, a recovery. */
export type RegisteredBy = NewPasskey["createdBy"];

export interface Registered {
  /** Passkeys that the person still must register. */
  readonly missing: number;
}

const MAX_NAME = 64;
const MAX_PASSKEYS = 32;

/** New passkeys of one person, who was let in to register and to nothing else. */
export class PasskeyRegistration {
  readonly #parts: RegistrationParts;

  constructor(parts: RegistrationParts) {
    this.#parts = parts;
  }

  get organisation(): string {
    return this.#parts.place.rp.name;
  }

  get required(): number {
    return this.#parts.required;
  }

  async options(person: Person) {
    const { store, ceremonies, place } = this.#parts;
    const existing = await store.passkeys.list(person.id);
    const challenge = await ceremonies.begin("registration", person.id);
    const { attestation, allowAaguids } = place.policy;
    return registrationOptions({
      rp: place.rp,
      person: {
        handle: person.handle,
        name: person.userName,
        displayName: person.displayName ?? person.userName,
      },
      challenge,
      existing: existing.map(({ credentialId }) => encodeBase64url(credentialId)),
      attestation: attestation === "required" || allowAaguids !== null ? "direct" : "none",
    });
  }

  /**
   * @param answer what the browser sent: hostile
   * @throws PasskeyError; StoreError `ERR_STORE_MISSING` where the person was disabled meanwhile
   */
  async verify(
    person: Person,
    createdBy: RegisteredBy,
    answer: { readonly response: unknown; readonly name: string },
  ): Promise<Registered> {
    const { store, ceremonies, place, clock } = this.#parts;
    const { clientData } = readRegistration(answer.response);
    const challenge = await ceremonies.take("registration", person.id, clientData);
    const passkey = await verifyRegistration({
      response: answer.response,
      expected: { challenge, origin: place.origin, rpId: place.rp.id },
      policy: place.policy,
      metadata: place.metadata(),
      now: clock.now(),
    });
    const known = await store.passkeys.list(person.id);
    if (known.length >= MAX_PASSKEYS)
      throw new PasskeyError("ERR_PASSKEY_COUNT", "Registration: the person has too many passkeys");
    await this.#add(person, passkey, { createdBy, name: answer.name, rpId: place.rp.id });
    return this.#registered(person.id, person.tenant, known.length + 1);
  }

  async #add(
    person: Person,
    passkey: Passkey,
    given: Pick<NewPasskey, "createdBy" | "name" | "rpId">,
  ): Promise<void> {
    try {
      await this.#parts.store.passkeys.add({
        ...given,
        name: cleanName(given.name),
        personId: person.id,
        credentialId: decodeBase64url(passkey.credentialId),
        publicKey: passkey.publicKey,
        algorithm: coseOf(passkey),
        counter: passkey.counter,
        trust: passkey.trust,
        format: passkey.format,
        aaguid: passkey.aaguid ?? "",
        backupEligible: passkey.backupEligible,
        backedUp: passkey.backedUp,
        transports: passkey.transports,
      });
    } catch (cause) {
      // WebAuthn §7.1 step 26: an id that is registered already, to anybody.
      if (cause instanceof StoreError && cause.code === "ERR_STORE_CONFLICT")
        throw new PasskeyError("ERR_PASSKEY_KNOWN", "Registration: the passkey is registered");
      throw cause;
    }
  }

  async #registered(id: string, tenant: string, count: number): Promise<Registered> {
    const { store, required, clock } = this.#parts;
    const missing = Math.max(0, required - count);
    const person = missing === 0 ? await store.people.find(tenant, { id }) : undefined;
    if (person && person.onboardedAt === null)
      await store.people.update(tenant, id, person.version, {
        onboardedAt: Math.floor(clock.now() / 1000),
      });
    return { missing };
  }
}

/** A name that the person gave, or none; control characters and the like are nothing that a page could show. */
export function cleanName(name: string): string {
  const clean = name.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, "").trim();
  return clean.slice(0, MAX_NAME).toWellFormed() || "Passkey";
}

function coseOf({ algorithm }: Passkey): number {
  for (const [id, name] of PASSKEY_ALGORITHMS) if (name === algorithm) return id;
  throw new RangeError(`No COSE identifier: ${algorithm}`);
}
