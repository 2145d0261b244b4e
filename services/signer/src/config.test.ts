import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ServiceError } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { parseConfig } from "./config.ts";
import { Deployment, RING, TIMES } from "./testing/deployment.ts";

function messageOf(json: JsonObject | Uint8Array): string {
  try {
    parseConfig(json);
  } catch (error) {
    if (error instanceof ServiceError && error.code === "ERR_CONFIG") return error.message;
    throw error;
  }
  return "accepted";
}

const rotate = (timeAfterCreate: string): JsonObject => ({
  lifetimeActions: [{ trigger: { timeAfterCreate }, action: { type: "Rotate" } }],
});
const { rotation: _policy, ...FIXED } = RING;
const DECIDED = {
  ...FIXED,
  ...TIMES,
  standby: 1,
  alarmAtPercent: 80,
  notifySeconds: null,
  labels: [],
  notes: [],
};
const withRing = (change: object): JsonObject => ({ rings: [{ ...RING, ...change }] });

const WRONG: readonly (readonly [JsonObject, RegExp])[] = [
  [{ v: 2 }, /: v must/],
  [{ realm: "Enterprise" }, /realm must/],
  [{ instance: "a b" }, /instance must/],
  [{ log: "a b" }, /log must/],
  [{ callers: [] }, /callers must be some/],
  [{ callers: ["issuer", "issuer"] }, /distinct/],
  [{ callers: ["issuer", "monitor"] }, /callers must be some/],
  [{ registry: "x" }, /registry must/],
  [{ operator: "x" }, /[Vv]erifier key/],
  [{ maxUnwitnessedSeconds: 901 }, /maxUnwitnessedSeconds must/],
  [{ maxUnwitnessedSeconds: 59 }, /maxUnwitnessedSeconds must/],
  [{ rings: [] }, /one ring at least/],
  [{ rings: [RING, RING] }, /differ in class/],
  [{ rings: ["x"] }, /rings\[0\] must be an object/],
  [withRing({ class: "id" }), /class must/],
  [withRing({ alg: "HS256" }), /alg must/],
  [withRing({ maxLifetimeSeconds: 3601 }), /maxLifetimeSeconds must/],
  [withRing({ rotation: "P7D" }), /rotation must be an object/],
  [withRing({ rotation: { more: 1 } }), /rings\[0\]: Rotation policy: policy: unknown member more/],
  [
    withRing({ rotation: rotate("P15D") }),
    /Rotate after P15D: keys of many must rotate within P14D/,
  ],
  [withRing({ prepublishSeconds: 7200 }), /unknown member prepublishSeconds/],
  [withRing({ unsafe: true }), /unknown member unsafe/],
  [{ budget: { perSecond: 0, burst: 1 } }, /perSecond must/],
  [{ budget: { perSecond: 1, burst: 1, x: 1 } }, /unknown member x/],
  [{ labels: [1] }, /labels must/],
  [{ unsafeSkipLog: true }, /unknown member unsafeSkipLog/],
];

describe("config", () => {
  it("reads what it is meant to, with everything named", async () => {
    await using deployment = new Deployment();
    const config = parseConfig(Buffer.from(JSON.stringify(deployment.config)));
    assert.deepEqual(
      [config.realm, config.callers, config.maxUnwitnessedSeconds, config.rings],
      ["enterprise", ["issuer", "drill", "operator"], 900, [DECIDED]],
    );
  });

  it("each value that is wrong is refused and named", async () => {
    await using deployment = new Deployment();
    assert.equal(messageOf(deployment.config), "accepted");
    for (const [change, message] of WRONG)
      assert.match(messageOf({ ...deployment.config, ...change }), message);
    const edge = withRing({ rotation: rotate("P11D") });
    assert.equal(messageOf({ ...deployment.config, ...edge }), "accepted");
  });

  it("each member that is missing is refused and named", async () => {
    await using deployment = new Deployment();
    for (const name of Object.keys(deployment.config)) {
      const { [name]: _, ...rest } = deployment.config;
      assert.match(messageOf(rest), new RegExp(name));
    }
  });

  it("a key of the wrong kind, or of another log, is refused", async () => {
    await using deployment = new Deployment();
    const { operator = "", witness = "", registry = {} } = deployment.config;
    const { config } = deployment;
    assert.match(messageOf({ ...config, witness: operator }), /witness must be a verifier key/);
    assert.match(messageOf({ ...config, operator: witness }), /operator must be a verifier key/);
    const other = { ...Object(registry), vkey: operator };
    assert.match(messageOf({ ...config, registry: other }), /registry vkey must be named/);
    const log = deployment.ledger.registry.origin;
    assert.match(messageOf({ ...config, log }), /must not be the registry/);
  });

  it("all problems are said at once", async () => {
    await using deployment = new Deployment();
    const wrong = {
      ...deployment.config,
      realm: "X",
      maxUnwitnessedSeconds: 0,
      operator: "x",
      rings: [
        { ...RING, alg: "none" },
        { ...RING, rotation: rotate("PT1S") },
      ],
      budget: { perSecond: 0, burst: 0 },
      more: 1,
    };
    const message = messageOf(wrong);
    for (const name of [
      "realm",
      "maxUnwitnessed",
      "erifier key",
      "alg",
      "Rotate must come P7D after",
      "perSecond",
      "burst",
      "more",
    ])
      assert.match(message, new RegExp(name));
  });

  it("never throws anything but its own error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.notEqual(messageOf(bytes), "accepted");
      }),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        assert.notEqual(messageOf(Buffer.from(JSON.stringify(value))), "accepted");
      }),
    );
  });
});
