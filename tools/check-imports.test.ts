import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ALLOWED_FOREIGN,
  checkOperations,
  circlesOf,
  fileGraph,
  foreignOf,
  packageGraph,
} from "./check-imports.ts";

function circles(files: Readonly<Record<string, string>>): readonly (readonly string[])[] {
  return circlesOf(fileGraph(new Map(Object.entries(files))));
}

function manifest(name: string, ...names: readonly string[]): readonly [string, string] {
  const dependencies = Object.fromEntries(names.map((to) => [to, "0"]));
  return [`packages/${name}/package.json`, JSON.stringify({ name, dependencies })];
}

describe("circles between files", () => {
  it("are found whatever their length, and named as the way around", () => {
    const files = {
      "a.ts": 'import { b } from "./b.ts";',
      "b.ts": 'import type { A } from "./a.ts";\nexport { c } from "./c.ts";',
      "c.ts": 'import {\n  type A,\n  a,\n} from "./a.ts";',
    };
    assert.deepEqual(circles(files), [["a.ts", "b.ts", "c.ts", "a.ts"]]);
    assert.deepEqual(circles({ ...files, "c.ts": 'import type {\n  A,\n} from "./a.ts";' }), []);
  });

  it("are found in folders, and of a file with itself", () => {
    const inFolders = { "x/a.ts": 'import "../y/b.ts";', "y/b.ts": 'import "../x/a.ts";' };
    assert.equal(circles(inFolders).length, 1);
    assert.equal(circles({ "x/a.ts": 'export * from "./a.ts";' }).length, 1);
  });

  it("are none where two ways lead to one file", () => {
    const files = {
      "a.ts": 'import "./b.ts";\nimport "./c.ts";',
      "b.ts": 'import "./d.ts";',
      "c.ts": 'import "./d.ts";',
      "d.ts": "",
    };
    assert.deepEqual(circles(files), []);
  });
});

it("circles between packages are found", () => {
  const graph = packageGraph(new Map([manifest("a", "b"), manifest("b", "c"), manifest("c")]));
  assert.deepEqual(circlesOf(graph), []);
  const circle = packageGraph(new Map([manifest("a", "b"), manifest("b", "a")]));
  assert.deepEqual(circlesOf(circle), [["a", "b", "a"]]);
});

it("an operation is named by its definition, the drills and tests only", () => {
  const text = 'ask({ op: "issue" })';
  const found = (file: string): number => checkOperations(new Map([[file, text]])).length;
  assert.equal(found("services/issuer/src/a.ts"), 1);
  assert.equal(found("apps/redoubt/src/keys/a.ts"), 1);
  for (const file of [
    "packages/wire/src/protocol/signer.ts",
    "apps/redoubt/src/drill/a.ts",
    "services/issuer/src/a.test.ts",
    "services/issuer/src/testing/a.ts",
    "packages/testkit/src/a.ts",
    "tests/e2e/a.ts",
  ])
    assert.equal(found(file), 0, file);
});

describe("THREAT-33: foreign packages", () => {
  it("reach no process that keeps keys or logs unless they are allowed, however far away they are", () => {
    const manifests = new Map([
      manifest("signer", "wire"),
      manifest("wire", "base"),
      manifest("base", "left-pad"),
      manifest("ledger", "wire"),
    ]);
    assert.deepEqual(foreignOf(manifests, { signer: [], ledger: ["left-pad"] }), [
      "signer: reaches left-pad, which nobody allowed it",
    ]);
    assert.deepEqual(foreignOf(manifests, { other: [] }), ["other: no such process"]);
    const optional = JSON.stringify({ name: "signer", optionalDependencies: { native: "1" } });
    assert.deepEqual(foreignOf(new Map([["p", optional]]), { signer: [] }), [
      "signer: reaches native, which nobody allowed it",
    ]);
  });

  it("are looked for in every process that an auditor must read", () => {
    for (const process of ["signer", "ledger", "monitor", "custody-gateway", "broker"])
      assert.ok(`@redoubt/${process}` in ALLOWED_FOREIGN, process);
  });
});
