import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkCitations } from "./check-citations.ts";

/** A small project in which every citation leads somewhere. */
const GOOD: Readonly<Record<string, string>> = {
  "docs/spec/architecture.md":
    "# Architecture\n\n## 1. Promises\n\n| id | promise |\n| P1  | scope |\n\n## 3. Lives\n\n### 3.1 A token\n",
  "docs/spec/threats.md": "| id | tests |\n| THREAT-01 | [scope](../../src/scope.test.ts) |\n",
  "docs/spec/wire.md": "# Wire\n\n## 1. Sockets\n\n## 2. Frame\n",
  "docs/design/0001-choice.md": "# Choice\n",
  "src/scope.test.ts": 'it("THREAT-01: is refused", () => {});\n',
};

function problemsWith(file: string, text: string): readonly string[] {
  const files = new Map(Object.entries({ ...GOOD, [file]: text }));
  return checkCitations({ files, exists: (path) => files.has(path) }).problems;
}

const CASES: Readonly<Record<string, readonly [file: string, good: string, bad: string]>> = {
  "a section of the architecture": ["src/a.ts", "// ARCHITECTURE §3.1", "// ARCHITECTURE §3.2"],
  "one of several sections": ["src/a.ts", "// ARCHITECTURE §1, §3", "// ARCHITECTURE §1, §4"],
  "a section in the next line of a comment": [
    "src/a.ts",
    "/**\n * x (ARCHITECTURE\n * §3) */",
    "/**\n * x (ARCHITECTURE\n * §4) */",
  ],
  "a promise": ["src/a.ts", "// P1: why", "// P9: why"],
  "a promise of two digits": ["docs/a.md", "P1", "P1–P13"],
  "a threat": ["src/a.ts", "// THREAT-01", "// THREAT-02"],
  "a threat in short": ["docs/a.md", "THREAT-01, 01 and 01", "THREAT-01, 02 and 01"],
  "a section of a format": ["src/a.ts", "// docs/spec/wire.md §2", "// docs/spec/wire.md §3"],
  "a section by the file's name alone": ["src/a.ts", "// wire.md §1 to §2", "// wire.md §1 to §9"],
  "a section after a link": [
    "docs/a.md",
    "[`wire`](spec/wire.md) §1",
    "[`wire`](spec/wire.md) §1 and §7",
  ],
  "a section of a file": ["src/a.ts", "// wire.md §1", "// wires.md §1"],
  "a design note": ["src/a.ts", "// design note 0001", "// design note 0002"],
  "a design note by its path": ["src/a.ts", "// docs/design/0001", "// docs/design/0002"],
  "a link": ["docs/a.md", "[x](spec/wire.md#1-sockets)", "[x](spec/wires.md)"],
  "a threat that has a test": [
    "docs/spec/threats.md",
    "| THREAT-01 | [scope](../../src/scope.test.ts) |",
    "| THREAT-01 | |\n| THREAT-02 | |",
  ],
  "a test that names its threat": ["src/scope.test.ts", "// THREAT-01", "// nothing"],
};

describe("a citation leads somewhere:", () => {
  for (const [name, [file, good, bad]] of Object.entries(CASES))
    it(name, () => {
      assert.deepEqual(problemsWith(file, good), []);
      assert.notDeepEqual(problemsWith(file, bad), []);
    });

  it("says where, what and why", () => {
    assert.deepEqual(problemsWith("src/a.ts", "// wire.md §7"), [
      "src/a.ts: wire.md §7: no section 7 in docs/spec/wire.md",
    ]);
  });
});

it("what only looks like a citation is none", () => {
  const text = '"P-256", "P256", "P9D", "P9.5D", "x/P9+", "P-9"; // RFC 7515 §9, SEC 1 §2.3';
  assert.deepEqual(problemsWith("src/a.ts", text), []);
  const links = "[a](https://example.com/x.md) [b](#there)\n\n```\n[c](no.md)\n```\n";
  assert.deepEqual(problemsWith("docs/a.md", links), []);
});

it("a threat that only a source names has no test", () => {
  const files = new Map(Object.entries({ ...GOOD, "src/scope.test.ts": "// THREAT-01" }));
  files.set("src/scope.ts", "// THREAT-02");
  files.set("docs/spec/threats.md", "| THREAT-01 | |\n| THREAT-02 | |\n");
  assert.deepEqual(checkCitations({ files, exists: () => true }).problems, [
    "docs/spec/threats.md: THREAT-02: no test names it",
  ]);
});
