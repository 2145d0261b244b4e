import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isJsonObject, JsonError, parseJson, parseJsonObject, type JsonErrorCode } from "./json.ts";
import { compareJsonReaders } from "./testing/json-differential.ts";
import { referenceParse } from "./testing/json-reference.ts";

function refuses(text: string | Uint8Array, code: JsonErrorCode, limits = {}): void {
  assert.throws(
    () => parseJson(text, limits),
    (error) => error instanceof JsonError && error.code === code,
    `expected ${code} for ${String(text).slice(0, 60)}`,
  );
}

function quoted(...bytes: number[]): Uint8Array {
  return Uint8Array.of(0x22, ...bytes, 0x22);
}

function outcome(text: string | Uint8Array): unknown {
  try {
    return { value: parseJson(text) };
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return error.code;
  }
}

describe("parseJson()", () => {
  it("reads what JSON.parse reads, in the compact and in every other form", () => {
    for (const text of [
      '{"a":[1,true,null,"x",{}]}',
      ' {"a" : 1e3 }\n',
      '{"a":"\\n\\u00e9\\ud83d\\ude00"}',
      '{"b":1,"a":2,"17":3}',
      "-0.5",
      '"__proto__"',
    ])
      assert.deepEqual(parseJson(text), JSON.parse(text));
  });

  it("reads bytes as UTF-8, ASCII or not, and a view of a larger buffer", () => {
    assert.deepEqual(parseJson(Buffer.from('{"a":"é"}')), { a: "é" });
    assert.deepEqual(parseJson(new Uint8Array(Buffer.from('[["x"]]')).subarray(1, 6)), ["x"]);
  });

  it("THREAT-08: refuses a duplicate member, at any depth and spacing", () => {
    refuses('{"a":1,"a":1}', "ERR_JSON_DUPLICATE_MEMBER");
    refuses('{"b":[{"a":1, "c":0, "a":2}]}', "ERR_JSON_DUPLICATE_MEMBER");
    assert.deepEqual(parseJson('{"a":{"a":1},"b":{"a":1}}'), { a: { a: 1 }, b: { a: 1 } });
  });

  it("THREAT-08: refuses an escape in a member name, also after a document that prepares V8's mistake", () => {
    parseJson('{"x":1,"y":"\\\\u0"}');
    refuses('{"x":1,"\\\\u0":1}', "ERR_JSON_ESCAPED_NAME");
    refuses('{"x":1,"\\u0069ss":"https://attacker.example"}', "ERR_JSON_ESCAPED_NAME");
    refuses('{"sub":"a","s\\u0075b":"b"}', "ERR_JSON_ESCAPED_NAME");
    refuses('{"\\"":1}', "ERR_JSON_ESCAPED_NAME");
  });

  it("refuses what the engine's parser refuses, even where the scanner accepts it", (t) => {
    t.mock.method(JSON, "parse", () => {
      throw new SyntaxError("refused");
    });
    refuses('{"a":1}', "ERR_JSON_SYNTAX");
  });

  it("refuses __proto__ as a member name only", () => {
    refuses('{"__proto__":{"admin":true}}', "ERR_JSON_PROTO");
    refuses('[{"a":1,"__proto__":1}]', "ERR_JSON_PROTO");
    assert.deepEqual(parseJson('{"a":"__proto__"}'), { a: "__proto__" });
  });

  it("refuses lone surrogates, raw and escaped, and takes pairs", () => {
    for (const text of ['"\\ud800"', '"\\ud800x"', '"\\udc00"', '"\\ud800\\u0041"', '"\ud800"'])
      refuses(text, "ERR_JSON_SURROGATE");
    assert.equal(parseJson('"\\uD83D\\uDE00"'), "\u{1f600}");
    // Both sides of each boundary of RFC 3629 §3 and of the two halves.
    for (const text of [
      '"\\udbff"',
      '"\\udfff"',
      '"\\udc00\\udc00"',
      '"\\ud800\\udbff"',
      '"\\ud800\\ue000"',
    ])
      refuses(text, "ERR_JSON_SURROGATE");
    for (const text of [
      '"\\ud7ff"',
      '"\\ue000"',
      '"\\uffff"',
      '"\\ud800\\udc00"',
      '"\\udbff\\udfff"',
    ])
      assert.equal(parseJson(text), JSON.parse(text));
  });

  it("refuses bad UTF-8 and a byte order mark", () => {
    refuses(Buffer.from([0x22, 0xc3, 0x28, 0x22]), "ERR_JSON_UTF8");
    refuses(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), "ERR_JSON_UTF8");
    refuses(Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]), "ERR_JSON_SYNTAX");
    refuses("\ufeff{}", "ERR_JSON_SYNTAX");
  });

  it("tells U+FFFD in a document from bytes that are not UTF-8", () => {
    for (const text of ['{"a":"\ufffd"}', '"é\ufffd"', '"\uffff"', '"\u{1f600}"'])
      assert.deepEqual(parseJson(Buffer.from(text)), JSON.parse(text));
    assert.equal(parseJson(quoted(0xef, 0xbf, 0xbd)), "\ufffd");
    for (const bytes of [[0xff], [0xef, 0xbf], [0xc0, 0xaf], [0xef, 0xbf, 0xbd, 0x80], [0xf8]])
      refuses(quoted(...bytes), "ERR_JSON_UTF8");
  });

  it("reads bytes exactly as a fatal decoder does", () => {
    const fatal = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      fc.string({ unit: "binary", maxLength: 4 }).map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(bytes, (inside) => {
        const document = quoted(...inside);
        let text: string | undefined;
        try {
          text = fatal.decode(document);
        } catch {
          refuses(document, "ERR_JSON_UTF8");
          return;
        }
        assert.deepEqual(outcome(document), outcome(text));
      }),
      { numRuns: 1000 },
    );
  });

  it("refuses a number that would become Infinity", () => {
    refuses('{"exp":1e400}', "ERR_JSON_NUMBER");
    refuses('{"exp":-1e400}', "ERR_JSON_NUMBER");
    assert.deepEqual(parseJson('{"exp":1e308}'), { exp: 1e308 });
  });

  it("refuses everything that is not JSON with its own error", () => {
    const bad = [
      "",
      " ",
      "{",
      "}",
      "[1,]",
      "[,1]",
      '{"a":1,}',
      '{"a"}',
      '{"a":}',
      "{a:1}",
      "{'a':1}",
      "01",
      "1.",
      ".1",
      "+1",
      "1e",
      "-",
      "nul",
      "tru",
      "NaN",
      "Infinity",
      '"',
      '"\\',
      '"\\x"',
      '"\\u12"',
      '"\t"',
      "1 2",
      "[1}",
      "[1",
      '{"a":1',
      "/**/1",
      "\u00a01",
    ];
    for (const text of bad) refuses(text, "ERR_JSON_SYNTAX");
  });

  it("bounds depth: the bound passes, one more is refused, 500 000 cost no stack", () => {
    assert.deepEqual(parseJson("[[[[[[[[]]]]]]]]"), [[[[[[[[]]]]]]]]);
    refuses("[[[[[[[[[]]]]]]]]]", "ERR_JSON_DEPTH");
    assert.deepEqual(parseJson("[[],[],[]]", { maxDepth: 2 }), [[], [], []]);
    assert.deepEqual(parseJson('[{"a":1}]', { maxDepth: 2 }), [{ a: 1 }]);
    refuses('[{"a":[]}]', "ERR_JSON_DEPTH", { maxDepth: 2 });
    refuses('[ {"a":[]}]', "ERR_JSON_DEPTH", { maxDepth: 2 });
    assert.equal(parseJson("1", { maxDepth: 0 }), 1);
    refuses("[]", "ERR_JSON_DEPTH", { maxDepth: 0 });
    refuses("[".repeat(500_000) + "]".repeat(500_000), "ERR_JSON_DEPTH");
    refuses('{"a":'.repeat(100_000) + "1" + "}".repeat(100_000), "ERR_JSON_DEPTH");
  });

  it("bounds size in bytes, for text and for bytes: the bound passes, one more is refused", () => {
    assert.equal(parseJson('"é"', { maxBytes: 4 }), "é");
    refuses('"é"', "ERR_JSON_SIZE", { maxBytes: 3 });
    refuses('"ab"', "ERR_JSON_SIZE", { maxBytes: 3 });
    // A text is counted only if three bytes for each unit could be too many.
    assert.equal(parseJson('"\u20ac\u20ac\u20ac\u20ac"', { maxBytes: 14 }), "\u20ac".repeat(4));
    refuses('"\u20ac\u20ac\u20ac\u20ac"', "ERR_JSON_SIZE", { maxBytes: 13 });
    refuses(Buffer.from('"ab"'), "ERR_JSON_SIZE", { maxBytes: 3 });
    assert.equal(parseJson(Buffer.from('"ab"'), { maxBytes: 4 }), "ab");
    assert.equal(parseJson(`"${"x".repeat(1_048_574)}"`), "x".repeat(1_048_574));
    refuses(`"${"x".repeat(1_048_575)}"`, "ERR_JSON_SIZE");
  });

  it("says nothing of the document in its message", () => {
    for (const text of ['{"hunter2":1,"hunter2":2}', '{"hunter2', "hunter2"])
      assert.throws(
        () => parseJson(text),
        (error) => error instanceof Error && !error.message.includes("hunter2"),
      );
  });

  it("agrees with an independent reader on 20 000 generated documents", () => {
    const { accepted, refused, differences } = compareJsonReaders(20_000, 20_261_123);
    assert.deepEqual(differences, []);
    assert.equal(
      accepted > 4000 && refused > 4000,
      true,
      `${accepted} accepted, ${refused} refused`,
    );
  });

  it("reads back every value that was serialised, in both readers", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        // A generated name may need an escape, or be __proto__: then both readers refuse.
        const expected = referenceParse(text, 8);
        if (expected === undefined) assert.throws(() => parseJson(text), JsonError);
        else assert.deepEqual(parseJson(text), expected.value);
      }),
    );
  });

  it("throws nothing but JsonError for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          parseJson(bytes);
        } catch (error) {
          assert.equal(error instanceof JsonError, true);
        }
      }),
    );
  });
});

describe("parseJsonObject()", () => {
  it("takes an object and refuses every other top level", () => {
    assert.deepEqual(parseJsonObject('{"a":1}'), { a: 1 });
    for (const text of ["[]", "null", "1", '"x"', "true"])
      assert.throws(
        () => parseJsonObject(text),
        (error) => error instanceof JsonError && error.code === "ERR_JSON_NOT_OBJECT",
      );
  });

  it("hands its limits on", () => {
    assert.throws(() => parseJsonObject('{"a":[]}', { maxDepth: 1 }), JsonError);
    assert.throws(() => parseJsonObject('{"a":1}', { maxBytes: 6 }), JsonError);
  });
});

describe("isJsonObject()", () => {
  it("tells an object from an array, null and undefined", () => {
    assert.deepEqual([{}, [], null, 1, undefined].map(isJsonObject), [
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});
