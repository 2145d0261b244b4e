import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { format, inspect } from "node:util";
import { serialize } from "node:v8";
import { canonicalBytes } from "./canonical.ts";
import { EventLines } from "./events.ts";
import { Secret } from "./secret.ts";

const PLANTED = "planted-secret-value";

describe("THREAT-19: a secret", () => {
  const secret = new Secret(PLANTED);
  const shown: readonly (readonly [string, string])[] = [
    ["inspect", inspect(secret, { showHidden: true, depth: null, getters: true })],
    ["inspect without its hook", inspect({ secret }, { customInspect: false, showHidden: true })],
    ["format %s", format("%s", secret)],
    ["format %o", format("%o", { secret })],
    ["format %j", format("%j", { secret })],
    ["concatenation", [secret].join("")],
    ["JSON", JSON.stringify({ secret })],
    ["its members", JSON.stringify(Object.getOwnPropertyDescriptors(secret))],
    ["a copy", JSON.stringify(Object.assign({}, secret))],
    ["structured clone", serialize(structuredClone(secret)).toString("latin1")],
    ["an error's cause", inspect(new Error("failed", { cause: { secret } }))],
  ];
  for (const [how, text] of shown)
    it(`is not in ${how}`, () => assert.equal(text.includes(PLANTED), false));

  it("is not in a log line", () => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const clock = { now: () => 0, monotonic: () => 0 };
    using events = new EventLines({
      write,
      clock,
      service: "test",
      classes: { event: "operation" },
    });
    events.sink("event", { secret });
    assert.equal(lines.length, 1);
    assert.match(lines.join(""), /"secret":"\[redacted\]"/);
  });

  it("cannot be signed or encoded by accident", () => {
    assert.throws(() => Reflect.apply(canonicalBytes, undefined, [{ secret }]), RangeError);
  });

  it("is itself only when it is asked to reveal itself", () => {
    assert.equal(secret.reveal(), PLANTED);
  });

  it("equals itself and nothing else", () => {
    assert.equal(secret.equals(PLANTED), true);
    for (const other of ["", PLANTED.slice(1), `${PLANTED} `, PLANTED.toUpperCase()])
      assert.equal(secret.equals(other), false, other);
  });

  it("is 32 new random bytes when made", () => {
    const made = [Secret.random(), Secret.random()].map((one) => one.reveal());
    assert.notEqual(made[0], made[1]);
    for (const value of made) assert.match(value, /^[\w-]{43}$/);
  });
});
