import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createVerifierKey, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { FoldResult } from "./registry-types.ts";
import { NamedKey, RegistryFixture, type TestRealm } from "./testing/registry-fixture.ts";

const ROOT = Buffer.alloc(32, 7);
const REASON = "one flipped bit";

/** Registers another log of a realm; its origin. */
function another(fixture: RegistryFixture, realm: TestRealm, suffix: string): TestRealm {
  const log = `${realm.log}-${suffix}`;
  const writer = new NamedKey(`${log}/writer`);
  const next = { ...realm, log, writer, logKey: new NamedKey(log) };
  fixture.must(fixture.writer(next));
  return next;
}

function close(
  fixture: RegistryFixture,
  realm: TestRealm,
  successor: string,
  { by = fixture.operator, of = realm.realm } = {},
): FoldResult {
  const { log } = realm;
  const body = { realm: of, log, size: 5, root: encodeBase64url(ROOT), successor, reason: REASON };
  return fixture.say({ type: "log-closed", ...body }, by);
}

function named(log: string) {
  return { log, writer: new NamedKey(`${log}/writer`).vkey, logKey: new NamedKey(log).vkey };
}

function isVoid(result: FoldResult, reason: RegExp): void {
  assert.equal(result.kind, "void");
  assert.match(result.reason, reason);
}

describe("a log that ends", () => {
  it("has a successor, and what it ended at is known", () => {
    const fixture = new RegistryFixture().withRealms();
    const { registry, enterprise } = fixture;
    const next = another(fixture, enterprise, "2");
    fixture.must(close(fixture, enterprise, next.log));
    const { at, ...closed } = registry.closedLogs.get(enterprise.log) ?? assert.fail();
    assert.ok(at > 0);
    assert.deepEqual(closed, {
      realm: "enterprise",
      log: enterprise.log,
      size: 5,
      root: ROOT,
      successor: next.log,
      reason: REASON,
    });
    const third = another(fixture, enterprise, "3");
    fixture.must(close(fixture, next, third.log));
    assert.ok(registry.isSameLine(enterprise.log, third.log));
    assert.ok(!registry.isSameLine(third.log, fixture.consumer.log));
  });

  it("P6: keys go on signing in the successor: the ring is the same, with one active key", () => {
    const fixture = new RegistryFixture().withRealms();
    const { registry, enterprise } = fixture;
    const old = fixture.keyIn(enterprise, ["prepublished", "active"]);
    const next = another(fixture, enterprise, "2");
    fixture.must(close(fixture, enterprise, next.log));
    const young = fixture.keyIn(next, ["prepublished"]);
    const recordOf = (kid: string) => registry.keys.get(kid)?.record ?? assert.fail();
    assert.equal(registry.ringOf(recordOf(old)), registry.ringOf(recordOf(young)));
    isVoid(fixture.state(next, young, "active"), /has an active key/);
    fixture.must(fixture.state(enterprise, old, "verify-only"));
    fixture.must(fixture.state(next, young, "active"));
  });

  it("takes no new keys", () => {
    const fixture = new RegistryFixture().withRealms();
    const { enterprise } = fixture;
    const next = another(fixture, enterprise, "2");
    fixture.must(close(fixture, enterprise, next.log));
    isVoid(fixture.key(enterprise, fixture.record(enterprise)), /a log that is closed/);
  });

  it("is ended by the operator only, once, and by a new log of its realm", () => {
    const fixture = new RegistryFixture().withRealms();
    const { consumer, enterprise } = fixture;
    const next = another(fixture, enterprise, "2");
    const used = another(fixture, enterprise, "used");
    fixture.keyIn(used, ["prepublished"]);
    isVoid(close(fixture, enterprise, next.log, { by: enterprise.ring }), /author|sign/i);
    isVoid(close(fixture, enterprise, next.log, { of: "consumer" }), /consumer has no log/);
    isVoid(close(fixture, enterprise, consumer.log), /enterprise has no log/);
    isVoid(close(fixture, enterprise, `${enterprise.log}-none`), /has no log/);
    isVoid(close(fixture, enterprise, enterprise.log), /must be a new one/);
    isVoid(close(fixture, enterprise, used.log), /must be a new one/);
    fixture.must(close(fixture, enterprise, next.log));
    const third = another(fixture, enterprise, "3");
    isVoid(close(fixture, enterprise, third.log), /is closed/);
    isVoid(close(fixture, used, next.log), /must be a new one/);
    isVoid(close(fixture, next, enterprise.log), /is closed/);
  });
});

const registryKey = (name = "redoubt.test/registry") => new NamedKey(name);
const pinned = (key: NamedKey, before?: NamedKey) =>
  ({
    type: "pinned-key",
    what: "registry",
    key: key.vkey,
    ...(before && { before: before.vkey }),
    reason: "test",
  }) as const;

describe("pinned-key: a key that configurations pin gives way to another", () => {
  it("in a chain, each named once, and none of them in another role", () => {
    const fixture = new RegistryFixture().withRealms();
    const [one, two, three] = [registryKey(), registryKey(), registryKey()];
    const refused = (said: ReturnType<typeof pinned>, by = fixture.operator): void => {
      const result = fixture.say(said, by);
      assert.equal(result.kind === "void" && result.code, "ERR_STATEMENT_CONFLICT");
    };
    refused(pinned(one, one));
    refused(pinned(fixture.consumer.ring, one));
    fixture.must(fixture.say(pinned(two, one)));
    refused(pinned(three, one));
    refused(pinned(one, two));
    refused(pinned(three));
    fixture.must(fixture.say(pinned(three, two)));
    assert.deepEqual(
      fixture.registry.pinnedKeys.map(({ key }) => key),
      [two.vkey, three.vkey],
    );
    const stranger = fixture.say(pinned(registryKey(), three), fixture.consumer.ring);
    assert.equal(stranger.kind === "void" && stranger.code, "ERR_STATEMENT_AUTHOR");
  });

  it("the witness's is a cosigner's key, the others are Ed25519 keys", () => {
    const fixture = new RegistryFixture();
    const malformed = { code: "ERR_STATEMENT_MALFORMED" };
    assert.throws(() => fixture.say({ ...pinned(registryKey()), what: "witness" }), malformed);
    const { publicKey } = registryKey().verifier;
    const type = SIGNATURE_TYPE.cosignature;
    const key = createVerifierKey({ name: "redoubt.test/witness", type, publicKey });
    const said = { ...pinned(registryKey()), key: encodeVerifierKey(key) };
    assert.throws(() => fixture.say(said), malformed);
    fixture.must(fixture.say({ ...said, what: "witness" }));
  });
});

function token(i: number): string {
  return `jti-${i}`.padEnd(24, "0");
}

describe("body-read: somebody reads who got a token", () => {
  const body = { type: "body-read", realm: "enterprise", by: "jti", reason: REASON } as const;

  it("the newest 256 are kept, of realms that are known, said by the operator alone", () => {
    const fixture = new RegistryFixture().withRealms();
    for (let i = 0; i < 300; i += 1) fixture.must(fixture.say({ ...body, token: token(i) }));
    const kept = fixture.registry.bodyReads.map((read) => read.token);
    assert.deepEqual([kept.length, kept[0], kept.at(-1)], [256, token(44), token(299)]);
    isVoid(fixture.say({ ...body, realm: "nowhere", token: token(1) }), /nowhere/);
    const { ring } = fixture.enterprise;
    assert.equal(fixture.say({ ...body, token: token(2) }, ring).kind, "void");
    assert.equal(fixture.registry.bodyReads.length, 256);
  });
});

describe("a broker's log", () => {
  const LOG = "redoubt.test/broker";

  function broker(fixture: RegistryFixture, change: object = {}): FoldResult {
    const [writer, logKey] = [new NamedKey(`${LOG}/writer`).vkey, new NamedKey(LOG).vkey];
    const realms = ["consumer", "enterprise"];
    return fixture.say({ type: "broker", log: LOG, writer, logKey, realms, ...change });
  }

  it("is known with its realms, and is no realm's log", () => {
    const fixture = new RegistryFixture().withRealms();
    fixture.must(broker(fixture));
    const found = fixture.registry.brokers.get(LOG) ?? assert.fail();
    assert.deepEqual(found.realms, ["consumer", "enterprise"]);
    assert.equal(found.writer.name, `${LOG}/writer`);
    assert.equal(fixture.registry.writers.has(LOG), false);
  });

  it("is said once, of realms that there are, with keys of its own", () => {
    const fixture = new RegistryFixture().withRealms();
    const { enterprise } = fixture;
    isVoid(broker(fixture, { realms: ["partner"] }), /partner/);
    isVoid(broker(fixture, { writer: new NamedKey("other/writer").vkey }), /not named for it/);
    const both = new NamedKey(`${LOG}/writer`);
    isVoid(
      broker(fixture, {
        writer: both.vkey,
        logKey: new NamedKey(LOG, both.privateKey).vkey,
      }),
      /must not hold the log key/,
    );
    const taken = new NamedKey(`${LOG}/writer`, enterprise.writer.privateKey);
    isVoid(broker(fixture, { writer: taken.vkey }), /serves writer:enterprise/);
    isVoid(broker(fixture, { log: enterprise.log }), /has a writer/);
    fixture.must(broker(fixture));
    isVoid(broker(fixture), /has a writer/);
    isVoid(fixture.writer({ ...enterprise, log: LOG }), /has a writer/);
  });

  it("keeps its keys out of every other role, and takes no closed log's place", () => {
    const fixture = new RegistryFixture().withRealms();
    const { enterprise } = fixture;
    const [writer, logKey] = [new NamedKey(`${LOG}/writer`), new NamedKey(LOG)];
    fixture.must(broker(fixture, { writer: writer.vkey, logKey: logKey.vkey }));
    const log = `${enterprise.log}-2`;
    const next = { ...enterprise, log, writer: new NamedKey(`${log}/writer`) };
    const taken = { ...next, writer: writer.renamed(`${log}/writer`) };
    isVoid(fixture.writer({ ...taken, logKey: new NamedKey(log) }), /serves writer:/);
    isVoid(fixture.writer({ ...next, logKey: logKey.renamed(log) }), /serves log:/);
    const root = encodeBase64url(Buffer.alloc(32));
    const closed = {
      type: "log-closed",
      realm: "enterprise",
      size: 0,
      root,
      reason: "test",
    } as const;
    isVoid(
      fixture.say({ ...closed, log: enterprise.log, successor: LOG }),
      /Realm enterprise has no log/,
    );
    isVoid(
      fixture.say({ ...closed, log: LOG, successor: enterprise.log }),
      /Realm enterprise has no log/,
    );
  });

  it("ends as a realm's does: another broker's log of the same realms takes its place", () => {
    const fixture = new RegistryFixture().withRealms();
    fixture.must(broker(fixture));
    const next = `${LOG}-2`;
    const end = (change: object = {}) =>
      fixture.say({
        type: "log-closed",
        log: LOG,
        size: 5,
        root: encodeBase64url(ROOT),
        successor: next,
        reason: REASON,
        ...change,
      });
    isVoid(end(), /A broker has no log/);
    fixture.must(broker(fixture, named(next)));
    isVoid(end({ realm: "enterprise" }), /Realm enterprise has no log/);
    isVoid(end({ log: fixture.enterprise.log }), /A broker has no log/);
    isVoid(end({ successor: LOG }), /must be a new one/);
    fixture.must(broker(fixture, { ...named(`${LOG}-3`), realms: ["consumer"] }));
    isVoid(end({ successor: `${LOG}-3` }), /is of other realms/);
    fixture.must(end());
    const { realm, successor } = fixture.registry.closedLogs.get(LOG) ?? assert.fail();
    assert.deepEqual([realm, successor], [undefined, next]);
    isVoid(end(), /is closed/);
  });
});
