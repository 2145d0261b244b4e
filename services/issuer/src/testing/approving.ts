import type { PasskeyPolicy } from "../login/passkeys/policy.ts";
import { generateKeyPairSync } from "node:crypto";
import {
  enrolmentKey,
  makeStatement,
  personHash,
  type Assertion,
  type Enrolment,
  type OpenedStatement,
  type Said,
} from "@redoubt/presence";
import type { PeopleStore } from "@redoubt/store";
import { SoftAuthenticator, type SoftOverrides, type TestClock } from "@redoubt/testkit";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { Approvals } from "../login/approvals/approvals.ts";

export const REALM = "enterprise";
export const RP_ID = "login.test";
export const PRESENCE_ORIGIN = "https://approve.login.test";
export const LOGIN_ORIGIN = "https://login.test";
/** With which the issuer of a test says when it acted. */
export const ACTING = { keyId: "issuer-enterprise", ...generateKeyPairSync("ed25519"), vkey: "v" };

/** A registry whose enrolments a test changes as it likes. */
export class Enrolled {
  readonly all = new Map<string, Enrolment>();
  problem: Error | undefined;
  /** What the realm's policy says of passkeys; a test makes it stricter. */
  policy: PasskeyPolicy = {
    attestation: "none",
    synced: "allowed",
    allowAaguids: null,
    denyAaguids: [],
    roots: new Map(),
  };

  approvals(store: PeopleStore, clock: TestClock, hasPage = true): Approvals {
    return new Approvals({
      realm: REALM,
      store,
      clock,
      place: { policy: this.policy, metadata: () => null },
      key: hasPage ? ACTING : undefined,
      ceremony: hasPage ? { rpId: RP_ID, origins: [PRESENCE_ORIGIN] } : undefined,
      enrolments: () => {
        if (this.problem) throw this.problem;
        return this.all;
      },
    });
  }

  enrol({ id, key }: Pick<Approver, "id" | "key">, from: number): void {
    const credential = key.credentialId;
    this.all.set(enrolmentKey(REALM, credential), {
      realm: REALM,
      person: personHash(id),
      credential,
      publicKey: encodeBase64url(key.publicKey),
      class: "device-bound",
      rpId: RP_ID,
      from,
    });
  }

  remove({ key }: Pick<Approver, "key">, removedAt: number): void {
    const place = enrolmentKey(REALM, key.credentialId);
    const known = this.all.get(place);
    if (known) this.all.set(place, { ...known, removedAt });
  }
}

/** An administrator with a passkey. */
export class Approver {
  readonly id: string;
  readonly key = new SoftAuthenticator({ rpId: RP_ID });

  constructor(id: string) {
    this.id = id;
  }

  /** Keeps the passkey in the store, as a registration does. */
  async register(store: PeopleStore): Promise<Buffer> {
    const credentialId = Buffer.from(this.key.credentialId, "base64url");
    await store.passkeys.add({
      credentialId,
      personId: this.id,
      rpId: RP_ID,
      publicKey: this.key.publicKey,
      algorithm: -7,
      counter: 0,
      trust: "none",
      format: "none",
      aaguid: "",
      backupEligible: false,
      backedUp: false,
      transports: [],
      name: "Key",
      createdBy: "pass",
    });
    return credentialId;
  }

  approve(
    { challenge }: OpenedStatement,
    { origin = PRESENCE_ORIGIN, overrides = {} }: ApproveOptions = {},
  ): Assertion {
    const { id, response } = this.key.authenticate(
      { challenge: encodeBase64url(challenge) },
      { origin, overrides },
    );
    return {
      credentialId: id,
      clientDataJSON: Buffer.from(response.clientDataJSON, "base64url"),
      authenticatorData: Buffer.from(response.authenticatorData, "base64url"),
      signature: Buffer.from(response.signature, "base64url"),
    };
  }
}

interface ApproveOptions {
  readonly origin?: string;
  readonly overrides?: SoftOverrides;
}

export interface StatementChange {
  readonly realm?: string;
  readonly issuedAt?: number;
  readonly expiresAt?: number;
  readonly origin?: string;
  readonly nonce?: number;
}

/** A statement as a command makes it at this time. */
export function statementAt(
  now: number,
  said: Said,
  { nonce = 7, ...change }: StatementChange = {},
): OpenedStatement {
  const times = { issuedAt: now, expiresAt: now + 300 };
  const place = { realm: REALM, rpId: RP_ID, origin: PRESENCE_ORIGIN };
  return makeStatement({ ...place, ...times, ...change, ...said }, Buffer.alloc(16, nonce));
}

/** As the operator's socket has it. */
export function approvalHead(statement: OpenedStatement, ...assertions: readonly Assertion[]) {
  return {
    statement: encodeBase64url(statement.bytes),
    assertions: assertions.map(({ credentialId, ...rest }) => ({
      credentialId,
      clientDataJSON: encodeBase64url(rest.clientDataJSON),
      authenticatorData: encodeBase64url(rest.authenticatorData),
      signature: encodeBase64url(rest.signature),
    })),
  };
}
