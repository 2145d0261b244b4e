import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { generateKeyPairSync } from "node:crypto";
import { createVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { generateKeyPair, keyAge, publicJwk, signingEnd } from "@redoubt/keys";
import type { KeyErrorCode } from "@redoubt/keys";
import { signKeyRecord } from "@redoubt/keys";
import { Registry } from "./registry.ts";
import type { FoldResult } from "./registry-types.ts";
import { signStatement } from "./statement.ts";
import {
  REPORTER_KEY,
  API,
  CONSUMER_TENANT,
  drillOf,
  NamedKey,
  NOW,
  RegistryFixture,
  TENANT_A,
  TENANT_B,
  type TestRealm,
} from "./testing/registry-fixture.ts";

function isVoid(
  result: FoldResult,
  reason: RegExp,
  code: KeyErrorCode = "ERR_STATEMENT_CONFLICT",
): void {
  assert.equal(result.kind, "void");
  assert.match(result.reason, reason);
  assert.equal(result.code, code);
}

/** Everything that a fold knows, to show that a void entry changes nothing. */
function stateOf({ registry }: RegistryFixture): unknown {
  const { realms, writers, tenants, clients, reporters, keys } = registry;
  return structuredClone(
    [realms, writers, tenants, clients, reporters, keys].map((map) =>
      [...map].map(([name, value]) => [name, JSON.stringify(value)]),
    ),
  );
}

function fresh(): RegistryFixture {
  return new RegistryFixture().withRealms();
}

describe("the fold", () => {
  it("applies each type said by its author", () => {
    const fixture = fresh();
    const { registry, consumer, enterprise } = fixture;
    fixture.must(fixture.client(TENANT_A, "app-1"));
    fixture.must(fixture.reporter("active"));
    const kid = fixture.keyIn(enterprise, [
      "prepublished",
      "active",
      "verify-only",
      "retired",
      "destroyed",
    ]);
    assert.deepEqual([...registry.realms.keys()], ["consumer", "enterprise"]);
    assert.equal(
      registry.realms.get("consumer")?.ring.publicKey.equals(consumer.ring.verifier.publicKey),
      true,
    );
    assert.deepEqual([...registry.writers.keys()], [consumer.log, enterprise.log]);
    assert.equal(registry.tenants.get(`enterprise/${TENANT_A}`)?.status, "active");
    assert.deepEqual(registry.clients.get(`enterprise/${TENANT_A}/app-1`)?.scopes, ["read"]);
    assert.equal(registry.reporters.get("api-1")?.status, "active");
    assert.equal(registry.keys.get(kid)?.state, "destroyed");
    assert.equal(registry.size, 15);
  });

  it("takes entries in order, and calls a gap the reader's mistake", () => {
    const fixture = new RegistryFixture();
    const { entry } = signStatement(
      { type: "reporter", reporter: "a", publicKey: REPORTER_KEY, status: "active" },
      fixture.operator,
      NOW,
    );
    for (const index of [1, -1])
      assert.throws(() => fixture.registry.apply({ index, entry }), RangeError);
    assert.equal(fixture.registry.size, 0);
  });

  it("counts entries whose body it may not see, and changes nothing for them", () => {
    const fixture = fresh();
    const before = stateOf(fixture);
    const { entry, statement } = signStatement(
      { type: "key-state", realm: "consumer", kid: "A".repeat(43), state: "active", reason: "x" },
      fixture.operator,
      NOW,
    );
    assert.deepEqual(fixture.append({ entry }), { kind: "hidden" });
    assert.deepEqual(fixture.append({ entry, statement }), { kind: "hidden" });
    assert.equal(fixture.registry.hidden, 2);
    assert.deepEqual(stateOf(fixture), before);
  });

  it("needs an Ed25519 operator key", () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const operator = createVerifierKey({ name: "op", type: SIGNATURE_TYPE.ecdsa, publicKey });
    assert.throws(() => new Registry({ operator }), { code: "ERR_KEY_ALG" });
  });

  it("voids, and never throws for, an entry that is not what it commits to", () => {
    const fixture = fresh();
    const before = stateOf(fixture);
    const good = signStatement(
      { type: "reporter", reporter: "a", publicKey: REPORTER_KEY, status: "active" },
      fixture.operator,
      NOW,
    );
    const tampered = [
      { ...good, statement: Buffer.concat([good.statement, Buffer.of(0x20)]) },
      { ...good, envelope: Buffer.concat([good.envelope, Buffer.of(0x20)]) },
      { ...good, statement: good.envelope, envelope: good.statement },
      { ...good, entry: good.entry.subarray(0, 64) },
      { ...good, entry: Buffer.concat([Buffer.of(1), good.entry.subarray(1)]) },
      { ...good, entry: Buffer.alloc(0) },
      { ...good, statement: Buffer.alloc(0) },
    ];
    for (const item of tampered)
      isVoid(fixture.append(item), /not the one/, "ERR_STATEMENT_DIGEST");
    assert.deepEqual(stateOf(fixture), before);
    fixture.must(fixture.append(good));
  });

  it("THREAT-06: takes no statement twice: the log cannot undo what came after it", () => {
    const fixture = fresh();
    const by = fixture.operator;
    const body = { type: "reporter", reporter: "a", publicKey: REPORTER_KEY } as const;
    const active = signStatement({ ...body, status: "active" }, by, NOW);
    const disabled = signStatement({ ...body, status: "disabled" }, by, NOW);
    fixture.must(fixture.append(active));
    fixture.must(fixture.append(disabled));
    isVoid(fixture.append(active), /made before/);
    assert.equal(fixture.registry.reporters.get("a")?.status, "disabled");
  });

  it("takes no statement later that was void when it was made", () => {
    const fixture = fresh();
    const client = {
      type: "client",
      realm: "enterprise",
      tenant: TENANT_A,
      client: "app",
      status: "active",
      scopes: [],
    } as const;
    const early = signStatement(
      { ...client, audiences: ["https://new.test"] },
      fixture.operator,
      NOW,
    );
    isVoid(fixture.append(early), /not one of tenant/);
    fixture.must(fixture.tenant("enterprise", TENANT_A, ["https://new.test"]));
    isVoid(fixture.append(early), /made before/);
  });

  it("takes no older statement for a newer one, whenever it is appended", () => {
    const replaced: readonly ((f: RegistryFixture, at: number) => FoldResult)[] = [
      (f, at) => f.tenant("enterprise", TENANT_A, [API], at),
      (f, at) => f.client(TENANT_A, "app-1", [API], at),
      (f, at) => f.reporter("active", at),
    ];
    for (const say of replaced) {
      const fixture = fresh();
      fixture.must(say(fixture, NOW + 10));
      isVoid(say(fixture, NOW + 9), /older than/);
      fixture.must(say(fixture, NOW + 10));
    }
  });
});

describe("authors", () => {
  type Say = (fixture: RegistryFixture, by: NamedKey) => FoldResult;
  const third = "cccccccc-0000-4000-8000-000000000003";
  const byOperator: Readonly<Record<string, Say>> = {
    realm: (f, by) =>
      f.say(
        {
          type: "realm",
          realm: "gov",
          issuer: "https://gov.test/{tenantid}",
          ring: new NamedKey("g").vkey,
          tenantRule: { except: [CONSUMER_TENANT] },
        },
        by,
      ),
    writer: (f, by) =>
      f.say(
        {
          type: "writer",
          realm: "consumer",
          log: "l",
          writer: new NamedKey("l/writer").vkey,
          logKey: new NamedKey("l").vkey,
        },
        by,
      ),
    tenant: (f, by) =>
      f.say(
        { type: "tenant", realm: "enterprise", tenant: third, status: "active", audiences: [] },
        by,
      ),
    client: (f, by) =>
      f.say(
        {
          type: "client",
          realm: "enterprise",
          tenant: TENANT_A,
          client: "c",
          status: "active",
          audiences: [],
          scopes: [],
        },
        by,
      ),
    reporter: (f, by) =>
      f.say({ type: "reporter", reporter: "r", publicKey: REPORTER_KEY, status: "active" }, by),
  };
  for (const [type, say] of Object.entries(byOperator))
    it(`of ${type} are the operator and nobody else`, () => {
      const fixture = fresh();
      const { operator, enterprise, consumer } = fixture;
      const before = stateOf(fixture);
      for (const by of [
        enterprise.ring,
        consumer.ring,
        enterprise.writer,
        enterprise.logKey,
        new NamedKey(operator.name),
        enterprise.ring.renamed(operator.name),
      ])
        isVoid(say(fixture, by), /not signed by/, "ERR_STATEMENT_AUTHOR");
      assert.deepEqual(stateOf(fixture), before);
      fixture.must(say(fixture, operator));
    });

  it("THREAT-01: of a key and of its states are its realm's ring and nobody else", () => {
    const fixture = fresh();
    const { operator, enterprise, consumer } = fixture;
    const signed = fixture.record(enterprise);
    const others = [
      operator,
      consumer.ring,
      enterprise.writer,
      enterprise.logKey,
      consumer.ring.renamed(enterprise.ring.name),
    ];
    for (const ring of others)
      isVoid(fixture.key({ ...enterprise, ring }, signed), /not signed by/, "ERR_STATEMENT_AUTHOR");
    fixture.must(fixture.key(enterprise, signed));
    const { kid } = signed.record;
    for (const by of others)
      isVoid(
        fixture.state(enterprise, kid, "prepublished", NOW, by),
        /not signed by/,
        "ERR_STATEMENT_AUTHOR",
      );
    isVoid(fixture.state({ ...consumer }, kid, "prepublished"), /No such key/, "ERR_KEY_UNKNOWN");
    assert.equal(fixture.registry.keys.get(kid)?.state, "generated");
    fixture.must(fixture.state(enterprise, kid, "prepublished"));
  });
});

function gov(change: object = {}) {
  return {
    type: "realm",
    realm: "gov",
    issuer: "https://gov.test/{tenantid}",
    ring: new NamedKey("gov").vkey,
    tenantRule: { except: [CONSUMER_TENANT] },
    ...change,
  } as const;
}

describe("realms and writers", () => {
  const wrong: readonly (readonly [string, (f: RegistryFixture) => object, RegExp])[] = [
    ["the name of another", () => ({ realm: "consumer" }), /exists/],
    ["the issuer of another", (f) => ({ issuer: f.enterprise.issuer }), /one issuer/],
    [
      "an issuer that another's template gives",
      () => ({
        issuer: `https://id.test/${TENANT_A}/v2.0`,
        tenantRule: { fixed: "dddddddd-0000-4000-8000-000000000004" },
      }),
      /Issuer of gov is one of realm enterprise|must except/,
    ],
    [
      "a tenant rule that lets in another's only tenant",
      () => ({ tenantRule: { except: [] } }),
      /must except the tenant of consumer/,
    ],
    [
      "another's only tenant",
      () => ({ issuer: "https://gov.test", tenantRule: { fixed: CONSUMER_TENANT } }),
      /must except the tenant/,
    ],
    [
      "one issuer for many tenants",
      () => ({ issuer: "https://gov.test" }),
      /holds \{tenantid\} once/,
    ],
    [
      "a template with two places",
      () => ({ issuer: "https://gov.test/{tenantid}/{tenantid}" }),
      /holds \{tenantid\} once/,
    ],
    ["an issuer that is no URL", () => ({ issuer: "gov{tenantid}" }), /is not a URL/],
    [
      "the ring key of another",
      (f) => ({ ring: f.consumer.ring.renamed("gov").vkey }),
      /serves ring:consumer/,
    ],
    ["the operator's key", (f) => ({ ring: f.operator.renamed("gov").vkey }), /serves operator/],
    [
      "a writer's key",
      (f) => ({ ring: f.consumer.writer.renamed("gov").vkey }),
      /serves writer:consumer/,
    ],
  ];
  for (const [what, change, reason] of wrong)
    it(`THREAT-01: a realm with ${what} is void`, () => {
      const fixture = fresh();
      const before = stateOf(fixture);
      isVoid(fixture.say(gov(change(fixture))), reason);
      assert.deepEqual(stateOf(fixture), before);
      fixture.must(fixture.say(gov()));
    });

  it("two realms conflict in whichever order they come", () => {
    const fixture = new RegistryFixture();
    fixture.must(fixture.realm(fixture.enterprise, { tenantRule: { except: [] } }));
    isVoid(fixture.realm(fixture.consumer), /Realm enterprise must except the tenant of consumer/);
    const other = new RegistryFixture();
    other.must(other.realm(other.consumer, { issuer: `https://id.test/${TENANT_A}/v2.0` }));
    isVoid(other.realm(other.enterprise), /Issuer of consumer is one of realm enterprise/);
  });

  it("the issuer that a template gives for an excepted tenant is free for that tenant's realm", () => {
    const fixture = new RegistryFixture();
    fixture.must(
      fixture.realm(fixture.consumer, { issuer: `https://id.test/${CONSUMER_TENANT}/v2.0` }),
    );
    fixture.must(fixture.realm(fixture.enterprise));
  });

  it("a writer is named for its log, once, with keys of its own", () => {
    const fixture = fresh();
    const { consumer, enterprise, operator } = fixture;
    const log = "redoubt.test/consumer/2";
    const next: TestRealm = {
      ...consumer,
      log,
      writer: new NamedKey(`${log}/writer`),
      logKey: new NamedKey(log),
    };
    const bad: readonly (readonly [TestRealm, RegExp])[] = [
      [consumer, /has a writer/],
      [{ ...next, realm: "gov" }, /not registered/],
      [{ ...next, writer: next.writer.renamed(log) }, /not named for it/],
      [{ ...next, writer: next.writer.renamed(`${consumer.log}/writer`) }, /not named for it/],
      [{ ...next, logKey: next.logKey.renamed(`${log}/writer`) }, /not named for it/],
      [{ ...next, logKey: next.writer.renamed(log) }, /must not hold the log key/],
      [{ ...next, writer: enterprise.writer.renamed(`${log}/writer`) }, /serves writer:enterprise/],
      [{ ...next, logKey: enterprise.logKey.renamed(log) }, /serves log:enterprise/],
      [{ ...next, writer: consumer.ring.renamed(`${log}/writer`) }, /serves ring:consumer/],
      [{ ...next, logKey: operator.renamed(log) }, /serves operator/],
    ];
    const before = stateOf(fixture);
    for (const [writer, reason] of bad) isVoid(fixture.writer(writer), reason);
    assert.deepEqual(stateOf(fixture), before);
    // The next quarter's log of the same instance.
    fixture.must(fixture.writer({ ...next, writer: consumer.writer.renamed(`${log}/writer`) }));
  });
});

describe("tenants and clients", () => {
  it("a tenant is of one realm, and of one that can have it", () => {
    const fixture = fresh();
    isVoid(fixture.tenant("enterprise", CONSUMER_TENANT), /cannot be of realm enterprise/);
    isVoid(fixture.tenant("consumer", TENANT_A), /cannot be of realm consumer/);
    isVoid(fixture.tenant("gov", TENANT_A), /not registered/);
    fixture.must(
      fixture.say({
        type: "realm",
        realm: "gov",
        issuer: "https://gov.test/{tenantid}",
        ring: new NamedKey("g").vkey,
        tenantRule: { except: [CONSUMER_TENANT] },
      }),
    );
    isVoid(fixture.tenant("gov", TENANT_A), /is of realm enterprise/);
    fixture.must(fixture.tenant("gov", "cccccccc-0000-4000-8000-000000000003"));
  });

  it("a client is of a registered tenant and asks for no audience that the tenant has not", () => {
    const fixture = fresh();
    isVoid(fixture.client("cccccccc-0000-4000-8000-000000000003", "app"), /not registered/);
    isVoid(fixture.client(TENANT_A, "app", [API, "https://other.test"]), /not one of tenant/);
    fixture.must(fixture.client(TENANT_A, "app", [API]));
    fixture.must(fixture.client(TENANT_A, "app", []));
    assert.deepEqual(fixture.registry.clients.get(`enterprise/${TENANT_A}/app`)?.audiences, []);
  });

  it("audiences and client ids are disjoint, in both orders, across tenants and realms", () => {
    const fixture = fresh();
    fixture.must(fixture.client(TENANT_A, "app"));
    for (const [realm, tenant] of [
      ["enterprise", TENANT_A],
      ["enterprise", TENANT_B],
      ["consumer", CONSUMER_TENANT],
    ] as const)
      isVoid(fixture.tenant(realm, tenant, [API, "app"]), /is a client id/);
    fixture.must(fixture.tenant("enterprise", TENANT_B, [API, "api-2"]));
    for (const tenant of [TENANT_A, TENANT_B, CONSUMER_TENANT])
      isVoid(fixture.client(tenant, "api-2"), /is an audience/);
    // An audience that nobody names any more is free, one that another still names is not.
    fixture.must(fixture.tenant("enterprise", TENANT_A, [API, "api-2"]));
    fixture.must(fixture.tenant("enterprise", TENANT_B, [API]));
    isVoid(fixture.client(TENANT_B, "api-2"), /is an audience/);
    fixture.must(fixture.tenant("enterprise", TENANT_A, [API]));
    fixture.must(fixture.client(TENANT_B, "api-2"));
    isVoid(fixture.tenant("enterprise", TENANT_A, ["api-2"]), /is a client id/);
  });

  it("the drill audience is no tenant's, and no client can have its name", () => {
    const fixture = fresh();
    isVoid(fixture.tenant("enterprise", TENANT_A, ["urn:redoubt:drill"]), /nobody's/);
    const code = "ERR_STATEMENT_MALFORMED";
    assert.throws(() => fixture.client(TENANT_A, "urn:redoubt:drill"), { code });
  });
});

describe("keys", () => {
  it("a record counts with its realm's ring signature and its own name only", () => {
    const fixture = fresh();
    const { enterprise, consumer } = fixture;
    const good = fixture.record(enterprise);
    const other = fixture.record(enterprise);
    isVoid(
      fixture.key(enterprise, { ...good, ringSignature: other.ringSignature }),
      /not signed by its realm/,
      "ERR_KEY_SIGNATURE",
    );
    isVoid(
      fixture.key(enterprise, { ...good, recordBytes: other.recordBytes }),
      /not signed by its realm/,
      "ERR_KEY_SIGNATURE",
    );
    isVoid(fixture.key(enterprise, { ...other, record: good.record }), /kid is not/);
    // THREAT-01: a consumer record that the enterprise ring puts its name under, and the reverse.
    const foreign = fixture.record({ ...consumer, ring: enterprise.ring });
    isVoid(fixture.key(enterprise, foreign), /not of realm enterprise/);
    isVoid(
      fixture.key(consumer, fixture.record({ ...enterprise, ring: consumer.ring })),
      /not of realm consumer/,
    );
    assert.equal(fixture.registry.keys.size, 0);
    fixture.must(fixture.key(enterprise, good));
  });

  const scopes: readonly (readonly [string, (f: RegistryFixture) => object, RegExp])[] = [
    [
      "another issuer",
      () => ({ issuer: "https://other.test/{tenantid}" }),
      /not of realm enterprise/,
    ],
    ["another realm's log", (f) => ({ log: f.consumer.log }), /not its realm's/],
    ["an unknown log", () => ({ log: "redoubt.test/none" }), /not its realm's/],
    [
      "the consumer tenant by name",
      () => ({ tenants: { ids: [CONSUMER_TENANT] } }),
      /of another realm/,
    ],
    [
      "the consumer tenant among others",
      () => ({ tenants: { ids: [CONSUMER_TENANT, TENANT_A] } }),
      /of another realm/,
    ],
    [
      "the consumer tenant by share",
      () => ({ tenants: { bucket: 0, of: 1, except: [] } }),
      /must except/,
    ],
    ["the drill audience", () => ({ audiences: ["urn:redoubt:drill"] }), /for drill keys only/],
    [
      "the drill audience among others",
      () => ({ audiences: [API, "urn:redoubt:drill"] }),
      /for drill keys only/,
    ],
  ];
  for (const [what, change, reason] of scopes)
    it(`THREAT-01: an enterprise record with ${what} is void`, () => {
      const fixture = fresh();
      const { enterprise } = fixture;
      isVoid(fixture.key(enterprise, fixture.record(enterprise, { ...change(fixture) })), reason);
      assert.equal(fixture.registry.keys.size, 0);
      fixture.must(fixture.key(enterprise, fixture.record(enterprise)));
    });

  it("THREAT-01: a consumer record names the consumer tenant and no other", () => {
    const fixture = fresh();
    const { consumer } = fixture;
    for (const tenants of [{ ids: [TENANT_A] }, { ids: [CONSUMER_TENANT, TENANT_A] }])
      isVoid(fixture.key(consumer, fixture.record(consumer, { tenants })), /of another realm/);
    const share = { tenants: { bucket: 0, of: 1, except: [] } };
    isVoid(fixture.key(consumer, fixture.record(consumer, share)), /only tenant/);
    fixture.must(fixture.key(consumer, fixture.record(consumer)));
  });

  it("THREAT-01: a record names no tenant that another open realm has", () => {
    const fixture = fresh();
    const ring = new NamedKey("g");
    const third: TestRealm = {
      realm: "gov",
      issuer: "https://gov.test/{tenantid}",
      tenantRule: { except: [CONSUMER_TENANT] },
      ring,
      log: "g",
      writer: new NamedKey("g/writer"),
      logKey: new NamedKey("g"),
    };
    fixture.must(fixture.realm(third));
    fixture.must(fixture.writer(third));
    isVoid(
      fixture.key(third, fixture.record(third, { tenants: { ids: [TENANT_A] } })),
      /of realm enterprise/,
    );
    fixture.must(
      fixture.key(
        third,
        fixture.record(third, { tenants: { ids: ["cccccccc-0000-4000-8000-000000000003"] } }),
      ),
    );
  });

  it("a public key is registered once, in one realm, and serves nothing else", () => {
    const fixture = fresh();
    const { consumer, enterprise } = fixture;
    const publicKey = { ...publicJwk(generateKeyPair("ES256").publicKey) };
    const first = fixture.record(enterprise, { publicKey });
    fixture.must(fixture.key(enterprise, first));
    isVoid(fixture.key(enterprise, first), /registered before/);
    isVoid(
      fixture.key(enterprise, fixture.record(enterprise, { publicKey, maxLifetimeSeconds: 60 })),
      /serves token:/,
    );
    isVoid(fixture.key(consumer, fixture.record(consumer, { publicKey })), /serves token:/);
    const rsa = { ...publicJwk(generateKeyPair("RS256").publicKey) };
    fixture.must(
      fixture.key(enterprise, fixture.record(enterprise, { alg: "RS256", publicKey: rsa })),
    );
    isVoid(
      fixture.key(enterprise, fixture.record(enterprise, { alg: "PS256", publicKey: rsa })),
      /serves token:/,
    );
    for (const key of [
      enterprise.ring,
      consumer.ring,
      enterprise.writer,
      enterprise.logKey,
      fixture.operator,
    ])
      isVoid(
        fixture.key(
          enterprise,
          fixture.record(enterprise, {
            alg: "Ed25519",
            publicKey: { ...publicJwk(key.privateKey) },
          }),
        ),
        /serves (ring|writer|log|operator)/,
      );
    const ed = { ...publicJwk(generateKeyPair("Ed25519").publicKey) };
    fixture.must(
      fixture.key(enterprise, fixture.record(enterprise, { alg: "Ed25519", publicKey: ed })),
    );
  });

  it("one key of a ring is active at a time; other rings do not matter", () => {
    const fixture = fresh();
    const { enterprise } = fixture;
    const first = fixture.keyIn(enterprise, ["prepublished", "active"]);
    const second = fixture.keyIn(enterprise, ["prepublished"]);
    isVoid(fixture.state(enterprise, second, "active"), /has an active key/);
    fixture.keyIn(enterprise, ["prepublished", "active"], { tenants: { ids: [TENANT_A] } });
    fixture.keyIn(fixture.consumer, ["prepublished", "active"]);
    fixture.must(fixture.state(enterprise, first, "verify-only"));
    fixture.must(fixture.state(enterprise, second, "active"));
    const third = fixture.keyIn(enterprise, ["prepublished"]);
    fixture.must(fixture.state(enterprise, second, "tainted"));
    fixture.must(fixture.state(enterprise, third, "active"));
  });

  it("takes only the steps that the life cycle has", () => {
    const fixture = fresh();
    const { enterprise, registry } = fixture;
    const kid = fixture.keyIn(enterprise, []);
    for (const state of ["generated", "active", "verify-only", "retired", "revoked"] as const)
      isVoid(fixture.state(enterprise, kid, state), /cannot become/, "ERR_KEY_TRANSITION");
    assert.equal(registry.keys.get(kid)?.state, "generated");
    isVoid(fixture.state(enterprise, "A".repeat(43), "tainted"), /No such key/, "ERR_KEY_UNKNOWN");
  });

  it("keeps the time of a state from going back, and taints all the same", () => {
    const fixture = fresh();
    const { enterprise, registry } = fixture;
    const kid = fixture.keyIn(enterprise, []);
    fixture.must(fixture.state(enterprise, kid, "prepublished", NOW + 100));
    assert.equal(registry.keys.get(kid)?.stateAt, NOW + 100);
    fixture.must(fixture.state(enterprise, kid, "tainted", NOW - 100));
    assert.deepEqual(
      [registry.keys.get(kid)?.state, registry.keys.get(kid)?.stateAt],
      ["tainted", NOW + 100],
    );
  });

  it("keeps what was said about a key: each statement that it took, and none that it did not", () => {
    const fixture = fresh();
    const { enterprise, operator, registry } = fixture;
    const signed = fixture.record(enterprise);
    const { kid } = signed.record;
    fixture.must(fixture.key(enterprise, signed, NOW + 1));
    const first = registry.size;
    assert.equal(fixture.state(enterprise, kid, "retired", NOW + 2).kind, "void");
    assert.equal(fixture.state(enterprise, kid, "prepublished", NOW + 3, operator).kind, "void");
    fixture.must(fixture.state(enterprise, kid, "prepublished", NOW + 4));
    const retain = { type: "key-retain", realm: "enterprise", kid, by: "operator" } as const;
    for (const [at, said] of [
      [NOW + 5, true],
      [NOW + 6, false],
    ] as const)
      fixture.must(fixture.say({ ...retain, retain: said, reason: "hold" }, operator, at));
    assert.deepEqual(registry.keys.get(kid)?.history, [
      { event: "generated", at: NOW + 1, index: first - 1, reason: null },
      { event: "prepublished", at: NOW + 4, index: first + 2, reason: "test" },
      { event: "retained", at: NOW + 5, index: first + 3, reason: "hold" },
      { event: "released", at: NOW + 6, index: first + 4, reason: "hold" },
    ]);
  });

  it("counts the age from the first activation: a roll-back makes no key younger", () => {
    const fixture = fresh();
    const { enterprise, registry } = fixture;
    const kid = fixture.keyIn(enterprise, ["prepublished", "active"]);
    fixture.must(fixture.state(enterprise, kid, "verify-only", NOW + 600));
    fixture.must(fixture.state(enterprise, kid, "active", NOW + 700));
    const key = registry.keys.get(kid) ?? assert.fail();
    assert.deepEqual([key.activatedAt, key.stateAt], [NOW, NOW + 700]);
    const policy = { expirySeconds: 1000, alarmAtPercent: 80, notifySeconds: 500 };
    assert.equal(keyAge(key, policy, NOW + 800)?.level, "alarm");
    assert.equal(signingEnd(key, policy), NOW + 1000);
  });

  it("remembers of a key, and so of its ring, that it was active", () => {
    const fixture = fresh();
    const { enterprise, registry } = fixture;
    const kid = fixture.keyIn(enterprise, ["prepublished"]);
    const activatedAt = (): number | undefined => registry.keys.get(kid)?.activatedAt;
    assert.equal(activatedAt(), undefined);
    for (const state of ["active", "verify-only", "tainted", "revoked"] as const) {
      fixture.must(fixture.state(enterprise, kid, state));
      assert.equal(activatedAt(), NOW);
    }
    const record = registry.keys.get(kid)?.record ?? assert.fail();
    const other = fixture.record(enterprise, { class: "oidc" }).record;
    assert.notEqual(registry.ringOf(other), registry.ringOf(record));
  });
});

describe("drill keys", () => {
  const wrong: readonly (readonly [string, object, RegExp])[] = [
    ["another audience", { audiences: [API] }, /drill audience only/],
    ["a second audience", { audiences: ["urn:redoubt:drill", API] }, /drill audience only/],
    ["any audience", { audiences: "any" }, /drill audience only/],
    [
      "a list that only reads like it",
      { audiences: ["urn:redoubt:drill,"] },
      /drill audience only/,
    ],
    ["the other class", { class: "oidc" }, /class at/],
    ["two tenants", { tenants: { ids: [TENANT_A, TENANT_B] } }, /one tenant/],
    [
      "a share of tenants",
      { tenants: { bucket: 0, of: 1, except: [CONSUMER_TENANT] } },
      /one tenant/,
    ],
    ["the consumer tenant", { tenants: { ids: [CONSUMER_TENANT] } }, /of another realm/],
    ["a second too long a life", { verifyUntil: NOW + 3601 }, /lives at most/],
  ];
  for (const [what, change, reason] of wrong)
    it(`with ${what} are void`, () => {
      const fixture = fresh();
      const { enterprise } = fixture;
      const drill = { ...drillOf(enterprise), ...change };
      isVoid(fixture.key(enterprise, fixture.record(enterprise, drill)), reason);
      fixture.must(fixture.key(enterprise, fixture.record(enterprise, drillOf(enterprise))));
    });

  it("may lie wholly in the past (THREAT-02), and are never active", () => {
    const fixture = fresh();
    const { enterprise } = fixture;
    const past = { signFrom: NOW - 9000, signUntil: NOW - 5000, verifyUntil: NOW - 1 };
    fixture.must(
      fixture.key(enterprise, fixture.record(enterprise, { ...drillOf(enterprise), ...past })),
    );
    const kid = fixture.keyIn(enterprise, ["prepublished"], drillOf(enterprise));
    isVoid(fixture.state(enterprise, kid, "active"), /never active/);
    fixture.must(fixture.state(enterprise, kid, "retired"));
  });

  it("are forged with a signature that is not their realm's: void", () => {
    const fixture = fresh();
    const { enterprise } = fixture;
    const { recordBytes } = fixture.record(enterprise, drillOf(enterprise));
    const fields = JSON.parse(recordBytes.toString());
    const forged = signKeyRecord(fields, fixture.operator.privateKey);
    isVoid(fixture.key(enterprise, forged), /not signed by its realm/, "ERR_KEY_SIGNATURE");
  });
});
