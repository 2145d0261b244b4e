import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeVerifierKey } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { FoldResult } from "./registry-types.ts";
import type { RootDocument } from "./root-document.ts";
import type { SignedRoot } from "./root-signature.ts";
import { NamedKey, NOW, RegistryFixture, REPORTER_KEY } from "./testing/registry-fixture.ts";
import { RootHolder, rootOf, rootStatement, signedBy, YEAR } from "./testing/root-fixture.ts";

const names = ["alice", "bob", "carol", "dave"];

/** A registry, those who hold root keys, and roots that delegate as the registry has it. */
class RootScene {
  readonly fixture = new RegistryFixture().withRealms();
  readonly holders = names.map((name) => new RootHolder(name));
  readonly demo = [new RootHolder("demo")];

  get realms() {
    return [this.fixture.consumer, this.fixture.enterprise].map(({ realm, ring }) => ({
      realm,
      ring: ring.vkey,
    }));
  }
  root(change: Partial<RootDocument> = {}, holders = this.holders, signers = holders): SignedRoot {
    return signedBy(rootOf(holders, { realms: this.realms, ...change }), ...signers);
  }
  demoRoot(change: Partial<RootDocument> = {}): SignedRoot {
    return this.root({ kind: "demo", threshold: 1, ...change }, this.demo);
  }
  say(root: SignedRoot, at = NOW + 1, change: object = {}): FoldResult {
    return this.fixture.say({ ...rootStatement(root), ...change }, this.fixture.operator, at);
  }
  get versions(): readonly string[] {
    return this.fixture.registry.roots.map(
      ({ document }) => `${document.kind} ${document.version}`,
    );
  }
}

function isVoid(result: FoldResult, code: string): void {
  assert.equal(result.kind, "void");
  if (result.kind === "void") assert.equal(result.code, code, result.reason);
}

describe("roots in the registry", () => {
  it("a ceremony, and a rotation after it, are known with where they stand", () => {
    const scene = new RootScene();
    assert.equal(scene.fixture.registry.roots.length, 0);
    const first = scene.root();
    scene.fixture.must(scene.say(first));
    const index = scene.fixture.registry.size - 1;
    scene.fixture.must(scene.say(scene.root({ version: 2 })));
    assert.deepEqual(scene.versions, ["production 1", "production 2"]);
    const [known, newest] = scene.fixture.registry.roots;
    assert.deepEqual(known, { ...first, index });
    assert.equal(newest?.index, index + 1);
  });

  it("production after demo begins anew with version 1; never the other way round", () => {
    const scene = new RootScene();
    scene.fixture.must(scene.say(scene.demoRoot()));
    scene.fixture.must(scene.say(scene.demoRoot({ version: 2 })));
    assert.deepEqual(scene.versions, ["demo 1", "demo 2"]);
    isVoid(
      scene.say(scene.root({ version: 3 }, [...scene.holders, ...scene.demo])),
      "ERR_ROOT_VERSION",
    );
    scene.fixture.must(scene.say(scene.root()));
    assert.deepEqual(scene.versions, ["production 1"]);
    isVoid(scene.say(scene.demoRoot({ version: 2 })), "ERR_ROOT_KIND");
    isVoid(scene.say(scene.demoRoot({ version: 3 })), "ERR_ROOT_KIND");
    assert.deepEqual(scene.versions, ["production 1"]);
  });

  it("a key of a demo root is never one of a production root", () => {
    const scene = new RootScene();
    scene.fixture.must(scene.say(scene.demoRoot()));
    const mixed = scene.root({}, [...scene.holders, ...scene.demo], scene.holders);
    isVoid(scene.say(mixed), "ERR_STATEMENT_CONFLICT");
    scene.fixture.must(scene.say(scene.root()));
  });

  it("versions grow by one, each signed by the one before", () => {
    const scene = new RootScene();
    isVoid(scene.say(scene.root({ version: 2 })), "ERR_ROOT_VERSION");
    scene.fixture.must(scene.say(scene.root()));
    isVoid(scene.say(scene.root({ version: 3 })), "ERR_ROOT_VERSION");
    isVoid(scene.say(scene.root()), "ERR_ROOT_VERSION");
    isVoid(scene.say(scene.root({ expires: NOW + YEAR - 1 })), "ERR_ROOT_FORK");
    const strangers = ["x", "y", "z"].map((name) => new RootHolder(name));
    isVoid(scene.say(scene.root({ version: 2 }, strangers)), "ERR_ROOT_THRESHOLD");
    assert.deepEqual(scene.versions, ["production 1"]);
  });

  it("below the threshold it is void, and the operator's signature does not help", () => {
    const scene = new RootScene();
    isVoid(
      scene.say(scene.root({}, scene.holders, scene.holders.slice(0, 1))),
      "ERR_ROOT_THRESHOLD",
    );
    scene.fixture.must(scene.say(scene.root({}, scene.holders, scene.holders.slice(0, 2))));
  });

  it("only the operator records one", () => {
    const scene = new RootScene();
    const body = rootStatement(scene.root());
    isVoid(scene.fixture.say(body, scene.fixture.enterprise.ring), "ERR_STATEMENT_AUTHOR");
    isVoid(scene.fixture.say(body, new NamedKey("redoubt.test/operator")), "ERR_STATEMENT_AUTHOR");
    scene.fixture.must(scene.fixture.say(body));
  });

  it("the statement names the document that it holds", () => {
    const scene = new RootScene();
    const root = scene.root();
    const other = rootStatement(scene.root({ expires: NOW + YEAR - 1 }));
    for (const change of [
      { kind: "demo" },
      { version: 2 },
      { hash: other.hash },
      { root: other.root },
    ])
      isVoid(scene.say(root, NOW, change), "ERR_STATEMENT_CONFLICT");
    isVoid(scene.say(root, NOW, { root: encodeBase64url(Buffer.from("{}")) }), "ERR_ROOT_FORM");
    scene.fixture.must(scene.say(root));
  });

  it("one that had expired when it was said is void", () => {
    const scene = new RootScene();
    isVoid(scene.say(scene.root(), NOW + YEAR), "ERR_ROOT_EXPIRED");
    scene.fixture.must(scene.say(scene.root(), NOW + YEAR - 1));
  });

  it("the first delegates to the registry's ring keys and operator alone; not to every realm", () => {
    const scene = new RootScene();
    const [consumer, enterprise] = scene.realms;
    assert.ok(consumer && enterprise);
    for (const realms of [
      [{ ...consumer, ring: new NamedKey("redoubt.test/consumer/ring").vkey }],
      [{ ...consumer, ring: scene.fixture.consumer.ring.renamed("other").vkey }],
      [{ ...consumer, ring: enterprise.ring }],
      [consumer, { realm: "unknown", ring: new NamedKey("ring").vkey }],
    ])
      isVoid(scene.say(scene.root({ realms })), "ERR_STATEMENT_CONFLICT");
    const stranger = new NamedKey("redoubt.test/operator");
    const taken = scene.root({ operator: stranger.vkey });
    isVoid(scene.say(taken), "ERR_STATEMENT_CONFLICT");
    isVoid(scene.fixture.say(rootStatement(taken), stranger), "ERR_STATEMENT_CONFLICT");
    scene.fixture.must(scene.say(scene.root({ realms: [consumer] })));
    scene.fixture.must(scene.say(scene.root({ version: 2 })));
  });

  it("a root key has no other role, before or after", () => {
    const scene = new RootScene();
    const operator = rootStatement(scene.root());
    const taken = new RootHolder("taken");
    const ring = new NamedKey("redoubt.test/third/ring", taken.privateKey);
    const third = {
      realm: "third",
      issuer: "https://third.test/{tenantid}",
      tenantRule: scene.fixture.enterprise.tenantRule,
      log: "l",
      ring,
      writer: ring,
      logKey: ring,
    };
    scene.fixture.must(scene.fixture.realm(third));
    isVoid(scene.say(scene.root({}, [...scene.holders, taken])), "ERR_STATEMENT_CONFLICT");
    scene.fixture.must(scene.fixture.say(operator, scene.fixture.operator, NOW));
    const [alice] = scene.holders;
    assert.ok(alice);
    const late = {
      ...third,
      realm: "fourth",
      issuer: "https://fourth.test/{tenantid}",
      ring: new NamedKey("r", alice.privateKey),
    };
    isVoid(scene.fixture.realm(late), "ERR_STATEMENT_CONFLICT");
  });

  it("a void root leaves nothing behind: its keys are free", () => {
    const scene = new RootScene();
    isVoid(scene.say(scene.root({ kind: "demo" }, scene.holders, [])), "ERR_ROOT_THRESHOLD");
    scene.fixture.must(scene.say(scene.root()));
  });
});

/** A scene whose registry has a first root; what comes next names others. */
function sceneWithRoot(): RootScene {
  const scene = new RootScene();
  scene.fixture.must(scene.say(scene.root({ operator: scene.fixture.operator.vkey })));
  return scene;
}

describe("an operator key comes to an end (THREAT-06)", () => {
  const next = new NamedKey("redoubt.test/operator");
  const who = [
    { name: "planned: the one before says so", by: (scene: RootScene) => scene.fixture.operator },
    { name: "lost or stolen: the next one says so itself", by: () => next },
  ];
  for (const { name, by } of who)
    it(name, () => {
      const scene = sceneWithRoot();
      const { fixture } = scene;
      const root = scene.root({ version: 2, operator: next.vkey });
      fixture.must(fixture.say(rootStatement(root), by(scene)));
      assert.equal(encodeVerifierKey(fixture.registry.operator), next.vkey);
      isVoid(fixture.reporter("active"), "ERR_STATEMENT_AUTHOR");
      const publicKey = REPORTER_KEY;
      const reporter = { type: "reporter", reporter: "r", publicKey } as const;
      fixture.must(fixture.say({ ...reporter, status: "active" }, next));
      // A root that says nothing of the operator leaves the one there is.
      fixture.must(fixture.say(rootStatement(scene.root({ version: 3 })), next));
      assert.equal(encodeVerifierKey(fixture.registry.operator), next.vkey);
    });

  it("not by a thief who has that key alone, nor by too few holders", () => {
    const scene = sceneWithRoot();
    const { fixture, holders } = scene;
    const change = { version: 2, operator: next.vkey };
    const thieves = ["x", "y", "z"].map((name) => new RootHolder(name));
    isVoid(scene.say(scene.root(change, thieves)), "ERR_ROOT_THRESHOLD");
    const one = rootStatement(scene.root(change, holders, holders.slice(0, 1)));
    for (const by of [fixture.operator, next]) isVoid(fixture.say(one, by), "ERR_ROOT_THRESHOLD");
    const stranger = new NamedKey("redoubt.test/operator");
    isVoid(fixture.say(rootStatement(scene.root(change)), stranger), "ERR_STATEMENT_AUTHOR");
    assert.equal(encodeVerifierKey(fixture.registry.operator), fixture.operator.vkey);
    fixture.must(fixture.reporter("active"));
  });

  it("what was replaced never comes back, in no role; nor does a key get another name", () => {
    const scene = sceneWithRoot();
    const { fixture } = scene;
    fixture.must(scene.say(scene.root({ version: 2, operator: next.vkey })));
    const old = fixture.operator.privateKey;
    const say = (change: Partial<RootDocument>) =>
      fixture.say(rootStatement(scene.root({ version: 3, ...change })), next);
    isVoid(say({ operator: fixture.operator.vkey }), "ERR_STATEMENT_CONFLICT");
    isVoid(say({ operator: next.renamed("other").vkey }), "ERR_STATEMENT_CONFLICT");
    const [consumer] = scene.realms;
    assert.ok(consumer);
    const ring = new NamedKey("redoubt.test/consumer/ring", old).vkey;
    isVoid(say({ realms: [{ ...consumer, ring }] }), "ERR_STATEMENT_CONFLICT");
    isVoid(say({ operator: fixture.enterprise.writer.vkey }), "ERR_STATEMENT_CONFLICT");
  });
});

describe("a ring key comes to an end", () => {
  it("keys that it had registered stay; from then on the new one speaks", () => {
    const scene = sceneWithRoot();
    const { fixture } = scene;
    const [, enterprise] = scene.realms;
    assert.ok(enterprise);
    const kid = fixture.keyIn(fixture.enterprise, ["prepublished", "active"]);
    const ring = new NamedKey("redoubt.test/enterprise/ring");
    const realms = [{ ...enterprise, ring: ring.vkey }];
    fixture.must(scene.say(scene.root({ version: 2, realms })));
    const realm = fixture.registry.realms.get("enterprise");
    assert.deepEqual(realm?.formerRings.map(encodeVerifierKey), [fixture.enterprise.ring.vkey]);
    const state = (by: NamedKey, at: number) =>
      fixture.state(fixture.enterprise, kid, "tainted", at, by);
    isVoid(state(fixture.enterprise.ring, NOW + 2), "ERR_STATEMENT_AUTHOR");
    isVoid(
      fixture.key(fixture.enterprise, fixture.record(fixture.enterprise)),
      "ERR_STATEMENT_AUTHOR",
    );
    assert.equal(fixture.registry.keys.get(kid)?.state, "active");
    const renewed = { ...fixture.enterprise, ring };
    fixture.must(fixture.key(renewed, fixture.record(renewed)));
    fixture.must(state(ring, NOW + 3));
    // The other realm's ring is as it was.
    fixture.keyIn(fixture.consumer, ["prepublished"]);
    isVoid(scene.say(scene.root({ version: 3 })), "ERR_STATEMENT_CONFLICT");
  });

  it("a record that the stolen ring signed does not count under the new one", () => {
    const scene = sceneWithRoot();
    const { fixture } = scene;
    const stolen = fixture.record(fixture.enterprise);
    const ring = new NamedKey("redoubt.test/enterprise/ring");
    const realms = [{ realm: "enterprise", ring: ring.vkey }];
    fixture.must(scene.say(scene.root({ version: 2, realms })));
    isVoid(fixture.key({ ...fixture.enterprise, ring }, stolen), "ERR_KEY_SIGNATURE");
  });

  it("a key of another role is none", () => {
    const scene = sceneWithRoot();
    const { fixture } = scene;
    for (const key of [fixture.consumer.ring, fixture.enterprise.writer, fixture.operator]) {
      const realms = [{ realm: "enterprise", ring: key.vkey }];
      isVoid(scene.say(scene.root({ version: 2, realms })), "ERR_STATEMENT_CONFLICT");
    }
  });
});
