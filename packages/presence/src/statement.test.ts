import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { canonicalBytes } from "@redoubt/base";
import { parseJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { ACTION_NAMES, ACTIONS, type Said } from "./actions/index.ts";
import { personHash } from "./person.ts";
import { PresenceError } from "./presence-error.ts";
import { textHash } from "./renderer.ts";
import { makeStatement, MAX_STATEMENT_BYTES, openStatement } from "./statement.ts";
import { FRAME, NONCE, NOW, PASS, passStatement } from "./testing/ceremony-fixture.ts";

const DIGEST = personHash("p-7");

interface Case {
  readonly said: Said;
  readonly facts?: Readonly<Record<string, string>>;
  readonly lines: readonly string[];
  readonly wrong: Readonly<Record<string, readonly JsonValue[]>>;
}

const ids: readonly JsonValue[] = ["", "a b", "-a", "ä", "x".repeat(65), 1];
const digests: readonly JsonValue[] = ["", DIGEST.slice(1), `${DIGEST}A`, 1];

const cases: readonly Case[] = [
  {
    said: PASS,
    lines: [
      "Issue a one-time pass, with which a new person makes the first passkey",
      'Name: "anna@example.test"',
      'Person: "p-7"',
      'Tenant: "aaaaaaaa-0000-4000-8000-000000000001"',
      'Counts for minutes: "30"',
    ],
    wrong: {
      person: ids,
      userName: ["", "x".repeat(257), 1, null],
      tenant: ["", "AAAAAAAA-0000-4000-8000-000000000001", 1],
      purpose: ["", "Onboarding", 1],
      minutes: [0, 61, "30"],
    },
  },
  {
    said: { action: "person.recovery", subject: { person: "p-7", request: "r-1" } },
    facts: { userName: "anna", passkeys: "2" },
    lines: [
      "Let a person back in who lost all passkeys",
      'Person: "p-7"',
      'Request: "r-1"',
      'Name: "anna"',
      'Passkeys that end: "2"',
    ],
    wrong: { person: ids, request: ids },
  },
  {
    said: { action: "administrator.change", subject: { person: "p-7", change: "remove" } },
    facts: { administrators: "1" },
    lines: [
      "Take an administrator's rights from a person",
      'Person: "p-7"',
      'Administrators afterwards: "1"',
    ],
    wrong: { person: ids, change: ["", "Grant", 1] },
  },
  {
    said: {
      action: "presence.enrol",
      subject: { person: DIGEST, credential: "AQID", publicKeyHash: DIGEST, class: "attested" },
    },
    lines: [
      "Let a passkey approve what only people may approve",
      `Person (hash): "${DIGEST}"`,
      'Passkey: "AQID"',
      `Its key (hash): "${DIGEST}"`,
      'Class: "attested"',
    ],
    wrong: {
      person: digests,
      credential: ["", "a=", "a b", "A".repeat(1365), 1],
      publicKeyHash: digests,
      class: ["", "Attested", "unattested", 1],
    },
  },
];

function malformed(value: JsonObject): void {
  assert.throws(
    () => openStatement(canonicalBytes(value)),
    { name: "PresenceError", code: "ERR_PRESENCE_STATEMENT" },
    JSON.stringify(value).slice(0, 300),
  );
}

for (const { said, facts, lines, wrong } of cases)
  describe(`a statement of ${said.action}`, () => {
    const made = makeStatement({ ...FRAME, ...said, ...(facts && { facts }) }, NONCE);
    const members = parseJsonObject(made.bytes);
    const subject = parseJsonObject(canonicalBytes({ ...said.subject }));

    it("says all that was said, and shows all of it", () => {
      const { statement, text } = openStatement(made.bytes);
      const { action } = said;
      assert.deepEqual(statement, {
        v: 1,
        ...said,
        ...FRAME,
        ...(facts && { facts }),
        nonce: "BwcHBwcHBwcHBwcHBwcHBw",
        renderer: {
          id: `${action}/1`,
          sha256: textHash(text),
        },
      });
      assert.deepEqual(text, [
        ...lines,
        'Realm: "enterprise"',
        "Asked at: 2025-11-24T16:00:00Z",
        "Ends at: 2025-11-24T16:05:00Z",
      ]);
      assert.deepEqual(openStatement(made.bytes), made);
      assert.equal(Object.isFrozen(statement) && Object.isFrozen(statement.subject), true);
    });

    it("needs each member of its subject, and no other", () => {
      assert.deepEqual(Object.keys(wrong).toSorted(), Object.keys(subject).toSorted());
      for (const [name, values] of Object.entries(wrong)) {
        for (const value of values)
          malformed({ ...members, subject: { ...subject, [name]: value } });
        const { [name]: left, ...rest } = subject;
        assert.notEqual(left, undefined);
        malformed({ ...members, subject: rest });
      }
      malformed({ ...members, subject: { ...subject, more: 1 } });
    });

    it("takes only facts that it has a label for", () => {
      for (const given of [{}, { more: "1" }, { userName: 1 }, { userName: "" }, "x", []])
        malformed({ ...members, facts: given });
      for (const name of Object.keys(ACTIONS[said.action].facts)) {
        malformed({ ...members, facts: { [name]: "x".repeat(257) } });
        const { text } = makeStatement({ ...FRAME, ...said, facts: { [name]: "known" } }, NONCE);
        assert.equal(text.filter((line) => line.endsWith(': "known"')).length, 1);
      }
    });
  });

describe("a statement of presence", () => {
  const made = passStatement();
  const members = parseJsonObject(made.bytes);

  it("has a case above for every action", () => {
    assert.deepEqual(cases.map(({ said }) => said.action).toSorted(), ACTION_NAMES.toSorted());
    assert.deepEqual(Object.keys(ACTIONS).toSorted(), ACTION_NAMES.toSorted());
  });

  it("needs each member, and no other", () => {
    const wrong: Readonly<Record<string, readonly JsonValue[]>> = {
      v: [0, 2, "1"],
      action: ["", "person.Pass", "toString", "__proto__", 1],
      realm: ["", "Enterprise", "x".repeat(33), 1],
      subject: ["x", null, []],
      renderer: ["x", null, {}, { id: "x" }, { id: "", sha256: DIGEST }],
      nonce: ["", "A".repeat(21), "A".repeat(23), `${"A".repeat(21)}B`, 1],
      issuedAt: [-1, 2 ** 40 + 1, "1", NOW + 300],
      expiresAt: [NOW, NOW + 86_401, "1"],
      rpId: ["", "Login.test", "login.test.", "https://login.test", "x".repeat(254), 1],
      origin: [
        "",
        "http://login.test",
        "https://login.test/",
        "https://Login.test",
        "null",
        1,
        "https://a@login.test",
        "https://login.test:0",
        "http://localhost.evil.test",
      ],
    };
    assert.deepEqual(Object.keys(wrong).toSorted(), Object.keys(members).toSorted());
    for (const [name, values] of Object.entries(wrong)) {
      for (const value of values) malformed({ ...members, [name]: value });
      const { [name]: left, ...rest } = members;
      assert.notEqual(left, undefined);
      malformed(rest);
    }
    malformed({ ...members, more: 1 });
    const { renderer } = made.statement;
    malformed({ ...members, renderer: { ...renderer, more: 1 } });
  });

  it("lives one second at least, and a day at most", () => {
    for (const seconds of [1, 86_400])
      assert.equal(passStatement({ expiresAt: NOW + seconds }).statement.expiresAt, NOW + seconds);
    for (const seconds of [0, 86_401])
      assert.throws(() => passStatement({ expiresAt: NOW + seconds }), {
        code: "ERR_PRESENCE_STATEMENT",
      });
  });

  it("may come from a loopback name without TLS", () => {
    const change = { rpId: "localhost", origin: "http://localhost:8443" };
    assert.equal(passStatement(change).statement.origin, "http://localhost:8443");
  });

  it("is its canonical bytes and no others", () => {
    const spaced = Buffer.from(made.bytes.toString("utf8").replace("{", "{ "));
    const repeated = Buffer.from(made.bytes.toString("utf8").replace("{", '{"v":1,'));
    for (const bytes of [
      spaced,
      repeated,
      Buffer.alloc(0),
      Buffer.from("[]"),
      made.bytes.subarray(1),
    ])
      assert.throws(() => openStatement(bytes), { code: "ERR_PRESENCE_STATEMENT" });
    assert.throws(() => openStatement(Buffer.alloc(MAX_STATEMENT_BYTES + 1, 0x20)), {
      code: "ERR_PRESENCE_STATEMENT",
    });
  });

  it("THREAT-20: holds what was shown: another text, or another renderer's, is refused", () => {
    const { renderer } = made.statement;
    for (const change of [{ sha256: DIGEST }, { id: "person.pass/2" }, { id: "person.recovery/1" }])
      assert.throws(
        () => openStatement(canonicalBytes({ ...members, renderer: { ...renderer, ...change } })),
        { code: "ERR_PRESENCE_TEXT" },
      );
    const subject = { ...PASS.subject, userName: "ben@example.test" };
    assert.throws(() => openStatement(canonicalBytes({ ...members, subject })), {
      code: "ERR_PRESENCE_TEXT",
    });
  });

  it("is what the challenge is over, under a name of its own (docs/spec/presence.md §2)", () => {
    const wanted = createHash("sha256").update("redoubt/presence/v1\n").update(made.bytes).digest();
    assert.deepEqual(made.challenge, wanted);
    // Crockford's base 32 of the first forty bits, by another way.
    const bits = [...wanted.subarray(0, 5)]
      .map((byte) => byte.toString(2).padStart(8, "0"))
      .join("");
    const code = bits.replaceAll(/.{5}/g, (five) =>
      "0123456789ABCDEFGHJKMNPQRSTVWXYZ".charAt(Number.parseInt(five, 2)),
    );
    assert.equal(made.code, code);
    assert.notDeepEqual(
      makeStatement({ ...FRAME, ...PASS }, Buffer.alloc(16, 8)).challenge,
      wanted,
    );
  });

  it("THREAT-26: throws nothing but its own error", () => {
    const cut = fc.tuple(fc.nat(made.bytes.length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), cut), (input) => {
        const bytes = Buffer.from(made.bytes);
        if (input instanceof Uint8Array) return isOwn(input);
        const [at, byte] = input;
        const isSame = bytes.readUInt8(at) === byte;
        bytes.writeUInt8(byte, at);
        return isSame || isOwn(bytes) || !openStatement(bytes).challenge.equals(made.challenge);
      }),
      { numRuns: 300 },
    );
  });
});

function isOwn(bytes: Uint8Array): boolean {
  try {
    openStatement(bytes);
    return false;
  } catch (error) {
    return error instanceof PresenceError;
  }
}
