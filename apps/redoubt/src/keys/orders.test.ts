import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorCode, errorLine, ServiceError } from "@redoubt/base";
import type { KeyInfo, StatementBody } from "@redoubt/registry";
import type { JsonObject } from "@redoubt/verify/json";
import { RemoteError, WireError } from "@redoubt/wire";
import { checkRealm } from "../operator.ts";
import { TestRegistry } from "../testing/registry.ts";
import { classOf, retain, rollBack, rotate, taint } from "./orders.ts";

const OTHER = "o".repeat(43);
const presence = "none";
const reason = "because";

function aKey(): KeyInfo {
  const fixed = new TestRegistry();
  const key = fixed.registry.keys.get(fixed.key({}, 5000));
  assert.ok(key);
  return key;
}

/** A signer that answers this; what it was asked, and what the operator stated. */
function answering(answer: JsonObject | Error) {
  const asked: unknown[] = [];
  const stated: StatementBody[] = [];
  const operator = {
    realms: ["consumer", "enterprise"],
    client: (service: string) => ({
      request: async (head: object) => {
        asked.push({ service, ...head });
        if (answer instanceof Error) throw answer;
        return { head: answer, attachment: Buffer.alloc(0) };
      },
    }),
    state: async (body: StatementBody) => stated.push(body),
  };
  return { operator, asked, stated };
}

function ringOf(name: "at" | "oidc") {
  const times = { activeSeconds: 1, expirySeconds: 1, prepublishSeconds: 1, verifyOnlySeconds: 1 };
  const rest = { standby: 1, alarmAtPercent: 90, notifySeconds: null, labels: [], notes: [] };
  return { class: name, alg: "ES256", active: null, policy: { ...times, ...rest }, keys: [] };
}

function wish(on: boolean, by: "ring" | "operator") {
  return { retain: on, by, reason };
}

describe("orders to a signer", () => {
  it("go to the signer of the key's realm, as docs/spec/wire.md has them", async () => {
    const key = aKey();
    const { kid } = key;
    const service = "signer-enterprise";
    const takeover = answering({ kid: OTHER, before: kid, presence });
    assert.deepEqual(
      await rotate(takeover.operator, "enterprise", { tokenClass: "at", reason, early: false }),
      {
        realm: "enterprise",
        kid: OTHER,
        before: kid,
        presence,
      },
    );
    await rollBack(takeover.operator, key, reason);
    assert.deepEqual(takeover.asked, [
      { service, op: "rotate", class: "at", reason },
      { service, op: "rollback", kid, reason },
    ]);
    const tainting = answering({ kid, state: "revoked", active: null, presence });
    const { state, active } = await taint(tainting.operator, key, { reason, early: false });
    assert.deepEqual([state, active], ["revoked", null]);
    await taint(tainting.operator, key, { reason, early: true });
    assert.deepEqual(tainting.asked, [
      { service, op: "taint", kid, reason },
      { service, op: "taint", kid, reason, early: true },
    ]);
  });

  it("a rotation takes the keys of access tokens where there are any, or says which there are", async () => {
    const cluster = answering({ rings: [ringOf("oidc")] });
    assert.equal(await classOf(cluster.operator, "consumer"), "oidc");
    assert.equal(await classOf(cluster.operator, "consumer", "oidc"), "oidc");
    const both = answering({ rings: [ringOf("at"), ringOf("oidc")] });
    assert.equal(await classOf(both.operator, "consumer", "at"), "at");
    assert.equal(await classOf(both.operator, "consumer", "oidc"), "oidc");
    assert.equal(await classOf(both.operator, "consumer"), "at");
    await assert.rejects(classOf(cluster.operator, "consumer", "at"), {
      code: "ERR_OPTION",
      message: /class oidc: name one/,
    });
  });

  it("an answer in another form is a coded error", async () => {
    const key = aKey();
    for (const answer of [
      {},
      { kid: "short", before: null, presence },
      { kid: OTHER, before: 1, presence },
      { kid: OTHER, before: null },
      { kid: OTHER, before: null, presence, more: 1 },
    ])
      await assert.rejects(rollBack(answering(answer).operator, key, reason), {
        code: "ERR_REQUEST_MEMBER",
      });
    const wrong = { kid: OTHER, state: "active", active: null, presence };
    await assert.rejects(taint(answering(wrong).operator, key, { reason, early: false }), {
      code: "ERR_REQUEST_MEMBER",
    });
  });

  it("a refusal keeps its code and says what to do", async () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ["ERR_SIGNER_NO_STANDBY", /try again in 5 h.*keys taint.*--early/],
      ["ERR_SIGNER_KEY_WINDOW", /keys rotate/],
      ["ERR_SIGNER_KEY", /keys show/],
      ["ERR_SIGNER_CLOCK", /status; taint and retain work/],
      ["ERR_SIGNER_UNWITNESSED", /status; taint and retain work/],
      ["ERR_LEDGER_SIZE", /ask again/],
      ["ERR_SIGNER_STARTING", /ask again/],
      ["ERR_SOMETHING_ELSE", /^refused$/],
    ];
    for (const [code, pattern] of cases) {
      const remote = new RemoteError(code, "refused", { retryAfterSeconds: 18_000 });
      const error: unknown = await rollBack(answering(remote).operator, aKey(), reason).catch(
        (caught: unknown) => caught,
      );
      assert.equal(errorCode(error), code);
      assert.match(errorLine(error), pattern);
    }
  });

  it("no answer is not said to be a refusal: it may be done", async () => {
    const lost = new WireError("ERR_WIRE_TIMEOUT", "No answer");
    await assert.rejects(taint(answering(lost).operator, aKey(), { reason, early: false }), {
      code: "ERR_WIRE_TIMEOUT",
      message: /may have done it all the same/,
    });
  });

  it("a key of a realm that is not here has no signer to ask", async () => {
    const { operator, asked } = answering({});
    assert.doesNotThrow(() => checkRealm(operator, "consumer"));
    assert.throws(
      () => checkRealm(operator, "galaxy"),
      (error) => error instanceof ServiceError && error.code === "ERR_OPTION",
    );
    const far = { ...aKey(), realm: "galaxy" };
    for (const refused of [
      rollBack(operator, far, reason),
      taint(operator, far, { reason, early: false }),
      retain(operator, far, { retain: true, by: "operator", reason }),
    ])
      await assert.rejects(refused, { code: "ERR_OPTION" });
    assert.deepEqual(asked, []);
  });
});

describe("retain", () => {
  it("is the signer's to say, unless the operator's key is asked for", async () => {
    const key = aKey();
    const { kid } = key;
    const ring = answering({ kid, retained: true, presence });
    assert.deepEqual(await retain(ring.operator, key, wish(true, "ring")), {
      realm: "enterprise",
      kid,
      retained: true,
      presence,
      written: "by-signer",
    });
    assert.deepEqual([ring.asked.length, ring.stated.length], [1, 0]);
    const own = answering(new Error("not asked"));
    const done = await retain(own.operator, key, wish(true, "operator"));
    assert.deepEqual([done.retained, done.written], [true, "by-operator"]);
    const body = { type: "key-retain", realm: "enterprise", kid, by: "operator", retain: true };
    assert.deepEqual(own.stated, [{ ...body, reason }]);
  });

  it("THREAT-11: what the operator retains is released by the operator's statement, never by the ring", async () => {
    const key: KeyInfo = { ...aKey(), retainedBy: "operator" };
    const { operator, asked, stated } = answering(new Error("not asked"));
    assert.equal((await retain(operator, key, wish(false, "ring"))).retained, false);
    assert.deepEqual(asked, []);
    assert.deepEqual(
      stated.map((body) => body.type === "key-retain" && [body.by, body.retain]),
      [["operator", false]],
    );
  });

  it("says nothing again that is so already", async () => {
    const { operator, stated } = answering(new Error("not asked"));
    await retain(operator, { ...aKey(), retainedBy: "operator" }, wish(true, "operator"));
    await retain(operator, aKey(), wish(false, "operator"));
    assert.deepEqual(stated, []);
    const { kid } = aKey();
    const ring = answering({ kid, retained: true, presence });
    const again = await retain(
      ring.operator,
      { ...aKey(), retainedBy: "ring" },
      wish(true, "ring"),
    );
    assert.equal(again.written, "nothing");
    // The ring's word becomes the operator's.
    await retain(operator, { ...aKey(), retainedBy: "ring" }, wish(true, "operator"));
    assert.equal(stated.length, 1);
  });
});
