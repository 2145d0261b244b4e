import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Claims } from "../claims.ts";
import { EvidenceError } from "../evidence-error.ts";
import { attestationVector, WITHOUT_VECTORS } from "../testing/tpm-vectors.ts";
import { checkPolicy } from "./check-policy.ts";
import { lintPolicy } from "./lint-policy.ts";
import { parsePolicy } from "./parse-policy.ts";
import { EVIDENCE_AUTHORITY } from "./policy.ts";

const NOW = Date.UTC(2026, 5, 1);
const references = new Map([
  ["signer/pcr11", ["aa", "bb"]],
  ["empty", []],
]);

function load(condition: object, version = "1.1.0") {
  const group = "allOf" in condition || "anyOf" in condition ? condition : { allOf: [condition] };
  return parsePolicy(
    JSON.stringify({ version, anyOf: [{ authority: EVIDENCE_AUTHORITY, ...group }] }),
    references,
  );
}

function check(condition: object, claims: Claims, now = NOW) {
  return checkPolicy(load(condition), [{ authority: EVIDENCE_AUTHORITY, claims }], { now });
}

function passes(condition: object, claims: Claims, now = NOW): boolean {
  try {
    check(condition, claims, now);
    return true;
  } catch (error) {
    assert.ok(
      error instanceof EvidenceError && error.code === "ERR_EVIDENCE_REFUSED",
      String(error),
    );
    return false;
  }
}

const claims = { n: 5, s: "x", b: false, tcb: { snp: 24 }, ids: ["a", "b"], none: [], odd: [{}] };

test("each operator, on both sides of its boundary, and on values of another type", () => {
  const table: readonly (readonly [object, boolean])[] = [
    [{ claim: "s", equals: "x" }, true],
    [{ claim: "s", equals: "X" }, false],
    [{ claim: "n", equals: "5" }, false],
    [{ claim: "b", equals: false }, true],
    [{ claim: "b", equals: "false" }, false],
    [{ claim: "ids", equals: "a" }, false],
    [{ claim: "s", notEquals: "y" }, true],
    [{ claim: "s", notEquals: "x" }, false],
    [{ claim: "n", notEquals: "5" }, false],
    [{ claim: "ids", notEquals: "a" }, false],
    [{ claim: "n", less: 6 }, true],
    [{ claim: "n", less: 5 }, false],
    [{ claim: "n", lessOrEquals: 5 }, true],
    [{ claim: "n", lessOrEquals: 4 }, false],
    [{ claim: "n", greater: 4 }, true],
    [{ claim: "n", greater: 5 }, false],
    [{ claim: "n", greaterOrEquals: 5 }, true],
    [{ claim: "n", greaterOrEquals: 6 }, false],
    ...["less", "lessOrEquals", "greater", "greaterOrEquals"].flatMap(
      (operator) =>
        [
          [{ claim: "s", [operator]: 0 }, false],
          [{ claim: "b", [operator]: operator.startsWith("less") ? 1 : -1 }, false],
          [{ claim: "none", [operator]: 0 }, false],
        ] as const,
    ),
    [{ claim: "s", in: ["y", "x"] }, true],
    [{ claim: "s", in: ["y"] }, false],
    [{ claim: "ids", in: ["a", "b", "c"] }, true],
    [{ claim: "ids", in: ["a"] }, false],
    [{ claim: "odd", in: ["a"] }, false],
    [{ claim: "none", in: ["a"] }, false],
    [{ claim: "none", noneOf: ["a"] }, true],
    [{ claim: "s", noneOf: ["y"] }, true],
    [{ claim: "s", noneOf: ["x"] }, false],
    [{ claim: "ids", noneOf: ["c"] }, true],
    [{ claim: "ids", noneOf: ["c", "b"] }, false],
    [{ claim: "odd", noneOf: ["a"] }, false],
    [{ claim: "tcb", noneOf: ["a"] }, false],
    [{ claim: "tcb.snp", greaterOrEquals: 24 }, true],
    [{ claim: "s", exists: true }, true],
    [{ claim: "s", exists: false }, false],
    [{ claim: "absent", exists: false }, true],
    [{ claim: "absent", exists: true }, false],
  ];
  for (const [condition, expected] of table)
    assert.equal(passes(condition, claims), expected, JSON.stringify(condition));
});

test("a missing claim is false, whatever is asked of it", () => {
  for (const claim of [
    "absent",
    "tcb.absent",
    "s.length",
    "ids.0",
    "ids.length",
    "__proto__",
    "constructor",
    "tcb.toString",
    "n.toFixed",
  ]) {
    for (const question of [
      { equals: "x" },
      { notEquals: "x" },
      { noneOf: ["x"] },
      { in: ["x"] },
      { reference: "signer/pcr11" },
      { exists: true },
      { less: 1 },
    ]) {
      assert.equal(
        passes({ claim, ...question }, claims),
        false,
        `${claim} ${JSON.stringify(question)}`,
      );
      assert.equal(passes({ not: { claim, ...question } }, claims), false, `not ${claim}`);
    }
  }
});

test("references are values that were known when the policy was loaded", () => {
  assert.equal(passes({ claim: "p", reference: "signer/pcr11" }, { p: "bb" }), true);
  assert.equal(passes({ claim: "p", reference: "signer/pcr11" }, { p: "cc" }), false);
});

test("groups and their opposite", () => {
  const good = { claim: "n", equals: 5 };
  const bad = { claim: "n", equals: 6 };
  for (const [condition, expected] of [
    [{ allOf: [good, good] }, true],
    [{ allOf: [good, bad] }, false],
    [{ anyOf: [bad, good] }, true],
    [{ anyOf: [bad, bad] }, false],
    [{ allOf: [{ not: bad }] }, true],
    [{ allOf: [{ not: good }] }, false],
    [{ allOf: [{ not: { not: good } }] }, true],
    [{ allOf: [{ not: { anyOf: [bad, good] } }] }, false],
    [{ allOf: [{ not: { allOf: [bad, good] } }] }, true],
    [{ allOf: [{ anyOf: [bad, { allOf: [good] }] }] }, true],
  ] as const) {
    assert.equal(passes(condition, claims), expected, JSON.stringify(condition));
  }
});

test("what is allowed until a day ends with it", () => {
  const condition = { claim: "s", equals: "x", until: "2026-06-01" };
  assert.equal(passes(condition, claims, NOW - 1), true);
  assert.equal(passes(condition, claims, NOW), false);
  assert.throws(() => check(condition, claims), { expected: 'equals "x", only until 2026-06-01' });
  assert.equal(passes({ claim: "absent", exists: false, until: "2026-06-01" }, claims, NOW), false);
});

test("a refusal names each claim, what was found and what was expected", () => {
  const condition = {
    allOf: [
      { claim: "s", equals: "y" },
      { claim: "absent", in: ["a"] },
      { claim: "n", reference: "signer/pcr11" },
      { claim: "n", exists: false },
      { claim: "absent", exists: true },
      { not: { claim: "n", greater: 1 } },
      { claim: "n", equals: 5 },
    ],
  };
  assert.throws(
    () => check(condition, claims),
    (error) => {
      assert.ok(error instanceof EvidenceError);
      assert.equal(error.message, 'Policy refuses s: found "x", expected equals "y"');
      assert.equal(error.part, "s");
      assert.deepEqual(error.refusals, [
        { claim: "s", found: '"x"', expected: 'equals "y"' },
        { claim: "absent", found: "missing", expected: 'in ["a"]' },
        { claim: "n", found: "5", expected: 'a value of "signer/pcr11" (2 known)' },
        { claim: "n", found: "5", expected: "absent" },
        { claim: "absent", found: "missing", expected: "present" },
        { claim: "n", found: "5", expected: "not greater 1" },
      ]);
      return true;
    },
  );
});

test("a refusal helps with what good machines fail, too", () => {
  assert.throws(
    () =>
      check(
        { claim: "snp.alias-check-complete", equals: true },
        { snp: { "alias-check-complete": false } },
      ),
    (error) => {
      assert.ok(error instanceof EvidenceError);
      assert.match(error.refusals[0]?.hint ?? "", /^AMD-SB-3015/);
      return true;
    },
  );
});

test("what evidence says cannot forge a line, nor fill a log", () => {
  assert.throws(
    () => check({ claim: "s", equals: "y" }, { s: `a\nb\u001b[2J\u2028${"c".repeat(500)}` }),
    (error) => {
      assert.ok(error instanceof EvidenceError);
      const found = error.refusals[0]?.found ?? "";
      assert.match(found, /^"a\\nb\\u001b\[2J\\u\{2028\}c+\.\.\.$/);
      assert.equal(found.length, 203);
      return true;
    },
  );
  const many = { allOf: Array.from({ length: 80 }, (_, i) => ({ claim: `c${i}`, equals: 1 })) };
  assert.throws(
    () => check(many, {}),
    (error) => error instanceof EvidenceError && error.refusals.length === 50,
  );
});

test("THREAT-14: claims count only for the authority that states them", () => {
  const authorities = ["https://maa.example", EVIDENCE_AUTHORITY].map((authority) => ({
    authority,
    allOf: [{ claim: "n", equals: 5 }],
  }));
  const policy = parsePolicy(JSON.stringify({ version: "1.1.0", anyOf: authorities }), references);
  const accepted = checkPolicy(policy, [{ authority: EVIDENCE_AUTHORITY, claims }], { now: NOW });
  assert.equal(accepted.authority, EVIDENCE_AUTHORITY);
  assert.throws(
    () => checkPolicy(policy, [{ authority: "https://other.example", claims }], { now: NOW }),
    (error) => {
      assert.ok(error instanceof EvidenceError);
      assert.deepEqual(
        error.refusals.map(({ claim, expected }) => [claim, expected]),
        [
          ["authority", '"https://maa.example"'],
          ["authority", `"${EVIDENCE_AUTHORITY}"`],
        ],
      );
      return true;
    },
  );
});

const AZURE = {
  version: "1.0.0",
  anyOf: [
    {
      authority: "https://sharedweu.weu.attest.azure.net",
      allOf: [
        { claim: "x-ms-isolation-tee.x-ms-attestation-type", equals: "sevsnpvm" },
        { claim: "x-ms-isolation-tee.x-ms-compliance-status", equals: "azure-compliant-cvm" },
        {
          anyof: [
            { claim: "x-ms-isolation-tee.x-ms-sevsnpvm-guestsvn", greaterOrEquals: 2 },
            { allof: [{ claim: "x", exists: false }] },
          ],
        },
      ],
    },
  ],
};

test("documents of Secure Key Release 1.0.0 load unchanged", () => {
  const policy = parsePolicy(JSON.stringify(AZURE), new Map());
  const tee = {
    "x-ms-attestation-type": "sevsnpvm",
    "x-ms-compliance-status": "azure-compliant-cvm",
    "x-ms-sevsnpvm-guestsvn": 2,
  };
  const authority = "https://sharedweu.weu.attest.azure.net";
  checkPolicy(policy, [{ authority, claims: { "x-ms-isolation-tee": tee } }], { now: NOW });
  assert.throws(() => checkPolicy(policy, [{ authority, claims: tee }], { now: NOW }), {
    code: "ERR_EVIDENCE_REFUSED",
  });
});

test("1.0.0 has none of what 1.1.0 adds", () => {
  for (const condition of [
    { not: { claim: "n", equals: 5 } },
    { claim: "n", in: [5] },
    { claim: "n", noneOf: [5] },
    { claim: "n", reference: "signer/pcr11" },
    { claim: "n", equals: 5, until: "2026-06-01" },
  ]) {
    assert.throws(
      () => load(condition, "1.0.0"),
      { code: "ERR_EVIDENCE_POLICY" },
      JSON.stringify(condition),
    );
    load(condition);
  }
  assert.throws(() => load({ allOf: [{ anyof: [{ claim: "n", equals: 5 }] }] }), {
    code: "ERR_EVIDENCE_POLICY",
  });
});

test("a typing error never widens a policy", () => {
  const leaf = { claim: "n", equals: 5 };
  const wrong: readonly (readonly [unknown, string])[] = [
    [{ claim: "n", equal: 5 }, ".allOf[0].equal"],
    [{ claim: "n" }, ".allOf[0]"],
    [{ claim: "n", equals: 5, notEquals: 6 }, ".allOf[0]"],
    [{ claim: "n", equals: 5, comment: "x" }, ".allOf[0]"],
    [{ claim: "n", like: "signer/pcr11" }, ".allOf[0].like"],
    [{ equals: 5 }, ".allOf[0].claim"],
    [{ claim: "", equals: 5 }, ".allOf[0].claim"],
    [{ claim: "a..b", equals: 5 }, ".allOf[0].claim"],
    [{ claim: "a.", equals: 5 }, ".allOf[0].claim"],
    [{ claim: 5, equals: 5 }, ".allOf[0].claim"],
    [{ claim: "n", equals: null }, ".allOf[0].equals"],
    [{ claim: "n", equals: [5] }, ".allOf[0].equals"],
    [{ claim: "n", less: "5" }, ".allOf[0].less"],
    [{ claim: "n", exists: "true" }, ".allOf[0].exists"],
    [{ claim: "n", in: [] }, ".allOf[0].in"],
    [{ claim: "n", in: "a" }, ".allOf[0].in"],
    [{ claim: "n", in: [{}] }, ".allOf[0].in[0]"],
    [{ claim: "n", reference: "typo" }, ".allOf[0].reference"],
    [{ claim: "n", reference: "empty" }, ".allOf[0].reference"],
    [{ claim: "n", reference: 5 }, ".allOf[0].reference"],
    [{ claim: "n", equals: 5, until: "tomorrow" }, ".allOf[0].until"],
    [{ claim: "n", equals: 5, until: "2026-13-01" }, ".allOf[0].until"],
    [{ claim: "n", equals: 5, until: "2026-06-01T00:00Z" }, ".allOf[0].until"],
    [{ claim: "n", equals: 5, until: 5 }, ".allOf[0].until"],
    [{ not: leaf, also: 1 }, ".allOf[0].also"],
    [{ anyOf: [leaf], also: 1 }, ".allOf[0].also"],
    [{ anyOf: [leaf], allOf: [leaf] }, ".allOf[0].allOf"],
    [{ anyOf: [] }, ".allOf[0].anyOf"],
    ["n", ".allOf[0]"],
    [null, ".allOf[0]"],
  ];
  for (const [condition, part] of wrong) {
    assert.throws(
      () => load({ allOf: [condition] }),
      { code: "ERR_EVIDENCE_POLICY", part: `anyOf[0]${part}` },
      JSON.stringify(condition),
    );
  }
});

function leaves(count: number): object {
  return { allOf: Array.from({ length: count }, () => ({ claim: "n", equals: 5 })) };
}

test("a document is a version and a list of authorities", () => {
  const candidate = { authority: "a", allOf: [{ claim: "n", equals: 5 }] };
  for (const [document, part] of [
    [{ version: "1.2.0", anyOf: [candidate] }, "version"],
    [{ anyOf: [candidate] }, "version"],
    [{ version: "1.1.0", anyOf: [] }, "anyOf"],
    [{ version: "1.1.0", anyOf: [candidate], allOf: [candidate] }, "policy.allOf"],
    [{ version: "1.1.0", allOf: [candidate] }, "policy.allOf"],
    [{ version: "1.1.0", anyOf: ["a"] }, "anyOf[0]"],
    [{ version: "1.1.0", anyOf: [{ authority: "a" }] }, "anyOf[0]"],
    [{ version: "1.1.0", anyOf: [{ ...candidate, authority: "" }] }, "anyOf[0].authority"],
    [{ version: "1.1.0", anyOf: [{ ...candidate, authority: 5 }] }, "anyOf[0].authority"],
    [{ version: "1.1.0", anyOf: [{ ...candidate, extra: 5 }] }, "anyOf[0].extra"],
  ] as const) {
    assert.throws(() => parsePolicy(JSON.stringify(document), references), {
      code: "ERR_EVIDENCE_POLICY",
      part,
    });
  }
  for (const text of [
    "",
    "[]",
    "{",
    '{"version":"1.1.0","version":"1.1.0","anyOf":[]}',
    `{"a":"${"x".repeat(262_144)}"}`,
  ]) {
    assert.throws(() => parsePolicy(text, references), {
      code: "ERR_EVIDENCE_POLICY",
      part: "policy",
    });
  }
  const deep = `${'{"not":'.repeat(40)}{}${"}".repeat(40)}`;
  assert.throws(
    () =>
      parsePolicy(`{"version":"1.1.0","anyOf":[{"authority":"a","allOf":[${deep}]}]}`, references),
    { code: "ERR_EVIDENCE_POLICY" },
  );
  load(leaves(2000));
  assert.throws(() => load(leaves(2001)), { part: "anyOf[0].allOf[2000]" });
});

test("any text gives a policy or a coded error", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), (condition) => {
      const text = `{"version":"1.1.0","anyOf":[{"authority":"a","allOf":[${condition}]}]}`;
      assert.throws(() => parsePolicy(text, references), EvidenceError);
    }),
  );
});

const production = {
  allOf: [
    { claim: "platform", equals: "snp" },
    { claim: "snp.product", in: ["Genoa", "Turin"] },
    { claim: "snp.is-debuggable", equals: false },
    { claim: "snp.measurement", reference: "signer/pcr11" },
  ],
};

function problems(condition: object): readonly string[] {
  return lintPolicy(load(condition)).map(({ problem }) => problem);
}

const NO_MEASUREMENT = "no measurement: any image passes";
const DEBUG = "a debugger is not refused";
const SIMULATED = "soft or swtpm passes: no hardware vouches for it";
const MILAN =
  "SEV-SNP on Milan passes without an end: its endorsement key can be extracted by software";

test("THREAT-13: a production policy pins a measurement, refuses debugging, simulated hardware and Milan", () => {
  assert.deepEqual(problems(production), []);
  const [platform, product, debug, measurement] = production.allOf;
  assert.deepEqual(problems({ allOf: [platform, product, debug] }), [NO_MEASUREMENT]);
  assert.deepEqual(problems({ allOf: [platform, product, measurement] }), [DEBUG]);
  assert.deepEqual(problems({ allOf: [product, debug, measurement] }), [SIMULATED]);
  assert.deepEqual(problems({ allOf: [platform, debug, measurement] }), [MILAN]);
  assert.deepEqual(problems({ allOf: [{ claim: "vmpl", equals: 0 }] }), [
    NO_MEASUREMENT,
    DEBUG,
    SIMULATED,
  ]);
});

function swapped(at: number, leaf: object): readonly string[] {
  return problems({ allOf: production.allOf.map((known, i) => (i === at ? leaf : known)) });
}

test("what a leaf demands depends on its operator and value", () => {
  for (const leaf of [
    { claim: "platform", notEquals: "soft" },
    { claim: "platform", in: ["snp", "swtpm"] },
    { claim: "platform", equals: "soft" },
    { claim: "platform", exists: true },
  ])
    assert.deepEqual(swapped(0, leaf), [SIMULATED]);
  assert.deepEqual(swapped(0, { claim: "platform", in: ["snp", "az-snp"] }), []);
  for (const leaf of [
    { claim: "snp.product", in: ["Genoa", "Milan"] },
    { claim: "snp.product", equals: "Milan" },
  ])
    assert.deepEqual(swapped(1, leaf), [MILAN]);
  assert.deepEqual(swapped(1, { claim: "snp.product", equals: "Milan", until: "2027-01-01" }), []);
  for (const leaf of [
    { claim: "snp.is-debuggable", equals: true },
    { claim: "snp.is-debuggable", in: [true, false] },
    { claim: "snp.is-debuggable", notEquals: true },
  ])
    assert.deepEqual(swapped(2, leaf), [DEBUG]);
  for (const leaf of [
    { claim: "snp.measurement", exists: true },
    { claim: "snp.measurement", noneOf: ["x"] },
    { claim: "snp.host-data", equals: "x" },
  ])
    assert.deepEqual(swapped(3, leaf), [NO_MEASUREMENT]);
});

test("another claim with the same value demands nothing", () => {
  assert.deepEqual(swapped(0, { claim: "kind", equals: "snp" }), [SIMULATED]);
  assert.deepEqual(swapped(0, { claim: "kind", equals: "tpm2" }), [SIMULATED]);
  assert.deepEqual(swapped(2, { claim: "snp.smt-allowed", equals: false }), [DEBUG]);
});

test("every way through a policy is held to it", () => {
  const [platform, product, debug, measurement] = production.allOf;
  const open = { anyOf: [{ allOf: [debug, measurement] }, { allOf: [measurement] }] };
  assert.deepEqual(problems({ allOf: [platform, product, open] }), [DEBUG]);
  assert.deepEqual(
    problems({
      allOf: [platform, product, { anyOf: [{ allOf: [debug, measurement] }, production] }],
    }),
    [],
  );
  assert.deepEqual(problems({ allOf: [platform, product, measurement, { not: { not: debug } }] }), [
    DEBUG,
  ]);
  const two = {
    version: "1.1.0",
    anyOf: [
      { authority: EVIDENCE_AUTHORITY, ...production },
      { authority: "https://maa.example", allOf: [platform] },
    ],
  };
  assert.deepEqual(
    lintPolicy(parsePolicy(JSON.stringify(two), references)).map(({ part, problem }) => [
      part,
      problem,
    ]),
    [
      ["anyOf[1]", NO_MEASUREMENT],
      ["anyOf[1]", DEBUG],
    ],
  );
});

test("a TPM has no debug switch: Secure Boot is demanded instead", () => {
  const tpm = [
    { claim: "platform", equals: "tpm2" },
    { claim: "pcrs.4", reference: "signer/pcr11" },
  ];
  assert.deepEqual(problems({ allOf: tpm }), ["a TPM without Secure Boot: any loader passes"]);
  assert.deepEqual(
    problems({ allOf: [...tpm, { claim: "event-log.secure-boot", equals: false }] }).length,
    1,
  );
  assert.deepEqual(
    problems({ allOf: [...tpm, { claim: "event-log.secure-boot", equals: true }] }),
    [],
  );
});

test("THREAT-13: PCR 11 alone is no measurement: a system that another loader started can fill it", () => {
  const found = problems({
    allOf: [
      { claim: "platform", equals: "tpm2" },
      { claim: "pcrs.11", reference: "signer/pcr11" },
      { claim: "event-log.secure-boot", equals: true },
    ],
  });
  assert.deepEqual(found, ["no measurement: any image passes"]);
});

test("a policy that names SEV-SNP only inside a `not` is asked about Milan, too", () => {
  const [platform, , debug, measurement] = production.allOf;
  const tdx = [
    { claim: "platform", equals: "tdx" },
    { claim: "tdx.is-debuggable", equals: false },
    { claim: "tdx.mrtd", equals: "x" },
  ];
  assert.deepEqual(problems({ allOf: tdx }), []);
  assert.deepEqual(problems({ allOf: [...tdx, { not: { claim: "snp.vmpl", equals: 1 } }] }), [
    MILAN,
  ]);
  assert.deepEqual(problems({ allOf: [platform, { anyOf: [debug] }, measurement] }), [MILAN]);
});

test("claims of a real attestation token pass an Azure policy", { skip: WITHOUT_VECTORS }, () => {
  const policy = parsePolicy(
    JSON.stringify({
      version: "1.0.0",
      anyOf: [
        {
          authority: "maa",
          allOf: [
            { claim: "x-ms-isolation-tee.x-ms-compliance-status", equals: "azure-compliant-cvm" },
            { claim: "x-ms-isolation-tee.x-ms-sevsnpvm-is-debuggable", equals: false },
          ],
        },
      ],
    }),
    new Map(),
  );
  const token: Claims = JSON.parse(attestationVector("azure/maa-token-claims.json").toString());
  assert.equal(
    checkPolicy(policy, [{ authority: "maa", claims: token }], { now: NOW }).authority,
    "maa",
  );
});
