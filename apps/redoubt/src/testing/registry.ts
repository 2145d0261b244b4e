import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { Registry, signStatement, type StatementBody } from "@redoubt/registry";
import {
  generateKeyPair,
  publicJwk,
  signKeyRecord,
  type KeyRecordFields,
  type KeyState,
} from "@redoubt/keys";
import {
  createVerifierKey,
  encodeVerifierKey,
  SIGNATURE_TYPE,
  type SignatureType,
  type VerifierKey,
} from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { CONSUMER_TENANT, issuerTemplate, type Realm } from "../layout.ts";

export interface TestKey {
  readonly vkey: VerifierKey;
  readonly text: string;
  readonly privateKey: KeyObject;
}

export function testKey(name: string, type: SignatureType = SIGNATURE_TYPE.ed25519): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const key = { name, type, publicKey };
  return { vkey: createVerifierKey(key), text: encodeVerifierKey(key), privateKey };
}

export const ISSUANCE_LOG = "redoubt.local/issuance/enterprise-1/2026q4";

/** A registry with both realms, whose statements are signed for real; its clock is a number. */
export class TestRegistry {
  readonly operator = testKey("operator");
  readonly ring = testKey("enterprise/ring");
  readonly log = testKey(ISSUANCE_LOG);
  readonly writer = testKey(`${ISSUANCE_LOG}/writer`);
  readonly registry = new Registry({ operator: this.operator.vkey });

  constructor() {
    this.#realm("consumer", testKey("consumer/ring"));
    this.#realm("enterprise", this.ring);
    const realm = "enterprise";
    const { text: logKey } = this.log;
    this.state({ type: "writer", realm, log: ISSUANCE_LOG, writer: this.writer.text, logKey });
  }

  /** Says that a broker writes this log, which grants leases for both realms. */
  broker(log: string): { readonly log: TestKey; readonly writer: TestKey } {
    const keys = { log: testKey(log), writer: testKey(`${log}/writer`) };
    const realms = ["consumer", "enterprise"];
    const { text: logKey } = keys.log;
    this.state({ type: "broker", log, writer: keys.writer.text, logKey, realms });
    return keys;
  }

  #realm(realm: Realm, ring: TestKey): void {
    const tenantRule =
      realm === "consumer" ? { fixed: CONSUMER_TENANT } : { except: [CONSUMER_TENANT] };
    this.state({
      type: "realm",
      realm,
      issuer: issuerTemplate(realm, 7400),
      ring: ring.text,
      tenantRule,
    });
  }

  state(body: StatementBody, atSeconds = 1000, author = this.operator): void {
    const signer = { name: author.vkey.name, privateKey: author.privateKey };
    const item = signStatement(body, signer, atSeconds);
    const result = this.registry.apply({ index: this.registry.size, ...item });
    if (result.kind === "void") throw new Error(result.reason);
  }

  tenant(realm: Realm, tenant: string, audiences: readonly string[]): void {
    this.state({ type: "tenant", realm, tenant, status: "active", audiences });
  }

  /** A new key of the enterprise ring. */
  key(fields: Partial<KeyRecordFields>, atSeconds: number): string {
    const pair = generateKeyPair("ES256");
    const signed = signKeyRecord(
      {
        alg: "ES256",
        publicKey: publicJwk(pair.publicKey),
        realm: "enterprise",
        issuer: issuerTemplate("enterprise", 7400),
        tenants: { bucket: 0, of: 1, except: [CONSUMER_TENANT] },
        class: "at",
        audiences: "any",
        maxLifetimeSeconds: 3600,
        signFrom: atSeconds,
        signUntil: atSeconds + 1_000_000,
        verifyUntil: atSeconds + 1_010_000,
        custody: "plain-file",
        issuanceFloor: "audit",
        log: ISSUANCE_LOG,
        ...fields,
      },
      this.ring.privateKey,
    );
    const { kid } = signed.record;
    const record = encodeBase64url(signed.recordBytes);
    const ring = encodeBase64url(signed.ringSignature);
    this.state({ type: "key", realm: "enterprise", kid, record, ring }, atSeconds, this.ring);
    return kid;
  }

  step(kid: string, state: KeyState, atSeconds: number): void {
    const body = { type: "key-state", realm: "enterprise", kid, state, reason: "test" } as const;
    this.state(body, atSeconds, this.ring);
  }
}
