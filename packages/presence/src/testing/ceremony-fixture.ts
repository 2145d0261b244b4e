import { generateKeyPairSync } from "node:crypto";
import {
  SoftAuthenticator,
  type SoftAuthenticatorOptions,
  type SoftOverrides,
} from "@redoubt/testkit";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { Assertion } from "../assertion.ts";
import { enrolmentKey, type Enrolment } from "../enrolment.ts";
import { personHash } from "../person.ts";
import { makeStatement, type OpenedStatement, type StatementFrame } from "../statement.ts";

export const NOW = 1_764_000_000;
export const RP_ID = "login.test";
export const ORIGIN = "https://presence.login.test";
export const CEREMONY = { rpId: RP_ID, origins: [ORIGIN] } as const;
export const FRAME: StatementFrame = {
  realm: "enterprise",
  issuedAt: NOW,
  expiresAt: NOW + 300,
  rpId: RP_ID,
  origin: ORIGIN,
};
export const PASS = {
  action: "person.pass",
  subject: {
    person: "p-7",
    userName: "anna@example.test",
    tenant: "aaaaaaaa-0000-4000-8000-000000000001",
    purpose: "onboarding",
    minutes: 30,
  },
} as const;
export const NONCE = Buffer.alloc(16, 7);

export function passStatement(change: Partial<StatementFrame> = {}): OpenedStatement {
  return makeStatement({ ...FRAME, ...change, ...PASS }, NONCE);
}

/** A person with one enrolled passkey. */
export class TestPerson {
  readonly person: string;
  readonly key: SoftAuthenticator;
  readonly #change: Partial<Enrolment>;

  constructor(
    name: string,
    change: Partial<Enrolment> = {},
    options: Partial<SoftAuthenticatorOptions> = {},
  ) {
    this.person = personHash(name);
    this.#change = change;
    this.key = new SoftAuthenticator({ rpId: RP_ID, ...options });
  }

  get enrolment(): Enrolment {
    return {
      realm: FRAME.realm,
      person: this.person,
      credential: this.key.credentialId,
      publicKey: encodeBase64url(this.key.publicKey),
      class: "device-bound",
      rpId: RP_ID,
      from: NOW - 86_400,
      ...this.#change,
    };
  }

  approve({ challenge }: OpenedStatement, overrides: SoftOverrides = {}): Assertion {
    return assertionOf(
      this.key.authenticate(
        { challenge: encodeBase64url(challenge) },
        { origin: ORIGIN, overrides },
      ),
    );
  }
}

export function assertionOf({
  id,
  response,
}: ReturnType<SoftAuthenticator["authenticate"]>): Assertion {
  return {
    credentialId: id,
    clientDataJSON: Buffer.from(response.clientDataJSON, "base64url"),
    authenticatorData: Buffer.from(response.authenticatorData, "base64url"),
    signature: Buffer.from(response.signature, "base64url"),
  };
}

export function enrolmentsOf(...people: readonly TestPerson[]): ReadonlyMap<string, Enrolment> {
  return new Map(
    people.map(({ enrolment }) => [enrolmentKey(FRAME.realm, enrolment.credential), enrolment]),
  );
}

export const SERVICE = { keyId: "redoubt.test/acting", ...generateKeyPairSync("ed25519") };
