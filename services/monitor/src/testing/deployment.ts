import { generateKeyPairSync, hash, randomBytes, type KeyObject } from "node:crypto";
import { reporterPublicKey, signStatement, type StatementBody } from "@redoubt/registry";
import {
  generateKeyPair,
  publicJwk,
  signerFor,
  signKeyRecord,
  type SignatureAlgorithm,
} from "@redoubt/keys";
import { FakeLedger, FakeLog } from "@redoubt/testkit";
import { createVerifierKey, ed25519Signer, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { reporterKey, signedHeaders } from "@redoubt/verify";
import { encodeBase64url } from "@redoubt/verify/base64url";

export const START_SECONDS = 1_795_000_000;
export const CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad";
export const ENTERPRISE_TENANT = "11111111-2222-4333-8444-555555555555";
export const REGISTRY = "example.test/registry";
export const PUBLISHER = "http://127.0.0.1:7000";

export interface RealmFixture {
  readonly realm: string;
  readonly tenant: string;
  readonly log: FakeLog;
  readonly ring: KeyObject;
}

export interface KeyFixture {
  readonly kid: string;
  readonly alg: SignatureAlgorithm;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** A registry with two realms, their logs and one reporter for each name asked for. */
export class Deployment {
  readonly operator = generateKeyPairSync("ed25519");
  readonly ledger = new FakeLedger({ registry: new FakeLog(REGISTRY) });
  readonly consumer: RealmFixture;
  readonly enterprise: RealmFixture;

  constructor() {
    this.consumer = this.#addRealm("consumer", CONSUMER_TENANT, `${PUBLISHER}/consumer/v2.0`, {
      fixed: CONSUMER_TENANT,
    });
    this.enterprise = this.#addRealm(
      "enterprise",
      ENTERPRISE_TENANT,
      `${PUBLISHER}/{tenantid}/v2.0`,
      { except: [CONSUMER_TENANT] },
    );
  }

  get config(): Record<string, unknown> {
    return {
      v: 1,
      http: { port: 0, proxies: null, public: null },
      registry: { log: REGISTRY, vkey: encodeVerifierKey(this.ledger.registry.key) },
      operator: vkeyOf("operator", this.operator.publicKey),
      callers: [],
      publisherUrl: PUBLISHER,
    };
  }

  /** Appends a statement of the operator. */
  say(body: StatementBody): void {
    const signer = { name: "operator", privateKey: this.operator.privateKey };
    this.ledger.state(signStatement(body, signer, START_SECONDS));
  }

  sayAsRing({ realm, ring }: RealmFixture, body: StatementBody): void {
    const signer = { name: `${realm}/ring`, privateKey: ring };
    this.ledger.state(signStatement(body, signer, START_SECONDS));
  }

  /** With the key of `secretOf(secret)`. */
  addReporter(reporter: string, secret: string, status: "active" | "disabled" = "active"): void {
    const publicKey = reporterPublicKey(secretOf(secret));
    this.say({ type: "reporter", reporter, publicKey, status });
  }

  addKey(fixture: RealmFixture, alg: SignatureAlgorithm = "ES256"): KeyFixture {
    const { publicKey, privateKey } = generateKeyPair(alg);
    const { realm, tenant, ring, log } = fixture;
    const issuer = realm === "consumer" ? "/consumer/v2.0" : "/{tenantid}/v2.0";
    const signed = signKeyRecord(
      {
        alg,
        publicKey: publicJwk(publicKey),
        realm,
        issuer: `${PUBLISHER}${issuer}`,
        tenants: { ids: [tenant] },
        class: "at",
        audiences: "any",
        maxLifetimeSeconds: 3600,
        signFrom: START_SECONDS - 1000,
        signUntil: START_SECONDS + 100_000,
        verifyUntil: START_SECONDS + 200_000,
        custody: "plain-file",
        issuanceFloor: "audit",
        log: log.origin,
      },
      ring,
    );
    const { kid } = signed.record;
    const record = encodeBase64url(signed.recordBytes);
    const ringSignature = encodeBase64url(signed.ringSignature);
    this.sayAsRing(fixture, { type: "key", realm, kid, record, ring: ringSignature });
    this.setKeyState(fixture, kid, "prepublished");
    return { kid, alg, publicKey, privateKey };
  }

  setKeyState(
    fixture: RealmFixture,
    kid: string,
    state: "prepublished" | "active" | "tainted" | "revoked",
  ): void {
    const { realm } = fixture;
    this.sayAsRing(fixture, { type: "key-state", realm, kid, state, reason: "test" });
  }

  #addRealm(
    realm: string,
    tenant: string,
    issuer: string,
    tenantRule: { fixed: string } | { except: string[] },
  ): RealmFixture {
    const ring = generateKeyPairSync("ed25519");
    const ringKey = vkeyOf(`${realm}/ring`, ring.publicKey);
    this.say({ type: "realm", realm, issuer, ring: ringKey, tenantRule });
    const log = this.addLog({ realm }, `example.test/${realm}/2026q4`);
    this.say({ type: "tenant", realm, tenant, status: "active", audiences: ["api://orders"] });
    return { realm, tenant, log, ring: ring.privateKey };
  }

  /** Another log of a realm, with keys of its own. */
  addLog({ realm }: Pick<RealmFixture, "realm">, origin: string): FakeLog {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const log = new FakeLog(origin);
    log.writerSigner = ed25519Signer(`${origin}/writer`, privateKey);
    this.ledger.successors.push(log);
    this.say({
      type: "writer",
      realm,
      log: origin,
      writer: vkeyOf(`${origin}/writer`, publicKey),
      logKey: encodeVerifierKey(log.key),
    });
    return log;
  }
}

export function vkeyOf(name: string, publicKey: KeyObject): string {
  return encodeVerifierKey(createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey }));
}

/** A reporter's secret, by what a test calls it. */
export function secretOf(phrase: string): string {
  return hash("sha256", phrase, "base64url");
}

/** The headers of a reporter's request; its clock is as right as `nowMs`. */
export function signedAs(
  reporter: string,
  path: string,
  body: string | Uint8Array,
  nowMs: number,
  secret = `secret of ${reporter}`,
): Record<string, string> {
  return signedHeaders({ reporter, key: reporterKey(secretOf(secret)) }, path, body, nowMs);
}

/** A token as far as the audit sees it. */
export interface Sighted {
  readonly digest: Buffer;
  readonly signingInput: string;
  readonly signature: Buffer;
}

export async function signSomething(key: KeyFixture): Promise<Sighted> {
  const signingInput = `e30.${randomBytes(24).toString("base64url")}`;
  const bytes = Buffer.from(signingInput, "utf8");
  const signature = await signerFor(key.alg, key.privateKey, key.publicKey)(bytes);
  return { digest: hash("sha256", bytes, "buffer"), signingInput, signature };
}

/** Logs a digest, or a random one. */
export function issue(log: FakeLog, digest: Buffer = randomBytes(32)): Buffer {
  log.append([Buffer.concat([Buffer.of(1), digest, randomBytes(32)])]);
  return digest;
}
