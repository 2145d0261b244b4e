import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { KEY_STATES, type KeyState } from "@redoubt/keys";
import { keysForIssuer } from "./jwks.ts";
import type { FoldResult } from "./registry-types.ts";
import { NOW, RegistryFixture, TENANT_A, type TestRealm } from "./testing/registry-fixture.ts";
import type { RetainAuthor } from "./statement-types.ts";

function isVoid(result: FoldResult, reason: RegExp): void {
  assert.equal(result.kind, "void");
  if (result.kind === "void") assert.match(result.reason, reason);
}

function retain(
  fixture: RegistryFixture,
  kid: string,
  retained: boolean,
  by: RetainAuthor = "ring",
): FoldResult {
  const { ring } = fixture.enterprise;
  const body = { type: "key-retain", realm: "enterprise", kid, by, retain: retained } as const;
  return fixture.say({ ...body, reason: "test" }, by === "ring" ? ring : fixture.operator);
}

function published(fixture: RegistryFixture, now = NOW): string[] {
  return keysForIssuer(fixture.registry, "enterprise", TENANT_A, now).map(({ kid }) => kid);
}

describe("THREAT-11: a retained key", () => {
  it("is not withdrawn, whoever automates: the statement is void, the key stays published", () => {
    for (const state of ["prepublished", "verify-only"] as const) {
      const fixture = new RegistryFixture().withRealms();
      const path = ["prepublished", "active", "verify-only"] as const;
      const kid = fixture.keyIn(fixture.enterprise, path.slice(0, path.indexOf(state) + 1));
      fixture.must(retain(fixture, kid, true));
      isVoid(fixture.state(fixture.enterprise, kid, "retired"), /retained/);
      assert.deepEqual(published(fixture), [kid]);
      fixture.must(retain(fixture, kid, false));
      fixture.must(fixture.state(fixture.enterprise, kid, "retired"));
      assert.deepEqual(published(fixture), []);
    }
  });

  it("goes when it is tainted, and no longer than its record allows", () => {
    const fixture = new RegistryFixture().withRealms();
    const kid = fixture.keyIn(fixture.enterprise, ["prepublished", "active"]);
    fixture.must(retain(fixture, kid, true));
    const verifyUntil = fixture.registry.keys.get(kid)?.record.verifyUntil ?? 0;
    assert.deepEqual(published(fixture, verifyUntil - 1), [kid]);
    assert.deepEqual(published(fixture, verifyUntil), []);
    fixture.must(fixture.state(fixture.enterprise, kid, "tainted"));
    assert.deepEqual(published(fixture), []);
    fixture.must(fixture.state(fixture.enterprise, kid, "revoked"));
  });

  it("of the operator is released by the operator only: automation holds the ring key", () => {
    const fixture = new RegistryFixture().withRealms();
    const kid = fixture.keyIn(fixture.enterprise, ["prepublished", "active", "verify-only"]);
    fixture.must(retain(fixture, kid, true, "ring"));
    fixture.must(retain(fixture, kid, true, "operator"));
    for (const retained of [false, true])
      isVoid(retain(fixture, kid, retained, "ring"), /operator retains/);
    isVoid(fixture.state(fixture.enterprise, kid, "retired"), /retained/);
    fixture.must(retain(fixture, kid, false, "operator"));
    fixture.must(fixture.state(fixture.enterprise, kid, "retired"));
  });

  it("is one that is published; nobody else's word counts, nor in another's name", () => {
    const fixture = new RegistryFixture().withRealms();
    const { enterprise, consumer, operator } = fixture;
    const kid = fixture.keyIn(enterprise, []);
    isVoid(retain(fixture, kid, true), /published/);
    fixture.must(fixture.state(enterprise, kid, "prepublished"));
    const body = { type: "key-retain", kid, retain: true, reason: "test" } as const;
    for (const [realm, by, author] of [
      ["enterprise", "ring", operator],
      ["enterprise", "operator", enterprise.ring],
      ["enterprise", "ring", consumer.ring],
    ] as const)
      isVoid(fixture.say({ ...body, realm, by }, author), /not signed by/);
    isVoid(fixture.say({ ...body, realm: "consumer", by: "ring" }, consumer.ring), /No such key/);
    const unknown = { ...body, realm: "enterprise", by: "ring", kid: "A".repeat(43) } as const;
    isVoid(fixture.say(unknown, enterprise.ring), /No such key/);
    assert.equal(fixture.registry.keys.get(kid)?.retainedBy, undefined);
    for (const state of ["tainted", "revoked"] as const) {
      fixture.must(fixture.state(enterprise, kid, state));
      isVoid(retain(fixture, kid, true), /published/);
    }
  });
});

/** One key that was replaced by another. */
function replaced() {
  const fixture = new RegistryFixture().withRealms();
  const { enterprise } = fixture;
  const old = fixture.keyIn(enterprise, ["prepublished", "active"]);
  const next = fixture.keyIn(enterprise, ["prepublished"]);
  fixture.must(fixture.state(enterprise, old, "verify-only"));
  fixture.must(fixture.state(enterprise, next, "active"));
  return { fixture, enterprise, old, next };
}

describe("a roll-back", () => {
  it("takes two entries, and never makes a second key active", () => {
    const { fixture, enterprise, old, next } = replaced();
    isVoid(fixture.state(enterprise, old, "active"), /has an active key/);
    fixture.must(fixture.state(enterprise, next, "verify-only"));
    fixture.must(fixture.state(enterprise, old, "active"));
    isVoid(fixture.state(enterprise, next, "active"), /has an active key/);
    // And forward again.
    fixture.must(fixture.state(enterprise, old, "verify-only"));
    fixture.must(fixture.state(enterprise, next, "active"));
  });

  it("THREAT-02: ends with the window of the record, to the second", () => {
    const { fixture, enterprise, old, next } = replaced();
    fixture.must(fixture.state(enterprise, next, "verify-only"));
    const signUntil = fixture.registry.keys.get(old)?.record.signUntil ?? 0;
    isVoid(fixture.state(enterprise, old, "active", signUntil), /signing window/);
    fixture.must(fixture.state(enterprise, old, "active", signUntil - 1));
  });

  it("THREAT-02: leads from no other state back to signing", () => {
    for (const path of [
      ["retired"],
      ["retired", "destroyed"],
      ["tainted"],
      ["tainted", "revoked"],
    ] as const) {
      const { fixture, enterprise, old, next } = replaced();
      fixture.must(fixture.state(enterprise, next, "verify-only"));
      for (const state of path) fixture.must(fixture.state(enterprise, old, state));
      isVoid(fixture.state(enterprise, old, "active"), /cannot become active/);
    }
  });

  it("no order of statements by anybody gives a ring two active keys, or withdraws a retained one", () => {
    const kidIndex = fc.nat({ max: 2 });
    const change = fc.record({
      key: kidIndex,
      state: fc.constantFrom<(KeyState | "retain" | "release")[]>(
        ...KEY_STATES,
        ...(["active", "active", "verify-only", "verify-only", "retain", "release"] as const),
      ),
    });
    let [activations, refused] = [0, 0];
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const fixture = new RegistryFixture().withRealms();
        const { enterprise } = fixture;
        const kids = [0, 1, 2].map(() => fixture.keyIn(enterprise, ["prepublished"]));
        for (const { key, state } of changes) {
          const kid = kids[key] ?? "";
          const kept = fixture.registry.keys.get(kid)?.retainedBy;
          const result = said(fixture, enterprise, kid, state);
          if (result.kind === "applied" && state === "active") activations += 1;
          if (state === "retired" && kept) assert.equal(result.kind, "void");
          if (result.kind === "void") refused += 1;
          const active = [...fixture.registry.keys.values()].filter(
            (one) => one.state === "active",
          );
          assert.equal(
            new Set(active.map(({ record }) => fixture.registry.ringOf(record))).size,
            active.length,
          );
        }
      }),
      { numRuns: 60 },
    );
    assert.ok(activations > 20 && refused > 20, `${activations} ${refused}`);
  });
});

function said(
  fixture: RegistryFixture,
  realm: TestRealm,
  kid: string,
  state: KeyState | "retain" | "release",
): FoldResult {
  if (state === "retain" || state === "release") return retain(fixture, kid, state === "retain");
  return fixture.state(realm, kid, state);
}
