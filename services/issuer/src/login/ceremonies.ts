import { hash, randomBytes } from "node:crypto";
import { nowSeconds, type Clock } from "@redoubt/base";
import type { PeopleStore } from "@redoubt/store";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";
import { orRefuse, PasskeyError } from "./passkeys/passkey-error.ts";

/** What a challenge was given out for; an answer to one kind is none to another. */
export type CeremonyKind = "sign-in" | "registration";

const CHALLENGE_BYTES = 32;
/** As long as a page may wait: passkeys are offered in a field, and people take their time. */
const CEREMONY_SECONDS = 1800;

/** Challenges of passkeys: each is given out once, for one page and one purpose, and taken once. */
export class Ceremonies {
  readonly #store: Pick<PeopleStore, "ceremonies">;
  readonly #clock: Clock;

  constructor(store: Pick<PeopleStore, "ceremonies">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** @param purpose what the answer may be used for: a tenant, an interaction, a person */
  async begin(kind: CeremonyKind, purpose: string): Promise<Buffer> {
    const challenge = randomBytes(CHALLENGE_BYTES);
    const idHash = hash("sha256", challenge, "buffer");
    const expires = nowSeconds(this.#clock) + CEREMONY_SECONDS;
    await this.#store.ceremonies.add({ idHash, kind, data: purpose, expires });
    return challenge;
  }

  /**
   * Spends the challenge that an answer names, whatever the answer is worth.
   *
   * @returns the challenge, base64url
   * @throws PasskeyError `ERR_PASSKEY_CHALLENGE` where it was never given out for this, was used, or is too old
   */
  async take(kind: CeremonyKind, purpose: string, clientData: Uint8Array): Promise<string> {
    const challenge = readUnverifiedChallenge(clientData);
    const ceremony = await this.#store.ceremonies.take(kind, hash("sha256", challenge, "buffer"));
    if (ceremony?.data !== purpose)
      throw new PasskeyError("ERR_PASSKEY_CHALLENGE", "No such ceremony is under way");
    return encodeBase64url(challenge);
  }
}

function readUnverifiedChallenge(clientData: Uint8Array): Uint8Array {
  return orRefuse("ERR_PASSKEY_FORM", "Client data: no challenge", () => {
    const { challenge } = parseJsonObject(clientData);
    if (typeof challenge !== "string") throw new TypeError("Challenge is no text");
    return decodeBase64url(challenge, { bytes: CHALLENGE_BYTES });
  });
}
