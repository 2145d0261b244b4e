import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "@redoubt/verify/json";
import type { Call } from "../connection.ts";
import {
  anyObject,
  anything,
  bytes,
  flag,
  integer,
  mark,
  oneOf,
  text,
  textOrEmpty,
  type Member,
} from "./member.ts";
import { group, list, message, nullable, optional } from "./message.ts";
import { ask, askForBytes, operation, route, routesByName, routeWithBytes } from "./operation.ts";

const NOTHING = Buffer.alloc(0);

/** For each kind of member: values as they are written, and what is refused in their place. */
const KINDS: Record<
  string,
  { member: Member<unknown>; good: readonly JsonObject[string][]; bad: readonly unknown[] }
> = {
  text: { member: text(3, /^[a-z]+$/), good: ["a", "abc"], bad: ["", "abcd", "A", 1, null] },
  textOrEmpty: { member: textOrEmpty(2), good: ["", "ab"], bad: ["abc", 1] },
  oneOf: { member: oneOf("a", "b"), good: ["a", "b"], bad: ["c", "", 1] },
  integer: { member: integer(1, 5), good: [1, 5], bad: [0, 6, 1.5, "1", 2 ** 60] },
  flag: { member: flag, good: [true, false], bad: [1, "true", null] },
  mark: { member: mark, good: [true], bad: [1, null] },
  bytes: { member: bytes({ bytes: 2 }), good: ["AQI"], bad: ["AQ", "AQI=", "AQJ", 1, ""] },
  anyObject: { member: anyObject, good: [{ x: 1 }], bad: [[], null, "x"] },
  anything: { member: anything, good: [null, 1, "x", [{}]], bad: [] },
  optional: { member: optional(integer()), good: [7], bad: [null, "7", -1] },
  nullable: { member: nullable(integer()), good: [null, 7], bad: ["7"] },
  list: { member: list(integer(), 2, 1), good: [[1], [1, 2]], bad: [[], [1, 2, 3], {}, ["x"], 1] },
  group: {
    member: group({ x: integer(), y: optional(flag) }),
    good: [{ x: 1 }, { x: 1, y: true }],
    bad: [{}, { x: "1" }, { x: 1, z: 1 }, [], null],
  },
};

describe("members of a message", () => {
  for (const [kind, { member, good, bad }] of Object.entries(KINDS)) {
    const one = message("m", { member });
    it(`${kind}: what was written is read, and written again as it was`, () => {
      for (const value of good)
        assert.deepEqual(one.write(one.read({ member: value })), { member: value });
    });

    it(`${kind}: anything else is refused, and the error says where`, () => {
      for (const value of bad)
        assert.throws(() => one.read(JSON.parse(JSON.stringify({ member: value }))), {
          code: "ERR_REQUEST_MEMBER",
          message: /^m( member)?: /,
        });
    });

    it(`${kind}: ${"isOptional" in member ? "may" : "must not"} be absent`, () => {
      if ("isOptional" in member) assert.deepEqual(one.write(one.read({})), {});
      else assert.throws(() => one.read({}), { code: "ERR_REQUEST_MEMBER" });
    });
  }

  it("a mark that does not hold is not written, and reads as false where it is absent", () => {
    const one = message("m", { is: mark });
    assert.deepEqual([one.write({ is: false }), one.write({})], [{}, {}]);
    assert.deepEqual([one.read({}), one.read({ is: true })], [{ is: false }, { is: true }]);
  });
});

describe("a message", () => {
  const one = message("commit", { log: text(), items: list(group({ at: integer() }), 5) });

  it("refuses a member that is not defined, and shows its name short and harmless", () => {
    const name = `a${"\u001b".repeat(60)}`;
    assert.throws(() => one.read({ log: "l", items: [], [name]: 1 }), {
      code: "ERR_REQUEST_MEMBER",
      message: `commit: unknown member a${"?".repeat(39)}...`,
    });
  });

  it("refuses a member of a group with the path to it", () => {
    assert.throws(() => one.read({ log: "l", items: [{ at: 1 }, { at: -1 }] }), {
      message: /^commit items: at must be /,
    });
  });

  it("reads no member that is only inherited", () => {
    const proto = message("m", { constructor: text() });
    assert.throws(() => proto.read({}), { code: "ERR_REQUEST_MEMBER" });
  });

  it("writes nothing but what is defined", () => {
    const extra = { log: "l", items: [], secret: "s" };
    assert.deepEqual(one.write(extra), { log: "l", items: [] });
  });
});

describe("an operation", () => {
  const add = operation("add", { a: integer(), b: integer() }, { sum: integer() });
  const fetch = operation("fetch", {}, { size: integer() });
  const routes = routesByName([
    route(add, ({ a, b }, { caller }) => ({ sum: a + b + caller.length })),
    routeWithBytes(fetch, () => ({ answer: { size: 2 }, attachment: Buffer.of(1, 2) })),
  ]);

  /** A service behind a socket that is not there. */
  const service = {
    request: async (head: object, attachment: Uint8Array = NOTHING) => {
      const { op, ...rest } = JSON.parse(JSON.stringify(head));
      const call: Call = { caller: "me", op, head: rest, attachment: Buffer.from(attachment) };
      const answer = await routes.get(op)?.handle(call);
      return {
        head: JSON.parse(JSON.stringify(answer?.head ?? {})),
        attachment: Buffer.from(answer?.attachment ?? NOTHING),
      };
    },
  };

  it("is asked and answered by one definition", async () => {
    assert.deepEqual(await ask(service, add, { a: 1, b: 2 }), { sum: 5 });
    assert.deepEqual(await askForBytes(service, fetch, {}), {
      answer: { size: 2 },
      attachment: Buffer.of(1, 2),
    });
  });

  it("refuses a request and an answer that are not what it says", async () => {
    const { head } = (await routes.get("add")?.handle({
      caller: "me",
      op: "add",
      head: { a: 1, b: 2 },
      attachment: NOTHING,
    })) ?? { head: {} };
    assert.deepEqual(head, { sum: 5 });
    await assert.rejects(
      async () =>
        routes.get("add")?.handle({ caller: "me", op: "add", head: { a: 1 }, attachment: NOTHING }),
      { code: "ERR_REQUEST_MEMBER", message: "add: b must be an integer of 0 to 9007199254740991" },
    );
    const liar = { request: async () => ({ head: { sum: "5" }, attachment: NOTHING }) };
    await assert.rejects(ask(liar, add, { a: 1, b: 2 }), {
      code: "ERR_REQUEST_MEMBER",
      message: /^add answer: sum /,
    });
  });
});
