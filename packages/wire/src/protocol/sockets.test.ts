import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "@redoubt/verify/json";
import { ISSUER } from "./issuer.ts";
import { PEOPLE_SAMPLES } from "../testing/people-samples.ts";
import type { Operation } from "./operation.ts";
import { PRESENCE } from "./presence.ts";
import { ISSUE_REFUSAL, SIGNER } from "./signer.ts";

const TENANT = "11111111-1111-4111-8111-111111111111";
const KID = "k".repeat(43);
const REASON = "because";

interface Sample {
  readonly asked: Operation<unknown, unknown>;
  readonly request: JsonObject;
  readonly answer: JsonObject;
  /** Each in place of the same member of a good one. */
  readonly badRequests?: readonly JsonObject[];
  readonly badAnswers?: readonly JsonObject[];
}

const HANDLE = { realm: "enterprise", tenant: TENANT, class: "at" };
const TOKEN = {
  token: "a.b.c",
  kid: KID,
  jti: "j",
  expiresIn: 60,
  log: "redoubt.test/log",
  index: 7,
};
const REALM_KEY = {
  kid: KID,
  state: "active",
  stateAt: 1,
  index: 1,
  jwk: { kty: "EC" },
  record: "r",
  ring: "s",
};
const RING_KEY = {
  kid: KID,
  state: "active",
  stateAt: 1,
  signUntil: 2,
  verifyUntil: 3,
  retained: "ring",
  held: true,
  activatedAt: 1,
  age: {
    seconds: 1,
    percent: 1,
    level: "young",
    endsAt: 9,
  },
};
const POLICY = {
  activeSeconds: 1,
  expirySeconds: 1,
  prepublishSeconds: 1,
  verifyOnlySeconds: 1,
  standby: 1,
  alarmAtPercent: 80,
  notifySeconds: null,
  labels: [],
  notes: ["n"],
};
const TAKEOVER = { kid: KID, before: null, presence: "none" };
const CEREMONY = "c".repeat(22);
const ASSERTION = {
  credentialId: "c",
  clientDataJSON: "A".repeat(2731),
  authenticatorData: "A".repeat(50),
  signature: "A".repeat(683),
};
const BAD_REASONS = [{ reason: "" }, { reason: "x".repeat(161) }, { reason: "a\nb" }];
const BAD_KIDS = [{ kid: "short" }, { kid: `${KID}k` }, { kid: `${KID.slice(1)}.` }];

const copies = (length: number) => Array.from({ length }, () => ({ ...ASSERTION }));

const SAMPLES: readonly Sample[] = [
  {
    asked: SIGNER.issue,
    request: {
      handle: HANDLE,
      client: "app",
      sub: "u",
      audience: "api",
      scope: "a b",
      ttl: 1,
      context: { why: "x".repeat(2038) },
    },
    answer: TOKEN,
    badRequests: [
      { handle: { ...HANDLE, kid: "k" } },
      { scope: "a  b" },
      { ttl: 0 },
      { context: { why: "x".repeat(2039) } },
      { context: { part: 0.5 } },
      { context: [] },
    ],
    badAnswers: [
      { token: "a.b" },
      { token: "a.b.c d" },
      { token: `a.b.${"c".repeat(16_381)}` },
      { expiresIn: "60" },
      { kid: "k" },
    ],
  },
  {
    asked: SIGNER.issueBatch,
    request: { items: [1, null, { any: "thing" }] },
    answer: { results: [TOKEN, { code: "ERR_SIGNER_TTL" }] },
    badRequests: [{ items: [] }, { items: Array(257).fill(0) }, { items: {} }],
    badAnswers: [{ results: null }, { results: Array(257).fill(0) }],
  },
  {
    asked: SIGNER.signExact,
    request: { payload: "p".repeat(16_384) },
    answer: { header: "h", signature: "s" },
    badRequests: [
      { payload: "" },
      { payload: "p".repeat(16_385) },
      { payload: ["p"] },
      { kid: KID },
    ],
    badAnswers: [{ header: "h.p" }, { signature: "" }, { signature: "s\n" }],
  },
  {
    asked: SIGNER.signExactFor,
    request: { handle: HANDLE, client: "app", header: "h", payload: "p".repeat(16_384) },
    answer: TOKEN,
    badRequests: [
      { handle: { ...HANDLE, kid: "k" } },
      { header: "" },
      { header: "h.p" },
      { payload: "p".repeat(16_385) },
      { payload: "p=" },
      { kid: KID },
    ],
    badAnswers: [{ token: "a.b" }, { kid: "k" }],
  },
  {
    asked: SIGNER.openBody,
    request: { log: "l", by: "digest", token: KID, entry: "A".repeat(87), position: 0xffff },
    answer: { position: 0, body: { sub: "u" } },
    badRequests: [
      { by: "kid" },
      { token: "" },
      { token: "a b" },
      { entry: "AA" },
      { position: -1 },
      { position: 0x1_0000 },
    ],
    badAnswers: [{ body: [] }, { position: "0" }],
  },
  {
    asked: SIGNER.fetchKeys,
    request: { since: 1 },
    answer: { asOf: 1, asOfSeconds: 0, keys: [REALM_KEY], refreshHintSeconds: 300 },
    badRequests: [{ since: -1 }],
    badAnswers: [{ keys: 1 }, { keys: [1] }, { keys: [{ kid: KID }] }],
  },
  {
    asked: SIGNER.metadata,
    request: {},
    answer: {
      realm: "enterprise",
      instance: "i",
      log: "l",
      maxTtlSeconds: 1,
      custody: "pkcs11",
      isolation: "none",
      ready: true,
      problem: null,
      size: 0,
      registrySize: 3,
      issuerStatements: 2,
      pending: 0,
      cosigned: {
        size: 1,
        timeSeconds: 2,
      },
      labels: ["roots: demo"],
    },
    badAnswers: [{ ready: "true" }, { problem: "" }, { cosigned: {} }],
  },
  {
    asked: SIGNER.drillKey,
    request: {
      publicKey: {},
      tenant: TENANT,
      issuer: "https://i.test",
      signFrom: 1,
      signUntil: 2,
      verifyUntil: 3,
    },
    answer: { kid: KID, record: "r", ring: "s" },
    badRequests: [{ publicKey: "k" }, { signFrom: -1 }, { verifyUntil: 2 ** 40 + 1 }],
  },
  {
    asked: SIGNER.rotate,
    request: { class: "at", reason: REASON, early: true },
    answer: TAKEOVER,
    badRequests: [{ class: "id" }, { early: 1 }, ...BAD_REASONS],
    badAnswers: [{ before: 1 }, ...BAD_KIDS],
  },
  {
    asked: SIGNER.taint,
    request: { kid: KID, reason: "r".repeat(160), early: true },
    answer: { kid: KID, state: "revoked", active: KID, presence: "none" },
    badRequests: [...BAD_KIDS, ...BAD_REASONS],
    badAnswers: [{ state: "active" }],
  },
  {
    asked: SIGNER.retain,
    request: { kid: KID, retain: false, reason: REASON },
    answer: { kid: KID, retained: false, presence: "none" },
    badRequests: [{ retain: "true" }, ...BAD_REASONS],
  },
  {
    asked: SIGNER.rollback,
    request: { kid: KID, reason: REASON },
    answer: { ...TAKEOVER, before: KID },
    badRequests: BAD_REASONS,
  },
  {
    asked: SIGNER.rings,
    request: {},
    answer: {
      rings: [{ class: "oidc", alg: "RS256", active: null, policy: POLICY, keys: [RING_KEY] }],
    },
    badAnswers: [{ rings: [{}] }, { rings: [null] }],
  },
  {
    asked: ISSUER.credentials,
    request: { from: 1 },
    answer: { items: [{ index: 1, credentials: "e30" }], next: 2 },
    badRequests: [{ from: -1 }, { from: null }],
    badAnswers: [{ items: [{ index: 1 }] }, { next: -1 }],
  },
  {
    asked: ISSUER.backup,
    request: {},
    answer: { file: "backup.sqlite" },
    badAnswers: [{ file: "../backup.sqlite" }, { file: "store.sqlite" }],
  },
  {
    asked: ISSUER.status,
    request: {},
    answer: {
      realm: "enterprise",
      ready: false,
      reason: "ERR_X",
      registrySize: 7,
      labels: ["people: one passkey is enough"],
      tenants: 1,
      clients: 1,
      tokens: {
        issued: 1,
        refused: 1,
        underWay: 1,
      },
      deliveries: {
        waiting: 1,
        lost: 0,
        failing: false,
      },
      http: {
        requests: 1,
        inFlight: 1,
        unproven: 1,
        named: 1,
        evicted: 0,
      },
    },
    badAnswers: [{ tokens: {} }, { labels: "people" }, { labels: [""] }],
  },
  {
    asked: PRESENCE.open,
    request: {
      statement: "A".repeat(10_923),
      approvers: 8,
      credentials: ["a".repeat(1364), "b-_"],
    },
    answer: { id: CEREMONY, url: `http://localhost:7405/${CEREMONY}`, code: "0Z9AHJMN" },
    badRequests: [
      { statement: "A".repeat(10_924) },
      { statement: "A=" },
      { approvers: 0 },
      { approvers: 9 },
      { credentials: [] },
      { credentials: Array(33).fill("a") },
      { credentials: ["a".repeat(1365)] },
      { credentials: ["a/b"] },
    ],
    badAnswers: [
      { id: `${CEREMONY}c` },
      { id: CEREMONY.slice(1) },
      { url: "" },
      { code: "0Z9AHJM" },
      { code: "0Z9AHJMI" },
    ],
  },
  {
    asked: PRESENCE.collect,
    request: { id: CEREMONY, waitMs: 20_000 },
    answer: { state: "collected", assertions: copies(8) },
    badRequests: [{ id: "c" }, { waitMs: -1 }, { waitMs: 20_001 }, { waitMs: 0.5 }],
    badAnswers: [
      { state: "approved" },
      { assertions: copies(9) },
      { assertions: [{ ...ASSERTION, credentialId: "" }] },
      { assertions: [{ ...ASSERTION, clientDataJSON: "A".repeat(2732) }] },
      { assertions: [{ ...ASSERTION, authenticatorData: "A".repeat(48) }] },
      { assertions: [{ ...ASSERTION, signature: "A".repeat(684) }] },
      { assertions: [{ ...ASSERTION, userHandle: "AA" }] },
    ],
  },
  {
    asked: PRESENCE.close,
    request: { id: CEREMONY },
    answer: {},
    badRequests: [{ id: "../../../../etc/passwd" }],
  },
  ...PEOPLE_SAMPLES,
];

describe("the sockets of signer, issuer and ceremony page", () => {
  for (const { asked, request, answer, badRequests = [], badAnswers = [] } of SAMPLES) {
    it(`${asked.op}: what is written is read, in both directions`, () => {
      assert.deepEqual(asked.request.write(asked.request.read(request)), request);
      assert.deepEqual(asked.answer.write(asked.answer.read(answer)), answer);
    });

    it(`${asked.op}: each single change is refused`, () => {
      const refused = { code: "ERR_REQUEST_MEMBER" };
      for (const bad of [{ more: 1 }, ...badRequests])
        assert.throws(() => asked.request.read({ ...request, ...bad }), refused);
      for (const bad of [{ more: 1 }, ...badAnswers])
        assert.throws(() => asked.answer.read({ ...answer, ...bad }), refused);
    });
  }

  it("every operation has a sample", () => {
    const all = [SIGNER, ISSUER, PRESENCE]
      .flatMap((socket) => Object.values(socket))
      .map(({ op }) => op);
    assert.deepEqual(new Set(SAMPLES.map(({ asked }) => asked.op)), new Set(all));
  });

  it("a refusal among the results of a batch", () => {
    const refusal = {
      code: "ERR_KEY_BUSY",
      message: "Custody did not sign",
      retryAfterSeconds: 7,
      committed: true,
      unsigned: "e30.e30",
    };
    assert.deepEqual(ISSUE_REFUSAL.write(ISSUE_REFUSAL.read(refusal)), refusal);
    for (const bad of [{ code: "" }, { message: "m".repeat(201) }, { committed: 1 }])
      assert.throws(() => ISSUE_REFUSAL.read({ ...refusal, ...bad }), {
        code: "ERR_REQUEST_MEMBER",
      });
  });
});
