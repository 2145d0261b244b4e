import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ServiceError } from "@redoubt/base";
import { parseCsv } from "./csv.ts";
import { parseImport } from "./import-file.ts";

const NOTHING = { externalId: null, displayName: null, givenName: null, familyName: null };

function refusal(text: string): string {
  try {
    parseImport(text);
  } catch (error) {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, "ERR_IMPORT");
    return error.message;
  }
  return assert.fail("It was taken");
}

describe("a file of people", () => {
  it("is CSV with a heading", () => {
    const text =
      '\uFEFFuserName,displayName,email,active\r\nada@x.test,"Lovelace, Ada ""the first""",ada@x.test,TRUE\r\n\r\nbob@x.test,,,\r\n';
    assert.deepEqual(parseImport(text), [
      {
        ...NOTHING,
        line: 2,
        userName: "ada@x.test",
        displayName: 'Lovelace, Ada "the first"',
        email: "ada@x.test",
        active: true,
      },
      { ...NOTHING, line: 4, userName: "bob@x.test", email: null, active: undefined },
    ]);
  });

  it("is JSON lines", () => {
    const text = '{"userName":"ada@x.test","active":false}\n\n{"userName":"b","email":"b@x.test"}';
    assert.deepEqual(parseImport(text), [
      { ...NOTHING, line: 1, userName: "ada@x.test", email: null, active: false },
      { ...NOTHING, line: 3, userName: "b", email: "b@x.test", active: undefined },
    ]);
  });

  it("has all its problems told at once, each with its line", () => {
    const text = [
      "userName,email,active,shoe,email",
      "ada,nowhere,maybe,1,x@y",
      ",,,,",
      '"bob\nby",,,,',
      "ADA,,,,",
      "c,,",
    ].join("\n");
    const said = refusal(text);
    for (const part of [
      "line 1 names a column twice",
      "line 1 has an unknown column",
      "line 2 active must be true or false",
      "line 4 userName must be",
      "line 6 has the userName of line 2",
      "line 7 has 3 cells, and the heading 5",
    ])
      assert.match(said, new RegExp(part), said);
    assert.match(refusal("userName,email\nada,nowhere"), /line 2 email must be an address/);
    assert.match(refusal("name\nada"), /line 1 must name the column userName/);
    assert.match(refusal('userName\n"ada'), /line 2 has a quote without end/);
    assert.match(refusal('{"userName":"a"}\n{"userName":'), /line 2 is no JSON object/);
    assert.match(refusal('{"userName":7}'), /line 1 userName must be/);
    assert.match(refusal('{"displayName":"a"}'), /line 1 has no userName/);
    assert.match(refusal('{"userName":"a","shoe":1}'), /line 1 has an unknown column/);
    assert.match(
      refusal('{"userName":"a","externalId":"x"}\n{"userName":"b","externalId":"x"}'),
      /externalId of line 1/,
    );
  });

  it("is bounded, and must name somebody", () => {
    assert.equal(parseImport(people(5000)).length, 5000);
    assert.match(refusal(people(5001)), /More than 5000/);
    assert.match(refusal("userName\n"), /names nobody/);
    assert.match(refusal(""), /names nobody/);
    const bad = ["userName,active", ...Array.from({ length: 60 }, (_, i) => `p${i},x`)].join("\n");
    assert.match(refusal(bad), /and 10 more$/);
  });

  it("never fails in another way", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), csvLike()), (text) => {
        try {
          parseImport(text);
        } catch (error) {
          assert.ok(error instanceof ServiceError);
          assert.equal(error.code, "ERR_IMPORT");
        }
      }),
    );
  });

  it("in CSV reads what was written", () => {
    const cell = fc.string({ unit: fc.constantFrom("a", '"', ",", "\n", "b c"), minLength: 1 });
    fc.assert(
      fc.property(fc.array(fc.array(cell, { minLength: 1 }), { minLength: 1 }), (rows) => {
        const kept = rows.filter((row) => row.some((one) => one.trim() !== ""));
        const text = rows
          .map((row) => row.map((one) => `"${one.replaceAll('"', '""')}"`).join(","))
          .join("\r\n");
        assert.deepEqual(
          parseCsv(text).rows.map(({ cells }) => cells),
          kept,
        );
      }),
    );
  });
});

function people(count: number): string {
  return ["userName", ...Array.from({ length: count }, (_, i) => `p${i}`)].join("\n");
}

function csvLike(): fc.Arbitrary<string> {
  return fc
    .array(fc.constantFrom("userName", ",", "\n", '"', "{", "active", "true", "a", "\r\n"))
    .map((parts) => parts.join(""));
}
