import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { canonicalBytes } from "@redoubt/base";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  isJsonObject,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "@redoubt/verify/json";
import { MAX_SKEW_SECONDS } from "./accept-approval.ts";
import { openEnvelope, sealEnvelope, unverifiedEnvelope, type OpenOptions } from "./envelope.ts";
import { PresenceError } from "./presence-error.ts";
import { makeStatement } from "./statement.ts";
import {
  CEREMONY,
  enrolmentsOf,
  FRAME,
  NONCE,
  NOW,
  PASS,
  passStatement,
  SERVICE,
  TestPerson,
} from "./testing/ceremony-fixture.ts";

const anna = new TestPerson("anna");
const ben = new TestPerson("ben");
const statement = passStatement();
const assertions = [anna.approve(statement), ben.approve(statement)];
const at = NOW + 20;
const good = sealEnvelope({ statement, assertions, at, service: SERVICE });
const options: OpenOptions = {
  enrolments: enrolmentsOf(anna, ben),
  ceremony: CEREMONY,
  services: [SERVICE],
};

function refused(bytes: Uint8Array, code: string, change: Partial<OpenOptions> = {}): void {
  assert.throws(() => openEnvelope(bytes, { ...options, ...change }), {
    name: "PresenceError",
    code,
  });
}

function payloadOf(bytes: Uint8Array): JsonObject {
  return parseJsonObject(Buffer.from(textOf(parseJsonObject(bytes)["payload"]), "base64"));
}

/** What somebody makes who holds the service's key, by DSSE's own words. */
function forged(payload: Uint8Array, change: JsonObject = {}): Buffer {
  const type = "application/vnd.in-toto+json";
  const signed = Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `),
    payload,
  ]);
  const sig = sign(null, signed, SERVICE.privateKey).toString("base64");
  return canonicalBytes({
    payloadType: type,
    payload: Buffer.from(payload).toString("base64"),
    signatures: [{ keyid: SERVICE.keyId, sig }],
    ...change,
  });
}

function textOf(value: JsonValue | undefined): string {
  assert.ok(typeof value === "string");
  return value;
}

function objectOf(value: JsonValue | undefined): JsonObject {
  assert.ok(isJsonObject(value));
  return value;
}

describe("an envelope", () => {
  const payload = payloadOf(good);
  const predicate = objectOf(payload["predicate"]);

  it("is opened by whoever has the enrolments, without asking anybody", () => {
    const opened = openEnvelope(good, options);
    assert.deepEqual(opened.statement, statement);
    assert.deepEqual(
      opened.approvers.map(({ person }) => person),
      [anna.person, ben.person],
    );
    assert.deepEqual([opened.at, opened.keyId], [at, SERVICE.keyId]);
    assert.deepEqual(unverifiedEnvelope(good), { statement, assertions, at, keyId: SERVICE.keyId });
  });

  it("is a DSSE envelope with an in-toto Statement over the statement's bytes", () => {
    assert.deepEqual(forged(canonicalBytes(payload)), good);
    assert.equal(payload["_type"], "https://in-toto.io/Statement/v1");
    assert.equal(predicate["statement"], encodeBase64url(statement.bytes));
  });

  it("THREAT-20: of a stolen service key is worth nothing: no other statement has these assertions", () => {
    const subject = { ...PASS.subject, userName: "mallory@example.test" };
    const other = makeStatement({ ...FRAME, ...PASS, subject }, NONCE);
    refused(
      sealEnvelope({ statement: other, assertions, at, service: SERVICE }),
      "ERR_PRESENCE_ASSERTION",
    );
  });

  it("is signed by a service that is known, whose word on the time counts", () => {
    const stranger = generateKeyPairSync("ed25519");
    refused(good, "ERR_PRESENCE_SIGNATURE", { services: [] });
    for (const change of [
      { publicKey: stranger.publicKey },
      { keyId: "redoubt.test/other" },
      { publicKey: generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey },
    ])
      refused(good, "ERR_PRESENCE_SIGNATURE", { services: [{ ...SERVICE, ...change }] });
    const later = canonicalBytes({ ...payload, predicate: { ...predicate, at: at + 1 } });
    const { signatures } = parseJsonObject(good);
    refused(forged(later, { signatures: signatures ?? null }), "ERR_PRESENCE_SIGNATURE");
    openEnvelope(forged(later), options);
  });

  it("was acted on within the statement's life, and not later than now", () => {
    for (const [time, isTaken] of [
      [NOW - MAX_SKEW_SECONDS, true],
      [NOW - MAX_SKEW_SECONDS - 1, false],
      [NOW + 299, true],
      [NOW + 300, false],
    ] as const) {
      const bytes = sealEnvelope({ statement, assertions, at: time, service: SERVICE });
      if (isTaken) openEnvelope(bytes, options);
      else refused(bytes, "ERR_PRESENCE_TIME");
    }
    openEnvelope(good, { ...options, now: at - MAX_SKEW_SECONDS });
    refused(good, "ERR_PRESENCE_TIME", { now: at - MAX_SKEW_SECONDS - 1 });
  });

  it("counts by what was enrolled then, whatever was removed since", () => {
    const [first, second] = [anna, ben].map(({ enrolment }) => enrolment);
    assert.ok(first && second);
    const withRemoval = (removedAt: number): Partial<OpenOptions> => ({
      enrolments: new Map(
        [{ ...first, removedAt }, second].map((one) => [`enterprise/${one.credential}`, one]),
      ),
    });
    openEnvelope(good, { ...options, ...withRemoval(at + 1) });
    refused(good, "ERR_PRESENCE_ENROLMENT", withRemoval(at));
    refused(good, "ERR_PRESENCE_ENROLMENT", { enrolments: enrolmentsOf(anna) });
  });

  it("is of the place where statements are shown", () => {
    refused(good, "ERR_PRESENCE_ACTION", { ceremony: { ...CEREMONY, rpId: "other.test" } });
    refused(good, "ERR_PRESENCE_ACTION", {
      ceremony: { ...CEREMONY, origins: ["https://login.test"] },
    });
  });

  it("THREAT-20: counts persons once", () => {
    const again = [anna.approve(statement), anna.approve(statement)];
    const bytes = sealEnvelope({ statement, assertions: again, at, service: SERVICE });
    refused(bytes, "ERR_PRESENCE_APPROVERS");
    refused(
      sealEnvelope({ statement, assertions: [], at, service: SERVICE }),
      "ERR_PRESENCE_APPROVERS",
    );
  });

  it("has one spelling, and each member in it", () => {
    const outer = parseJsonObject(good);
    const [assertion] = [predicate["assertions"]].flat();
    const subject = { name: "presence-statement", digest: { sha256: "0".repeat(64) } };
    const signature = { keyid: SERVICE.keyId, sig: "AA==" };
    const payloads: readonly JsonObject[] = [
      { ...payload, _type: "https://in-toto.io/Statement/v0.1" },
      { ...payload, predicateType: "urn:redoubt:other" },
      { ...payload, subject: [] },
      { ...payload, subject: [subject] },
      { ...payload, more: 1 },
      ...[
        { at: -1 },
        { more: 1 },
        { statement: "AA=" },
        { assertions: Array.from({ length: 9 }, () => assertion ?? null) },
        { assertions: [{ ...objectOf(assertion), more: 1 }] },
        { assertions: [{ ...objectOf(assertion), signature: "A".repeat(684) }] },
        { assertions: [{ ...objectOf(assertion), authenticatorData: "A".repeat(51) }] },
        { assertions: [{ ...objectOf(assertion), credentialId: "" }] },
      ].map((change) => ({ ...payload, predicate: { ...predicate, ...change } })),
    ];
    for (const one of payloads) refused(forged(canonicalBytes(one)), "ERR_PRESENCE_ENVELOPE");
    refused(forged(Buffer.from(JSON.stringify(payload, undefined, 1))), "ERR_PRESENCE_ENVELOPE");
    const outers: readonly JsonObject[] = [
      { payloadType: "application/json" },
      { payload: `${textOf(outer["payload"]).slice(0, -1)}*` },
      { payload: "" },
      { signatures: [] },
      { signatures: [signature] },
      {
        signatures: [...[outer["signatures"] ?? []].flat(), ...[outer["signatures"] ?? []].flat()],
      },
      { more: 1 },
    ];
    for (const change of outers)
      refused(canonicalBytes({ ...outer, ...change }), "ERR_PRESENCE_ENVELOPE");
    refused(Buffer.concat([good, Buffer.from("\n")]), "ERR_PRESENCE_ENVELOPE");
    refused(Buffer.alloc(131_073, 0x20), "ERR_PRESENCE_ENVELOPE");
    const predicateOf = (bytes: Uint8Array): JsonObject => ({
      ...payload,
      predicate: { ...predicate, statement: encodeBase64url(bytes) },
    });
    refused(forged(canonicalBytes(predicateOf(Buffer.from("{}")))), "ERR_PRESENCE_STATEMENT");
  });

  it("takes an Ed25519 key, and nothing that could not be opened", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const service = { ...SERVICE, privateKey };
    assert.throws(() => sealEnvelope({ statement, assertions, at, service }), TypeError);
    assert.throws(() => sealEnvelope({ statement, assertions, at: -1, service: SERVICE }), {
      code: "ERR_PRESENCE_ENVELOPE",
    });
  });

  it("THREAT-26: throws nothing but its own error, and takes no changed byte", () => {
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (place, bits) => {
        const bytes = Buffer.from(good);
        bytes.writeUInt8(bytes.readUInt8(place) ^ bits, place);
        assert.throws(() => openEnvelope(bytes, options), PresenceError);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        assert.throws(() => openEnvelope(bytes, options), PresenceError);
      }),
    );
  });
});
