import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { canonicalBytes } from "@redoubt/base";
import { generateKeyPair, KeyError, publicJwk, SIGNATURE_ALGORITHMS } from "@redoubt/keys";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import {
  encodeCredentials,
  MAX_CREDENTIALS_BYTES,
  parseClientJwk,
  parseCredentials,
  type ClientCredentials,
} from "./client-credentials.ts";
import { signStatement } from "./statement.ts";
import { NOW, RegistryFixture, TENANT_A } from "./testing/registry-fixture.ts";

const HASH = "A".repeat(43);
const CODE = { code: "ERR_CLIENT_CREDENTIALS" };

function jwkOf(alg: (typeof SIGNATURE_ALGORITHMS)[number], kid = "key-1"): JsonObject {
  return { ...publicJwk(generateKeyPair(alg).publicKey), kid, alg };
}

function shortRsa(): JsonObject {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
  return { ...publicKey.export({ format: "jwk" }), alg: "RS256", kid: "short" };
}

function full(): ClientCredentials {
  return {
    secrets: [
      { hash: HASH, added: NOW, until: NOW + 60 },
      { hash: `B${HASH.slice(1)}`, added: NOW },
    ],
    keys: SIGNATURE_ALGORITHMS.map((alg) => ({
      ...parseClientJwk(jwkOf(alg, `of ${alg}`)),
      added: NOW,
    })),
  };
}

describe("docs/spec/logs.md §4: client credentials", () => {
  it("come back as they were said, and two documents of the same credentials have different hashes", () => {
    const [one, two] = [full(), full()].map((credentials) => encodeCredentials(credentials));
    assert.ok(one && two);
    assert.deepEqual(parseCredentials(one.bytes), parseCredentials(Buffer.from(one.bytes)));
    const said = full();
    const { bytes, hash } = encodeCredentials(said);
    assert.deepEqual(parseCredentials(bytes), said);
    assert.notEqual(encodeCredentials(said).hash, hash);
    const unsafe = { ...said, unsafeTokenEndpointAudience: true } as const;
    assert.deepEqual(parseCredentials(encodeCredentials(unsafe).bytes), unsafe);
    assert.deepEqual(parseCredentials(encodeCredentials({ secrets: [], keys: [] }).bytes), {
      secrets: [],
      keys: [],
    });
  });

  it("refuse whatever is not exactly that", () => {
    const { bytes } = encodeCredentials(full());
    const good = parseJsonObject(bytes);
    const [secret] = full().secrets;
    const jwk = jwkOf("ES256");
    const changes: Readonly<Record<string, JsonObject>> = {
      version: { v: 2 },
      "short nonce": { nonce: "AAAA" },
      "unknown member": { more: 1 },
      "no list": { secrets: {} },
      "an option that is not taken": { unsafeTokenEndpointAudience: false },
      "an option that is a text": { unsafeTokenEndpointAudience: "true" },
      "a text": { secrets: ["secret"] },
      "hash of another size": { secrets: [{ ...secret, hash: "AAAA" }] },
      "a second spelling": { secrets: [{ ...secret, hash: `${HASH.slice(0, 42)}B` }] },
      "one secret twice": { secrets: [{ ...secret }, { ...secret, until: NOW }] },
      "no date": { secrets: [{ hash: HASH }] },
      "a text as date": { secrets: [{ hash: HASH, added: NOW, until: "tomorrow" }] },
      nine: {
        secrets: Array.from("ABCDEFGHI").map((first) => ({
          hash: `${first}${HASH.slice(1)}`,
          added: NOW,
        })),
      },
      "no key": { keys: [{ added: NOW }] },
      "one kid twice": {
        keys: [
          { jwk, added: NOW },
          { jwk: { ...jwkOf("Ed25519"), kid: jwk["kid"] ?? "" }, added: NOW },
        ],
      },
      "a private member": { keys: [{ jwk: { ...jwk, d: HASH }, added: NOW }] },
      "no algorithm": { keys: [{ jwk: { ...jwk, alg: "none" }, added: NOW }] },
      "another algorithm": { keys: [{ jwk: { ...jwk, alg: "RS256" }, added: NOW }] },
      "a point that is on no curve": { keys: [{ jwk: { ...jwk, y: jwk["x"] ?? "" }, added: NOW }] },
      "a certificate": { keys: [{ jwk: { ...jwk, x5c: [] }, added: NOW }] },
      "a shared key": {
        keys: [{ jwk: { kty: "oct", k: "AAAA", alg: "HS256", kid: "oct" }, added: NOW }],
      },
      "a short RSA key": { keys: [{ jwk: shortRsa(), added: NOW }] },
      "no name": { keys: [{ jwk: { ...jwk, kid: "" }, added: NOW }] },
      encryption: { keys: [{ jwk: { ...jwk, use: "enc" }, added: NOW }] },
    };
    parseCredentials(canonicalBytes({ ...good, keys: [{ jwk, added: NOW }] }));
    for (const [name, change] of Object.entries(changes)) {
      const changed = canonicalBytes({ ...good, ...change });
      assert.throws(() => parseCredentials(changed), CODE, name);
    }
    const spaced = Buffer.from(bytes.toString().replace("{", "{ "));
    const tooLong = Buffer.alloc(MAX_CREDENTIALS_BYTES + 1, " ");
    for (const bad of [spaced, tooLong, Buffer.from("[]"), Buffer.of(0xff)])
      assert.throws(() => parseCredentials(bad), CODE);
    for (let cut = 0; cut < bytes.length; cut += 7)
      assert.throws(() => parseCredentials(bytes.subarray(0, cut)), KeyError);
  });
});

describe("the fold of a client", () => {
  const said = full();
  const document = encodeCredentials(said);

  function signedClient(
    fixture: RegistryFixture,
    change: JsonObject = { credentialsHash: document.hash },
    at = NOW,
  ) {
    const body = {
      type: "client",
      realm: "enterprise",
      tenant: TENANT_A,
      client: "app-1",
      status: "active",
      audiences: [],
      scopes: [],
      ...change,
    } as const;
    return signStatement(body, fixture.operator, at);
  }

  it("has the credentials that the statement names, where the reader was given them", () => {
    const fixture = new RegistryFixture().withRealms();
    const { registry } = fixture;
    const known = () => registry.clients.get(`enterprise/${TENANT_A}/app-1`);
    fixture.must(fixture.append(signedClient(fixture)));
    assert.deepEqual([known()?.credentialsHash, known()?.credentials], [document.hash, undefined]);
    const index = registry.size;
    const signed = signedClient(fixture, { credentialsHash: document.hash }, NOW + 1);
    fixture.must(fixture.append({ ...signed, credentials: document.bytes }));
    assert.deepEqual([known()?.credentials, known()?.index], [said, index]);
    const without = signedClient(fixture, {}, NOW + 2);
    fixture.must(fixture.append(without));
    assert.deepEqual([known()?.credentialsHash, known()?.credentials], [undefined, undefined]);
  });

  it("takes no others, whoever hands them out", () => {
    const fixture = new RegistryFixture().withRealms();
    const [client, none] = [signedClient(fixture), signedClient(fixture, {})];
    const other = encodeCredentials(said).bytes;
    const body = { type: "tenant", realm: "enterprise", tenant: TENANT_A } as const;
    const tenant = { ...body, status: "active", audiences: [] } as const;
    const cases = [
      [client, other],
      [none, document.bytes],
      [signStatement(tenant, fixture.operator, NOW), document.bytes],
    ] as const;
    for (const [signed, credentials] of cases) {
      const result = fixture.append({ ...signed, credentials });
      assert.equal(result.kind === "void" && result.code, "ERR_CLIENT_CREDENTIALS");
    }
    assert.equal(fixture.registry.clients.size, 0);
    // The statement itself is as good as before: it was not what was wrong.
    fixture.must(fixture.append({ ...client, credentials: document.bytes }));
  });

  it("RFC 6749 §2.3.1: refuses ids that Basic would carry in two spellings", () => {
    const fixture = new RegistryFixture().withRealms();
    for (const client of ["a:b", "a b", "a%20b", "a+b", "a/b", "ä", "", "a".repeat(129)])
      assert.throws(() => signedClient(fixture, { client }), { code: "ERR_STATEMENT_MALFORMED" });
    for (const client of ["a", "A.b_c-9", "a".repeat(128)])
      assert.ok(signedClient(fixture, { client }));
    assert.ok(isJsonObject(parseJsonObject(signedClient(fixture).statement)));
  });
});
