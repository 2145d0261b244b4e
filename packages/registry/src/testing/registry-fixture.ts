import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import {
  createVerifierKey,
  encodeVerifierKey,
  SIGNATURE_TYPE,
  type VerifierKey,
} from "@redoubt/tlog";
import { generateKeyPair, publicJwk, type SignatureAlgorithm } from "@redoubt/keys";
import type { KeyState } from "@redoubt/keys";
import { signKeyRecord, type SignedKeyRecord } from "@redoubt/keys";
import { Registry } from "../registry.ts";
import type { FoldResult, RegistryItem } from "../registry-types.ts";
import { reporterPublicKey } from "../reporter-key.ts";
import type { StatementBody, TenantRule } from "../statement-types.ts";
import { signStatement, type StatementSigner } from "../statement.ts";

export const REPORTER_KEY = reporterPublicKey("A".repeat(43));

export const NOW = 1_764_000_000;
export const CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad";
export const TENANT_A = "aaaaaaaa-0000-4000-8000-000000000001";
export const TENANT_B = "bbbbbbbb-0000-4000-8000-000000000002";
export const API = "https://api.test";

/** A named Ed25519 key: an author, a writer or a log. */
export class NamedKey implements StatementSigner {
  readonly name: string;
  readonly privateKey: KeyObject;

  constructor(name: string, privateKey: KeyObject = generateKeyPairSync("ed25519").privateKey) {
    this.name = name;
    this.privateKey = privateKey;
  }

  get verifier(): VerifierKey {
    const publicKey = createPublicKey(this.privateKey);
    return createVerifierKey({ name: this.name, type: SIGNATURE_TYPE.ed25519, publicKey });
  }

  get vkey(): string {
    return encodeVerifierKey(this.verifier);
  }

  renamed(name: string): NamedKey {
    return new NamedKey(name, this.privateKey);
  }
}

export interface TestRealm {
  readonly realm: string;
  readonly issuer: string;
  readonly tenantRule: TenantRule;
  readonly ring: NamedKey;
  readonly log: string;
  readonly writer: NamedKey;
  readonly logKey: NamedKey;
}

function testRealm(realm: string, issuer: string, tenantRule: TenantRule): TestRealm {
  const log = `redoubt.test/${realm}`;
  return {
    realm,
    issuer,
    tenantRule,
    log,
    ring: new NamedKey(`redoubt.test/${realm}/ring`),
    writer: new NamedKey(`${log}/writer`),
    logKey: new NamedKey(log),
  };
}

/** A registry with two realms, and everybody who may say something in it. */
export class RegistryFixture {
  readonly operator = new NamedKey("redoubt.test/operator");
  readonly registry = new Registry({ operator: this.operator.verifier });
  readonly consumer = testRealm("consumer", "https://id.test/consumer/v2.0", {
    fixed: CONSUMER_TENANT,
  });
  readonly enterprise = testRealm("enterprise", "https://id.test/{tenantid}/v2.0", {
    except: [CONSUMER_TENANT],
  });

  /** Realms, writers, two enterprise tenants and the consumer tenant. */
  withRealms(): this {
    for (const realm of [this.consumer, this.enterprise]) {
      this.must(this.realm(realm));
      this.must(this.writer(realm));
    }
    for (const tenant of [TENANT_A, TENANT_B]) this.must(this.tenant("enterprise", tenant));
    this.must(this.tenant("consumer", CONSUMER_TENANT));
    return this;
  }

  /** Signs and appends a statement; the operator says it unless told otherwise. */
  say(body: StatementBody, by: StatementSigner = this.operator, at = NOW): FoldResult {
    return this.append(signStatement(body, by, at));
  }

  append(signed: Omit<RegistryItem, "index">): FoldResult {
    return this.registry.apply({ index: this.registry.size, ...signed });
  }

  must(result: FoldResult): void {
    if (result.kind !== "applied") throw new Error(`Not applied: ${JSON.stringify(result)}`);
  }

  realm({ realm, issuer, ring, tenantRule }: TestRealm, change: object = {}): FoldResult {
    return this.say({ type: "realm", realm, issuer, ring: ring.vkey, tenantRule, ...change });
  }

  writer({ realm, log, writer, logKey }: TestRealm): FoldResult {
    return this.say({ type: "writer", realm, log, writer: writer.vkey, logKey: logKey.vkey });
  }

  tenant(
    realm: string,
    tenant: string,
    audiences: readonly string[] = [API],
    at = NOW,
  ): FoldResult {
    const body = { type: "tenant", realm, tenant, status: "active", audiences } as const;
    return this.say(body, this.operator, at);
  }

  client(
    tenant: string,
    client: string,
    audiences: readonly string[] = [API],
    at = NOW,
  ): FoldResult {
    const realm = tenant === CONSUMER_TENANT ? "consumer" : "enterprise";
    const scopes = ["read"];
    const body = {
      type: "client",
      realm,
      tenant,
      client,
      status: "active",
      audiences,
      scopes,
    } as const;
    return this.say(body, this.operator, at);
  }

  reporter(status: "active" | "disabled", at = NOW): FoldResult {
    return this.say(
      { type: "reporter", reporter: "api-1", publicKey: REPORTER_KEY, status },
      this.operator,
      at,
    );
  }

  /** A record of a new key of this realm, changed in one place or more. */
  record(
    realm: TestRealm,
    change: JsonObject = {},
    alg: SignatureAlgorithm = "ES256",
  ): SignedKeyRecord {
    const tenants =
      "fixed" in realm.tenantRule
        ? { ids: [realm.tenantRule.fixed] }
        : { bucket: 0, of: 1, except: [...realm.tenantRule.except] };
    const fields = {
      alg,
      publicKey: { ...publicJwk(generateKeyPair(alg).publicKey) },
      realm: realm.realm,
      issuer: realm.issuer,
      tenants,
      class: "at",
      audiences: "any",
      maxLifetimeSeconds: 3600,
      signFrom: NOW,
      signUntil: NOW + 86_400,
      verifyUntil: NOW + 100_000,
      custody: "sealed-file",
      issuanceFloor: "audit",
      log: realm.log,
    };
    return signKeyRecord({ ...fields, ...change }, realm.ring.privateKey);
  }

  key(
    realm: TestRealm,
    { record, recordBytes, ringSignature }: SignedKeyRecord,
    at = NOW,
  ): FoldResult {
    const body = {
      type: "key",
      realm: realm.realm,
      kid: record.kid,
      record: encodeBase64url(recordBytes),
      ring: encodeBase64url(ringSignature),
    } as const;
    return this.say(body, realm.ring, at);
  }

  state(realm: TestRealm, kid: string, state: KeyState, at = NOW, by = realm.ring): FoldResult {
    const body = { type: "key-state", realm: realm.realm, kid, state, reason: "test" } as const;
    return this.say(body, by, at);
  }

  /** Registers a key and takes it through these states; its kid. */
  keyIn(realm: TestRealm, states: readonly KeyState[], change: JsonObject = {}): string {
    const signed = this.record(realm, change);
    this.must(this.key(realm, signed));
    for (const state of states) this.must(this.state(realm, signed.record.kid, state));
    return signed.record.kid;
  }
}

export function drillOf(realm: TestRealm): JsonObject {
  const tenant = "fixed" in realm.tenantRule ? realm.tenantRule.fixed : TENANT_A;
  return {
    custody: "drill",
    audiences: ["urn:redoubt:drill"],
    tenants: { ids: [tenant] },
    signUntil: NOW + 1800,
    verifyUntil: NOW + 3600,
  };
}
