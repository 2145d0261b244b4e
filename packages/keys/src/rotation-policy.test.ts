import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import { KeyError } from "./errors.ts";
import { defaultRotationPolicy, parseRotationPolicy } from "./rotation-policy.ts";

const DAY = 86_400;
const HOUR = 3600;
const MANY = { tenants: "many", maxLifetimeSeconds: 3600 } as const;
const ONE = { tenants: "one", maxLifetimeSeconds: 3600 } as const;

type Subject = typeof MANY | typeof ONE;

function problemsOf(json: JsonObject | Uint8Array, subject: Subject = MANY): string {
  try {
    parseRotationPolicy(json, subject);
  } catch (error) {
    if (error instanceof KeyError && error.code === "ERR_ROTATION_POLICY") return error.message;
    throw error;
  }
  return "accepted";
}

const rotateAfter = (timeAfterCreate: string): JsonValue => ({
  trigger: { timeAfterCreate },
  action: { type: "Rotate" },
});
const before = (type: string, timeBeforeExpiry: string): JsonValue => ({
  trigger: { timeBeforeExpiry },
  action: { type },
});
const short = (redoubt: JsonObject): JsonObject => ({
  redoubt: { shortDurations: true, ...redoubt },
});

const rotatingAfter = (time: string): JsonObject => ({
  lifetimeActions: [rotateAfter(time)],
  redoubt: { alarmAtPercent: 95 },
});
const leadOf = (redoubt: JsonObject): number =>
  parseRotationPolicy({ redoubt }, MANY).prepublishSeconds;
const keepingFor = (verifyOnly: string): string => problemsOf({ redoubt: { verifyOnly } });

describe("rotation policies as Azure Key Vault returns them", () => {
  it("are read as they stand: nulls, id and the times of their making", () => {
    const answer = {
      id: "https://vault.example/keys/k/rotationpolicy",
      lifetimeActions: [
        {
          trigger: { timeAfterCreate: "P10D", timeBeforeExpiry: null },
          action: { type: "Rotate" },
        },
        { trigger: { timeBeforeExpiry: "P30D" }, action: { type: "Notify" } },
      ],
      attributes: { expiryTime: "P2Y", created: 1_482_188_947, updated: 1_482_188_948 },
    };
    const policy = parseRotationPolicy(Buffer.from(JSON.stringify(answer)), MANY);
    assert.deepEqual(policy, {
      activeSeconds: 10 * DAY,
      expirySeconds: 14 * DAY,
      prepublishSeconds: 6 * HOUR,
      verifyOnlySeconds: 2 * HOUR,
      standby: 1,
      alarmAtPercent: 80,
      // 30 days before the end of a life of 14 is no time: with the alarm.
      notifySeconds: Math.floor(0.8 * 14 * DAY),
      labels: [],
      notes: [
        "expiryTime P730D: signing ends after P14D (NIST IR 8587)",
        "Notify P30D before expiry: told at 80 % of the age",
      ],
    });
  });

  it("count from the end of a life too, and name actions in any case", () => {
    const policy = parseRotationPolicy(
      {
        lifetimeActions: [before("rotate", "P30D"), before("NOTIFY", "P10D")],
        attributes: { expiryTime: "P60D" },
      },
      ONE,
    );
    assert.deepEqual(
      [policy.activeSeconds, policy.expirySeconds, policy.notifySeconds],
      [30 * DAY, 60 * DAY, 50 * DAY],
    );
  });

  it("without actions are the default: 7 days for many tenants, 30 for one", () => {
    for (const empty of [{}, { lifetimeActions: [] }, { lifetimeActions: null }]) {
      const policy = parseRotationPolicy(empty, MANY);
      assert.deepEqual([policy.activeSeconds, policy.expirySeconds], [7 * DAY, 14 * DAY]);
    }
    const { activeSeconds, expirySeconds, notifySeconds } = defaultRotationPolicy(ONE);
    assert.deepEqual([activeSeconds, expirySeconds, notifySeconds], [30 * DAY, 60 * DAY, null]);
  });

  it("P6: that only notify rotate all the same, and say so", () => {
    const policy = parseRotationPolicy({ lifetimeActions: [before("Notify", "P30D")] }, MANY);
    assert.equal(policy.activeSeconds, 7 * DAY);
    assert.match(policy.notes.join("; "), /No Rotate: rotates after P7D/);
  });

  for (const [what, json, problem] of [
    ["expiry below 28 days", { attributes: { expiryTime: "P27D" } }, /expiryTime must be P28D/],
    [
      "rotation below 7 days",
      { lifetimeActions: [rotateAfter("P6D")] },
      /Rotate must come P7D after/,
    ],
    [
      "rotation in the last 7 days",
      { lifetimeActions: [before("Rotate", "P6D")], attributes: { expiryTime: "P28D" } },
      /Rotate must come P7D before expiryTime/,
    ],
    [
      "an end without a length",
      { lifetimeActions: [before("Rotate", "P8D")] },
      /timeBeforeExpiry needs attributes.expiryTime/,
    ],
    [
      "Notify after creation",
      { lifetimeActions: [{ trigger: { timeAfterCreate: "P8D" }, action: { type: "Notify" } }] },
      /timeAfterCreate is for Rotate only/,
    ],
    [
      "Notify longer than the life",
      { lifetimeActions: [before("Notify", "P28D")], attributes: { expiryTime: "P28D" } },
      /Notify: timeBeforeExpiry must be less/,
    ],
    [
      "two rotations",
      { lifetimeActions: [rotateAfter("P8D"), rotateAfter("P9D")] },
      /Rotate stands twice/,
    ],
    [
      "three actions",
      { lifetimeActions: [rotateAfter("P8D"), before("Notify", "P8D"), before("Notify", "P9D")] },
      /one Rotate and one Notify at most/,
    ],
    [
      "both triggers",
      {
        lifetimeActions: [
          {
            trigger: { timeAfterCreate: "P8D", timeBeforeExpiry: "P8D" },
            action: { type: "Rotate" },
          },
        ],
        attributes: { expiryTime: "P28D" },
      },
      /must hold one of timeAfterCreate and timeBeforeExpiry/,
    ],
    [
      "no trigger",
      { lifetimeActions: [{ trigger: {}, action: { type: "Rotate" } }] },
      /must hold one of/,
    ],
    [
      "another action",
      { lifetimeActions: [before("Delete", "P8D")] },
      /action.type must be Rotate or Notify/,
    ],
    [
      "no action",
      { lifetimeActions: [{ trigger: { timeAfterCreate: "P8D" } }] },
      /action must be an object/,
    ],
    ["no list", { lifetimeActions: {} }, /lifetimeActions must be/],
    [
      "a wrong duration",
      { attributes: { expiryTime: "2 years" } },
      /attributes.expiryTime: expected an ISO/,
    ],
    [
      "a number for a duration",
      { attributes: { expiryTime: 28 } },
      /attributes.expiryTime: expected an ISO/,
    ],
    ["a wrong id", { id: 1 }, /policy.id must be a string/],
    [
      "a wrong time",
      { attributes: { created: "today" } },
      /attributes.created: expected an integer/,
    ],
  ] as const satisfies readonly (readonly [string, JsonObject, RegExp])[])
    it(`${what}: refused`, () => assert.match(problemsOf(json), problem));

  it("are taken at the very floors", () => {
    const floors = {
      lifetimeActions: [rotateAfter("P7D"), before("Notify", "P27D")],
      attributes: { expiryTime: "P28D" },
    };
    assert.equal(problemsOf(floors), "accepted");
    const end = { lifetimeActions: [before("Rotate", "P7D")], attributes: { expiryTime: "P40D" } };
    assert.equal(
      problemsOf(end, ONE),
      "Rotation policy: Rotate after P33D must come before the age alarm at P32D of P40D",
    );
    assert.equal(problemsOf({ ...end, redoubt: { alarmAtPercent: 85 } }, ONE), "accepted");
  });
});

describe("NIST IR 8587", () => {
  it("bounds rotation: 14 days for many tenants, 90 for one", () => {
    assert.match(
      problemsOf(rotatingAfter("P14DT1S")),
      /must rotate within P14D \(NIST IR 8587; redoubt.unsafe/,
    );
    assert.equal(problemsOf(rotatingAfter("P13D")), "accepted");
    assert.match(problemsOf(rotatingAfter("P91D"), ONE), /must rotate within P90D/);
    assert.equal(problemsOf(rotatingAfter("P85D"), ONE), "accepted");
  });

  it("is exceeded only by a word that says so, and that is shown", () => {
    const json = {
      lifetimeActions: [rotateAfter("P18M")],
      attributes: { expiryTime: "P2Y" },
      redoubt: { unsafeLongLived: true },
    };
    const policy = parseRotationPolicy(json, MANY);
    assert.deepEqual([policy.activeSeconds, policy.expirySeconds], [540 * DAY, 730 * DAY]);
    assert.deepEqual(policy.labels, ["unsafe: keys sign for up to P730D (NIST IR 8587: P14D)"]);
    const harmless = parseRotationPolicy({ redoubt: { unsafeLongLived: true } }, MANY);
    assert.deepEqual(harmless.labels, []);
  });

  it("also ends the signing of a key whose expiry is longer", () => {
    const json = { attributes: { expiryTime: "P1Y" } };
    assert.equal(parseRotationPolicy(json, MANY).expirySeconds, 14 * DAY);
    assert.equal(parseRotationPolicy(json, ONE).expirySeconds, 90 * DAY);
  });
});

describe("the extension", () => {
  it("names shorter durations aloud", () => {
    const json = {
      lifetimeActions: [rotateAfter("PT6H")],
      attributes: { expiryTime: "P1D" },
      ...short({ metadataCache: "PT1H" }),
    };
    const policy = parseRotationPolicy(json, MANY);
    assert.deepEqual(
      [policy.activeSeconds, policy.expirySeconds, policy.prepublishSeconds],
      [6 * HOUR, DAY, 2 * HOUR],
    );
    assert.match(
      problemsOf({ ...json, redoubt: {} }),
      /expiryTime must be P28D.*Rotate must come P7D after/,
    );
  });

  it("publishes for twice the longest cache, two hours at least", () => {
    assert.equal(leadOf({}), 6 * HOUR);
    assert.equal(leadOf({ metadataCache: "PT30M" }), 2 * HOUR);
    assert.equal(leadOf({ metadataCache: "P1D" }), 2 * DAY);
    assert.equal(leadOf({ prepublish: "P1D" }), DAY);
    assert.match(problemsOf({ redoubt: { prepublish: "PT5H59M59S" } }), /prepublish must be PT6H/);
    assert.equal(problemsOf({ redoubt: { prepublish: "PT6H" } }), "accepted");
    assert.match(
      problemsOf({ redoubt: { prepublish: "PT1H59M59S", metadataCache: "PT1M" } }),
      /prepublish must be PT2H/,
    );
  });

  it("keeps a key published until its last token has ended", () => {
    assert.match(keepingFor("PT1H59S"), /verifyOnly must be PT1H1M at least/);
    assert.equal(keepingFor("PT1H1M"), "accepted");
  });

  for (const [what, json, problem] of [
    [
      "a standby that is never ready in time",
      { redoubt: { prepublish: "P7D" } },
      /never be ready in time/,
    ],
    [
      "a rotation with the alarm",
      { lifetimeActions: [rotateAfter("P12D")] },
      /Rotate after P12D must come before the age alarm at P11DT4H48M of P14D/,
    ],
    [
      "less than an hour",
      { lifetimeActions: [rotateAfter("PT59M")], ...short({}) },
      /Rotate after PT59M: must be PT1H at least/,
    ],
    ["no standby", { redoubt: { standby: 0 } }, /standby: expected an integer of 1 to 3/],
    [
      "an alarm too late",
      { redoubt: { alarmAtPercent: 96 } },
      /alarmAtPercent: expected an integer/,
    ],
    [
      "a word for yes",
      { redoubt: { shortDurations: "yes" } },
      /shortDurations: expected true or false/,
    ],
    ["something unknown", { redoubt: { retain: true } }, /redoubt: unknown member retain/],
  ] as const satisfies readonly (readonly [string, JsonObject, RegExp])[])
    it(`${what}: refused`, () => assert.match(problemsOf(json), problem));
});

describe("bad rotation policies", () => {
  it("every problem is named at once", () => {
    const message = problemsOf({
      lifetimeActions: [
        { trigger: { timeAfterCreate: "soon", x: 1 }, action: { type: "Burn", y: 1 }, z: 1 },
      ],
      attributes: { expiryTime: "P1D", exportable: true },
      redoubt: { standby: 9, prepublish: "PT1H", verifyOnly: "PT1M" },
      more: 1,
      most: 2,
    });
    for (const part of [
      /member x/,
      /member y/,
      /member z/,
      /timeAfterCreate: expected/,
      /Rotate or Notify/,
      /expiryTime must be P28D/,
      /member exportable/,
      /standby: expected/,
      /prepublish must/,
      /verifyOnly must/,
      /member more/,
      /member most/,
    ])
      assert.match(message, part);
  });

  it("a flood of members gives a bounded message without what a terminal would act on", () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`\u001b[2J${i}`, 1]));
    const message = problemsOf(many);
    assert.ok(message.length < 4000, `${message.length}`);
    assert.match(message, /and 4976 more$/);
    assert.equal(message.includes("\u001b"), false);
  });

  it("what is no strict JSON object is refused with the same code", () => {
    for (const text of ["", "[]", "{", '{"id":"a","id":"a"}', `{"id":"${"a".repeat(20_000)}"}`])
      assert.match(problemsOf(Buffer.from(text)), /not a strict JSON object/);
  });

  it("never throws anything but its own error, and what it accepts never contradicts itself", () => {
    const duration = fc.constantFrom(
      "P7D",
      "P10D",
      "P30D",
      "PT2H",
      "P2Y",
      "P1M",
      "PT30M",
      "x",
      null,
    );
    const trigger = fc.record(
      { timeAfterCreate: duration, timeBeforeExpiry: duration },
      { requiredKeys: [] },
    );
    const action = fc.record({
      trigger,
      action: fc.record({ type: fc.constantFrom("Rotate", "notify", "x") }),
    });
    const extension = fc.record(
      {
        shortDurations: fc.boolean(),
        unsafeLongLived: fc.boolean(),
        metadataCache: duration,
        prepublish: duration,
        verifyOnly: duration,
        standby: fc.integer({ min: 0, max: 4 }),
        alarmAtPercent: fc.integer({ min: 40, max: 100 }),
      },
      { requiredKeys: [] },
    );
    const document = fc.record(
      {
        lifetimeActions: fc.array(action, { maxLength: 3 }),
        attributes: fc.record({ expiryTime: duration }, { requiredKeys: [] }),
        redoubt: extension,
      },
      { requiredKeys: [] },
    );
    let accepted = 0;
    const anything = fc.dictionary(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(fc.oneof({ weight: 9, arbitrary: document }, anything), (value) => {
        const bytes = Buffer.from(JSON.stringify(value));
        if (problemsOf(bytes) !== "accepted") return;
        const policy = parseRotationPolicy(bytes, MANY);
        const { prepublishSeconds, activeSeconds, expirySeconds, verifyOnlySeconds } = policy;
        assert.ok(prepublishSeconds >= 2 * HOUR && prepublishSeconds < activeSeconds);
        assert.ok(activeSeconds < (expirySeconds * policy.alarmAtPercent) / 100);
        assert.ok(verifyOnlySeconds >= 3660);
        assert.ok(expirySeconds <= 14 * DAY || policy.labels.length === 1);
        accepted += 1;
      }),
      { numRuns: 2000 },
    );
    assert.ok(accepted > 20, `${accepted}`);
  });
});
