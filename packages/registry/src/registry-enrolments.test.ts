import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { parseStatement } from "./statement-parser.ts";
import { seesStatement } from "./readers.ts";
import { signStatement } from "./statement.ts";
import type { EnrolmentStatement, StatementBody } from "./statement-types.ts";
import type { FoldResult } from "./registry-types.ts";
import { coseKey } from "./testing/cose-key.ts";
import { NOW, RegistryFixture } from "./testing/registry-fixture.ts";

type Enrol = StatementBody<EnrolmentStatement>;

const ANNA = hash("sha256", "anna", "base64url");
const BEN = hash("sha256", "ben", "base64url");

function enrol(change: Partial<Enrol> = {}): Enrol {
  return {
    type: "enrolment",
    realm: "enterprise",
    person: ANNA,
    credential: "AQID",
    publicKey: coseKey(),
    class: "device-bound",
    rpId: "login.test",
    status: "active",
    ...change,
  };
}

function fresh(): RegistryFixture {
  return new RegistryFixture().withRealms();
}

function isVoid(result: FoldResult, reason: RegExp, code = "ERR_STATEMENT_CONFLICT"): void {
  assert.equal(result.kind, "void");
  assert.equal(result.code, code);
  assert.match(result.reason, reason);
}

describe("enrolments", () => {
  it("are what the operator said, from when to when", () => {
    const fixture = fresh();
    const { type, status, ...said } = enrol({ aaguid: "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0" });
    fixture.must(fixture.say({ type, status, ...said }));
    const { enrolments } = fixture.registry;
    assert.deepEqual([...enrolments], [["enterprise/AQID", { ...said, from: NOW }]]);
    fixture.must(fixture.say({ type, ...said, status: "removed" }, fixture.operator, NOW + 9));
    assert.deepEqual(enrolments.get("enterprise/AQID"), { ...said, from: NOW, removedAt: NOW + 9 });
  });

  it("are said by the operator and nobody else", () => {
    const fixture = fresh();
    const { enterprise, operator } = fixture;
    for (const by of [enterprise.ring, enterprise.writer, enterprise.ring.renamed(operator.name)])
      isVoid(fixture.say(enrol(), by), /not signed by/, "ERR_STATEMENT_AUTHOR");
    assert.equal(fixture.registry.enrolments.size, 0);
  });

  it("THREAT-20: are of one person and one realm for ever, with one key", () => {
    const fixture = fresh();
    const known = enrol();
    fixture.must(fixture.say(known));
    const { publicKey } = known;
    for (const change of [
      {},
      { person: BEN },
      { publicKey: coseKey() },
      { class: "attested" },
    ] as const)
      isVoid(fixture.say(enrol({ publicKey, ...change })), /enrolled before/);
    isVoid(fixture.say(enrol({ realm: "consumer" })), /another realm/);
    isVoid(fixture.say(enrol({ publicKey, credential: "AQIE" })), /serves presence:enterprise/);
    isVoid(
      fixture.say(enrol({ publicKey, credential: "AQIE", realm: "consumer" })),
      /serves presence:enterprise/,
    );
    isVoid(fixture.say(enrol({ realm: "other" })), /not registered/);
    assert.equal(fixture.registry.enrolments.size, 1);
    fixture.must(fixture.say(enrol({ credential: "AQIE" })));
  });

  it("share no key with anything else in the registry", () => {
    const fixture = fresh();
    const { x = "" } = fixture.enterprise.ring.verifier.publicKey.export({ format: "jwk" });
    const cose = Buffer.concat([
      Buffer.from("a4010103272006215820", "hex"),
      Buffer.from(x, "base64url"),
    ]);
    isVoid(fixture.say(enrol({ publicKey: cose.toString("base64url") })), /serves ring:enterprise/);
  });

  it("are removed once, in the words in which they were enrolled, and never come back", () => {
    const fixture = fresh();
    const known = enrol();
    const removed = { ...known, status: "removed" } as const;
    isVoid(fixture.say(removed), /not enrolled/);
    fixture.must(fixture.say(known));
    for (const change of [
      { person: BEN },
      { publicKey: coseKey() },
      { class: "attested" },
      { rpId: "other.test" },
      { aaguid: "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0" },
    ] as const)
      isVoid(fixture.say({ ...removed, ...change }), /another enrolment/);
    isVoid(fixture.say(removed, fixture.operator, NOW - 1), /older/);
    fixture.must(fixture.say(removed));
    isVoid(fixture.say(removed), /removed before/);
    isVoid(fixture.say(known, fixture.operator, NOW + 5), /enrolled before/);
    isVoid(fixture.say(enrol({ ...known, realm: "consumer" })), /another realm/);
    isVoid(fixture.say({ ...known, credential: "AQIE" }), /serves presence/);
  });

  it("are shown to whoever acts on approvals, and to nobody else (docs/spec/logs.md §4)", () => {
    const { operator } = fresh();
    const statement = parseStatement(signStatement(enrol(), operator, NOW).statement);
    for (const caller of ["operator", "monitor", "signer-consumer", "issuer-enterprise"])
      assert.equal(seesStatement(caller, statement), true, caller);
    for (const caller of [
      "issuer-consumer",
      "publisher",
      "presence",
      "presence-enterprise",
      "witness",
      "",
    ])
      assert.equal(seesStatement(caller, statement), false, caller);
  });
});
