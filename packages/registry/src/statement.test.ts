import assert from "node:assert/strict";
import { generateKeyPairSync, hash } from "node:crypto";
import { describe, it } from "node:test";
import { canonicalBytes } from "@redoubt/base";
import { encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import fc from "fast-check";
import { KeyError } from "@redoubt/keys";
import { reporterPublicKey } from "./reporter-key.ts";
import { coseKey } from "./testing/cose-key.ts";
import { MAX_STATEMENT_BYTES, parseStatement } from "./statement-parser.ts";
import type { StatementBody } from "./statement-types.ts";
import { registryEntry, signStatement, verifyStatementAuthor } from "./statement.ts";
import { NamedKey, TENANT_A, TENANT_B } from "./testing/registry-fixture.ts";

const author = new NamedKey("redoubt.test/operator");
const digest = encodeBase64url(Buffer.alloc(32, 1));
const publicKey = reporterPublicKey(digest);
const COSE_KEY = coseKey();
const vkey = new NamedKey("redoubt.test/log").vkey;
const cosigner = encodeVerifierKey({
  name: "redoubt.test/witness",
  type: SIGNATURE_TYPE.cosignature,
  publicKey: generateKeyPairSync("ed25519").publicKey,
});
const ecdsa = encodeVerifierKey({
  name: "redoubt.test/ecdsa",
  type: SIGNATURE_TYPE.ecdsa,
  publicKey: generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey,
});

interface Case {
  readonly body: StatementBody;
  /** For each member, values that must be refused in its place. */
  readonly wrong: Readonly<Record<string, readonly JsonValue[]>>;
}

const realmNames = ["", "A", "1a", "a_b", "a".repeat(33), 1];
const tenants = [TENANT_A.toUpperCase(), "x", "", `${TENANT_A}0`, 1];
const verifierKeys = ["", "x", `${vkey}x`, cosigner, ecdsa, 1];
const lists = [["a", "a"], [""], [1], "a", {}, ["\u0007"]];
const digests = [digest.slice(1), `${digest}A`, `${digest.slice(0, -1)}F`, "", 1];

const cases: readonly Case[] = [
  {
    body: {
      type: "realm",
      realm: "consumer",
      issuer: "https://id.test",
      ring: vkey,
      tenantRule: { fixed: TENANT_A },
    },
    wrong: {
      realm: realmNames,
      issuer: ["", "x".repeat(513), 1],
      ring: verifierKeys,
      tenantRule: [
        {},
        { fixed: "x" },
        { fixed: TENANT_A, except: [] },
        { other: [] },
        { fixed: [TENANT_A] },
        [],
      ],
    },
  },
  {
    body: { type: "body-read", realm: "enterprise", by: "jti", token: "a".repeat(24), reason: "t" },
    wrong: {
      realm: realmNames,
      by: ["", "kid", 1],
      token: ["", "a".repeat(15), "a".repeat(65), "a b".repeat(8), 1],
      reason: ["", "x".repeat(257), 1],
    },
  },
  {
    body: { type: "pinned-key", what: "ack", key: vkey, reason: "test" },
    wrong: {
      what: ["", "operator", 1],
      key: verifierKeys,
      before: verifierKeys,
      reason: ["", "x".repeat(257), 1],
    },
  },
  {
    body: {
      type: "realm",
      realm: "enterprise",
      issuer: "https://id.test",
      ring: vkey,
      tenantRule: { except: [TENANT_A, TENANT_B] },
    },
    wrong: {
      tenantRule: [
        { except: [TENANT_A, TENANT_A] },
        { except: [TENANT_A.toUpperCase()] },
        { except: TENANT_A },
        { except: Array.from({ length: 17 }, (_, i) => `${TENANT_A.slice(0, -2)}${10 + i}`) },
      ],
    },
  },
  {
    body: {
      type: "writer",
      realm: "consumer",
      log: "redoubt.test/log",
      writer: vkey,
      logKey: vkey,
    },
    wrong: {
      realm: realmNames,
      log: ["", "x".repeat(257), 1],
      writer: verifierKeys,
      logKey: verifierKeys,
    },
  },
  {
    body: {
      type: "broker",
      log: "redoubt.test/broker",
      writer: vkey,
      logKey: vkey,
      realms: ["consumer", "enterprise"],
    },
    wrong: {
      log: ["", "x".repeat(257), 1],
      writer: verifierKeys,
      logKey: verifierKeys,
      realms: ["consumer", [], ["consumer", "consumer"], [1], [""]],
    },
  },
  {
    body: {
      type: "tenant",
      realm: "consumer",
      tenant: TENANT_A,
      status: "suspended",
      audiences: ["a", "b"],
    },
    wrong: {
      realm: realmNames,
      tenant: tenants,
      status: ["disabled", "", 1],
      audiences: [...lists, Array.from({ length: 257 }, String), ["x".repeat(513)]],
    },
  },
  {
    body: {
      type: "client",
      realm: "consumer",
      tenant: TENANT_A,
      client: "app-1",
      status: "active",
      audiences: [],
      scopes: ["read", "a:b/c"],
    },
    wrong: {
      realm: realmNames,
      tenant: tenants,
      client: ["", "a b", "ä", "x".repeat(129), 1],
      status: ["suspended", 1],
      audiences: [...lists, Array.from({ length: 65 }, String)],
      scopes: [...lists, ["a b"], ['"'], ["\\"], ["ä"], Array.from({ length: 65 }, String)],
    },
  },
  {
    body: { type: "reporter", reporter: "api_1.x", publicKey, status: "disabled" },
    wrong: {
      reporter: ["", "a b", "a:b", "x".repeat(65), 1],
      // A point of small order, one that is no point, and one that is not in its one encoding.
      publicKey: ["00", "02", "ff"]
        .map((byte): JsonValue => encodeBase64url(Buffer.from(byte.repeat(32), "hex")))
        .concat(publicKey.slice(1), `${publicKey}A`, "", 1),
      status: ["x", 1],
    },
  },
  {
    body: {
      type: "enrolment",
      realm: "enterprise",
      person: digest,
      credential: "AQID",
      publicKey: COSE_KEY,
      class: "attested",
      rpId: "login.test",
      status: "active",
    },
    wrong: {
      realm: realmNames,
      person: digests,
      credential: ["", "A", "AB", "a=", "A".repeat(1365), 1],
      // Bytes behind the key, one less, another curve, and base64url with spare bits.
      publicKey: [
        `${COSE_KEY}AA`,
        COSE_KEY.slice(4),
        COSE_KEY.replace("pQECAyYgASFY", "pQECAyYgAiFY"),
        "",
        "AB",
        1,
      ],
      class: ["", "Attested", 1],
      rpId: ["", "Login.test", "https://login.test", "x".repeat(254), 1],
      status: ["", "disabled", 1],
      aaguid: ["", TENANT_A.toUpperCase(), "00", 1],
    },
  },
  {
    body: {
      type: "key-retain",
      realm: "consumer",
      kid: digest,
      by: "operator",
      retain: true,
      reason: "a client that caches for a week",
    },
    wrong: {
      realm: realmNames,
      kid: digests,
      by: ["", "issuer", 1],
      retain: ["true", 1, null],
      reason: ["", "x".repeat(257), 1],
    },
  },
  {
    body: {
      type: "key",
      realm: "consumer",
      kid: digest,
      record: "e30",
      ring: encodeBase64url(Buffer.alloc(64)),
    },
    wrong: {
      realm: realmNames,
      kid: digests,
      record: ["", "a b", "a=", "A".repeat(96 * 1024 + 1), 1],
      ring: [digest, "", 1],
    },
  },
  {
    body: {
      type: "key-state",
      realm: "consumer",
      kid: digest,
      state: "verify-only",
      reason: "age",
    },
    wrong: {
      realm: realmNames,
      kid: digests,
      state: ["Active", "", "gone", 1],
      reason: ["", "x".repeat(257), 1],
    },
  },
  {
    body: { type: "root", kind: "production", version: 3, hash: digest, root: "e30" },
    wrong: {
      kind: ["", "Demo", 1],
      version: [0, 2 ** 31, "1"],
      hash: digests,
      root: ["", "a b", "a=", "e31", "A".repeat(43_692), 1],
    },
  },
];

const common: Readonly<Record<string, readonly JsonValue[]>> = {
  v: [0, 2, "1", null],
  at: [-1, 2 ** 40 + 1, "1", null],
  nonce: ["", "A".repeat(21), "A".repeat(23), `${"A".repeat(21)}B`, "+".repeat(22), 1],
  type: ["", "keys", "Key", 1, null],
};

function malformed(value: JsonObject): void {
  assert.throws(
    () => parseStatement(canonicalBytes(value)),
    { name: "KeyError", code: "ERR_STATEMENT_MALFORMED" },
    JSON.stringify(value).slice(0, 300),
  );
}

for (const { body, wrong } of cases)
  describe(`a ${body.type} statement`, () => {
    const signed = signStatement(body, author, 1_764_000_000);
    const members = parseJsonObject(signed.statement);

    it("says what its author wrote, when, and something unguessable", () => {
      const { nonce, ...rest } = parseStatement(signed.statement);
      assert.deepEqual(rest, { ...body, at: 1_764_000_000 });
      assert.match(nonce, /^[\w-]{22}$/);
      const again = parseStatement(signStatement(body, author, 1_764_000_000).statement);
      assert.notEqual(again.nonce, nonce);
      verifyStatementAuthor(signed.statement, signed.envelope, author.verifier);
    });

    it("is refused without any of its members, and with a further one", () => {
      for (const name of Object.keys(members)) {
        const { [name]: _, ...rest } = members;
        malformed(rest);
        malformed({ ...members, [name]: null });
      }
      malformed({ ...members, extra: 1 });
    });

    it("is refused with a wrong value in any member", () => {
      for (const [name, values] of Object.entries({ ...common, ...wrong }))
        for (const value of values) malformed({ ...members, [name]: value });
    });

    it("has one encoding", () => {
      const text = signed.statement.toString();
      for (const other of [
        `${text} `,
        ` ${text}`,
        text.replace(":", ": "),
        JSON.stringify(Object.fromEntries(Object.entries(members).toReversed())),
      ])
        assert.throws(() => parseStatement(Buffer.from(other)), {
          code: "ERR_STATEMENT_MALFORMED",
        });
    });
  });

describe("statements", () => {
  const [first] = cases;
  assert.ok(first);
  const { statement, envelope, entry } = signStatement(first.body, author, 5);

  it("are 65 bytes in public: a tag and two digests (docs/spec/logs.md §4)", () => {
    const digests65 = [statement, envelope].map((bytes) => hash("sha256", bytes, "buffer"));
    assert.deepEqual(entry, Buffer.concat([Buffer.of(2), ...digests65]));
    assert.deepEqual(registryEntry(statement, envelope), entry);
  });

  it("THREAT-35: tell nothing of who they are about", () => {
    for (const hidden of [TENANT_A, "consumer", author.name])
      assert.equal(entry.includes(hidden), false);
  });

  it("count only with the signature of their author over exactly these bytes", () => {
    const refused = { name: "KeyError", code: "ERR_STATEMENT_AUTHOR" };
    const other = new NamedKey(author.name);
    assert.throws(() => verifyStatementAuthor(statement, envelope, other.verifier), refused);
    const renamed = author.renamed("redoubt.test/other").verifier;
    assert.throws(() => verifyStatementAuthor(statement, envelope, renamed), refused);
    const cosigning = { ...author.verifier, type: SIGNATURE_TYPE.cosignature };
    assert.throws(() => verifyStatementAuthor(statement, envelope, cosigning), refused);
    for (let at = 0; at < statement.length; at += 1) {
      const bytes = Buffer.from(statement);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      assert.throws(() => verifyStatementAuthor(bytes, envelope, author.verifier), refused);
    }
  });

  it("have an envelope of one form", () => {
    const members = parseJsonObject(envelope);
    const bad: readonly Buffer[] = [
      canonicalBytes({ ...members, extra: 1 }),
      canonicalBytes({ author: author.name }),
      canonicalBytes({ ...members, author: 1 }),
      canonicalBytes({ ...members, sig: "AAAA" }),
      Buffer.from(`${envelope.toString()} `),
      Buffer.from("[]"),
      Buffer.alloc(2000, 0x20),
      Buffer.alloc(0),
    ];
    for (const bytes of bad)
      assert.throws(() => verifyStatementAuthor(statement, bytes, author.verifier), {
        code: "ERR_STATEMENT_MALFORMED",
      });
  });

  it("are not signed by a key of another algorithm, nor when nobody could read them", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const tenant = { type: "tenant", tenant: TENANT_A, status: "active", audiences: [] } as const;
    const bad = { ...tenant, realm: "Not a realm" };
    const good = { ...tenant, realm: "consumer" };
    assert.throws(() => signStatement(first.body, { name: "x", privateKey }, 5), {
      code: "ERR_KEY_ALG",
    });
    assert.throws(() => signStatement(bad, author, 5), { code: "ERR_STATEMENT_MALFORMED" });
    assert.throws(() => signStatement(good, author, -1), { code: "ERR_STATEMENT_MALFORMED" });
  });

  it("are refused over the limit, and never with a stray error", () => {
    assert.throws(() => parseStatement(Buffer.alloc(MAX_STATEMENT_BYTES + 1, 0x20)), {
      code: "ERR_STATEMENT_MALFORMED",
    });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json().map((t) => Buffer.from(t)),
          fc.uint8Array({ maxLength: 80 }),
        ),
        (b) => {
          assert.throws(
            () => parseStatement(b),
            (error) => error instanceof KeyError,
          );
        },
      ),
    );
  });
});
