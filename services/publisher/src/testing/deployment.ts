import { generateKeyPairSync, type KeyObject } from "node:crypto";
import {
  Registry,
  signStatement,
  type SignedStatement,
  type StatementBody,
} from "@redoubt/registry";
import { generateKeyPair, publicJwk, signKeyRecord, type KeyState } from "@redoubt/keys";
import {
  createVerifierKey,
  encodeVerifierKey,
  SIGNATURE_TYPE,
  type VerifierKey,
} from "@redoubt/tlog";
import { FakeLog } from "@redoubt/testkit";
import { encodeBase64url } from "@redoubt/verify/base64url";

export const LOG = "test.example/registry";
export const CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad";
export const TENANT = "11111111-1111-4111-8111-111111111111";
export const OTHER_TENANT = "22222222-2222-4222-8222-222222222222";
export const NOW = 1_790_000_000;

interface Identity {
  readonly vkey: VerifierKey;
  readonly text: string;
  readonly privateKey: KeyObject;
}

export function identity(name: string): Identity {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const vkey = createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey });
  return { vkey, text: encodeVerifierKey(vkey), privateKey };
}

/** The authors of one registry, and the log that they write to. */
export class Deployment {
  readonly log = new FakeLog(LOG);
  readonly operator = identity("test.example/operator");
  readonly rings = {
    consumer: identity("test.example/ring/consumer"),
    enterprise: identity("test.example/ring/enterprise"),
  };
  readonly items: SignedStatement[] = [];

  /** Both realms with their logs, one tenant each. */
  static standard(origin = "https://id.example"): Deployment {
    const deployment = new Deployment();
    deployment.realm("consumer", `${origin}/consumer/v2.0`, { fixed: CONSUMER_TENANT });
    deployment.realm("enterprise", `${origin}/{tenantid}/v2.0`, { except: [CONSUMER_TENANT] });
    deployment.tenant("consumer", CONSUMER_TENANT);
    deployment.tenant("enterprise", TENANT);
    return deployment;
  }

  state(body: StatementBody, author = this.operator): SignedStatement {
    const signer = { name: author.vkey.name, privateKey: author.privateKey };
    const signed = signStatement(body, signer, NOW);
    this.items.push(signed);
    this.log.state(signed);
    return signed;
  }

  realm(
    realm: "consumer" | "enterprise",
    issuer: string,
    tenantRule: { fixed: string } | { except: string[] },
  ): void {
    this.state({ type: "realm", realm, issuer, ring: this.rings[realm].text, tenantRule });
    const log = `test.example/issuance/${realm}`;
    const writer = identity(`${log}/writer`).text;
    this.state({ type: "writer", realm, log, writer, logKey: identity(log).text });
  }

  tenant(realm: string, tenant: string, status: "active" | "suspended" = "active"): void {
    this.state({ type: "tenant", realm, tenant, status, audiences: ["api://orders"] });
  }

  /** Registers a key of a realm for one tenant and leads it to a state. */
  key(
    realm: "consumer" | "enterprise",
    tenant: string,
    {
      class: tokenClass = "at",
      states = ["prepublished"],
      verifyUntil = NOW + 7200,
      author = this.rings[realm],
    }: KeyChange = {},
  ): string {
    const issuers = this.registry().realms;
    const { record, recordBytes, ringSignature } = signKeyRecord(
      {
        alg: "ES256",
        publicKey: publicJwk(generateKeyPair("ES256").publicKey),
        realm,
        issuer: issuers.get(realm)?.issuer ?? "",
        tenants: { ids: [tenant] },
        class: tokenClass,
        audiences: "any",
        maxLifetimeSeconds: 3600,
        signFrom: NOW,
        signUntil: NOW + 3600,
        verifyUntil,
        custody: "plain-file",
        issuanceFloor: "audit",
        log: `test.example/issuance/${realm}`,
      },
      author.privateKey,
    );
    const { kid } = record;
    const ring = encodeBase64url(ringSignature);
    this.state({ type: "key", realm, kid, record: encodeBase64url(recordBytes), ring }, author);
    for (const state of states) this.keyState(realm, kid, state, author);
    return kid;
  }

  keyState(
    realm: "consumer" | "enterprise",
    kid: string,
    state: KeyState,
    author = this.rings[realm],
  ): void {
    this.state({ type: "key-state", realm, kid, state, reason: "test" }, author);
  }

  /** What an honest reader makes of it. */
  registry(): Registry {
    const registry = new Registry({ operator: this.operator.vkey });
    for (const [index, item] of this.items.entries()) registry.apply({ index, ...item });
    return registry;
  }

  /** The signed checkpoint of the first `size` entries, as the registry's key says. */
  checkpoint(size = this.log.size, signer = this.log.signer): string {
    return this.log.note(size, undefined, [signer]);
  }
}

interface KeyChange {
  readonly class?: "at" | "oidc";
  readonly states?: readonly KeyState[];
  readonly verifyUntil?: number;
  readonly author?: Identity;
}
