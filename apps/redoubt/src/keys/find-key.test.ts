import assert from "node:assert/strict";
import { test } from "node:test";
import { TestRegistry } from "../testing/registry.ts";
import { findKey, MIN_PREFIX } from "./find-key.ts";

function fixture() {
  const fixed = new TestRegistry();
  const kids = [fixed.key({}, 5000), fixed.key({}, 5001)];
  return { keys: fixed.registry.keys, kids };
}

test("a key is found by its whole kid, and by any beginning of enough characters", () => {
  const { keys, kids } = fixture();
  for (const kid of kids)
    for (const length of [MIN_PREFIX, MIN_PREFIX + 1, 42, 43])
      assert.equal(findKey(keys, kid.slice(0, length)).kid, kid);
});

test("too little, too much, or what no kid is like, is refused before anything is compared", () => {
  const { keys, kids } = fixture();
  const [kid = ""] = kids;
  for (const named of [
    "",
    kid.slice(0, MIN_PREFIX - 1),
    `${kid}A`,
    "ABC DEF",
    "ABCDE\u0007F",
    "ABC/DEF",
  ])
    assert.throws(() => findKey(keys, named), {
      code: "ERR_OPTION",
      message: /first 6 characters/,
    });
});

test("a beginning of none is refused", () => {
  const { keys } = fixture();
  assert.throws(() => findKey(keys, "______"), {
    code: "ERR_OPTION",
    message: "No key begins with ______: see redoubt keys list --all",
  });
});

test("a beginning of several is refused with their names, whatever their states; a whole kid never is", () => {
  const { keys, kids } = fixture();
  const [key] = [...keys.values()];
  assert.ok(key);
  const twins = new Map(
    ["A", "B"].map((end) => {
      const kid = `twin-kid${end.repeat(35)}`;
      return [kid, { ...key, kid }] as const;
    }),
  );
  assert.throws(() => findKey(new Map([...keys, ...twins]), "twin-k"), {
    code: "ERR_OPTION",
    message: /twin-k begins several kids: twin-kidA{35} \(enterprise, generated\), twin-kidB{35}/,
  });
  assert.equal(findKey(twins, `twin-kid${"B".repeat(35)}`).kid, `twin-kid${"B".repeat(35)}`);
  const many = new Map(
    Array.from({ length: 12 }, (_, i) => {
      const kid = `twin-kid${String(i).padStart(35, "0")}`;
      return [kid, { ...key, kid }] as const;
    }),
  );
  assert.throws(() => findKey(many, "twin-k"), { message: / and 2 more$/ });
  assert.equal(kids.length, 2);
});
