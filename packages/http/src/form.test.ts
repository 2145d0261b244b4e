import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HttpError, type HttpErrorCode } from "./errors.ts";
import { decodeFormText, readForm } from "./form.ts";
import { readJson } from "./json-body.ts";

function form(body: string | Buffer, type = "application/x-www-form-urlencoded") {
  return { rawHeaders: ["Content-Type", type], body: Buffer.from(body) };
}

function refuses(body: string | Buffer, code: HttpErrorCode, type?: string): void {
  assert.throws(
    () => readForm(form(body, type)),
    (error) => error instanceof HttpError && error.code === code,
  );
}

function pairs(count: number): string {
  return Array.from({ length: count }, (_, i) => `p${i}=1`).join("&");
}

function json(body: string, type = "application/json") {
  return { rawHeaders: ["content-type", type], body: Buffer.from(body) };
}

describe("readForm", () => {
  test("reads pairs, percent-encoding and plus signs", () => {
    const read = readForm(form("grant_type=client_credentials&scope=a+b%20c&r=%E2%82%AC%3D&x==1"));
    assert.deepEqual(
      [...read],
      [
        ["grant_type", "client_credentials"],
        ["scope", "a b c"],
        ["r", "€="],
        ["x", "=1"],
      ],
    );
  });

  test("RFC 6749 §3.2: a parameter without a value counts as omitted, an empty body is an empty form", () => {
    assert.deepEqual([...readForm(form("scope=&a=1"))], [["a", "1"]]);
    assert.equal(readForm(form("")).size, 0);
  });

  test("one & may follow the last parameter, as some libraries write it; it is none of its own", () => {
    assert.deepEqual([...readForm(form("a=1&"))], [["a", "1"]]);
    assert.deepEqual([...readForm(form("a=1&scope=&"))], [["a", "1"]]);
    assert.equal(readForm(form(`${pairs(32)}&`)).size, 32);
    refuses(`${pairs(33)}&`, "ERR_HTTP_FORM");
    refuses("a=1&a=2&", "ERR_HTTP_FORM_DUPLICATE");
  });

  test("RFC 6749 §3.2: repeated parameters are refused, however they are spelt", () => {
    refuses("scope=a&scope=a", "ERR_HTTP_FORM_DUPLICATE");
    refuses("scope=&scope=a", "ERR_HTTP_FORM_DUPLICATE");
    refuses("scope=a&s%63ope=b", "ERR_HTTP_FORM_DUPLICATE");
    refuses("a+b=1&a%20b=2", "ERR_HTTP_FORM_DUPLICATE");
  });

  test("refuses what has two readings", () => {
    for (const body of [
      "a",
      "=1",
      "&",
      "&&",
      "&a=1",
      "a=1&&",
      "a=1&&b=2",
      "a=%",
      "a=%4",
      "a=%zz",
      "a=%ff",
      "a=%ed%a0%80",
    ])
      refuses(body, "ERR_HTTP_FORM");
    refuses(Buffer.from("a=\u00e9", "latin1"), "ERR_HTTP_FORM");
    refuses("a=é", "ERR_HTTP_FORM");
  });

  test("bounds the count and the names", () => {
    assert.equal(readForm(form(pairs(32))).size, 32);
    refuses(pairs(33), "ERR_HTTP_FORM");
    assert.equal(readForm(form(`${"n".repeat(128)}=1`)).size, 1);
    refuses(`${"n".repeat(129)}=1`, "ERR_HTTP_FORM");
  });

  test("takes one content type only", () => {
    for (const type of [
      "application/x-www-form-urlencoded; charset=UTF-8",
      "Application/X-WWW-Form-URLEncoded;charset=utf-8",
    ])
      assert.equal(readForm(form("a=1", type)).get("a"), "1");
    for (const type of [
      "",
      "application/json",
      "application/x-www-form-urlencoded; charset=latin1",
      "text/plain",
    ])
      refuses("a=1", "ERR_HTTP_CONTENT_TYPE", type);
    assert.throws(() => readForm({ rawHeaders: [], body: Buffer.from("a=1") }), HttpError);
    const twice = [
      "content-type",
      "text/plain",
      "Content-Type",
      "application/x-www-form-urlencoded",
    ];
    assert.throws(() => readForm({ rawHeaders: twice, body: Buffer.from("a=1") }), HttpError);
  });

  test("property: what URLSearchParams writes is read back; nothing but HttpError is thrown", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ unit: "grapheme", minLength: 1, maxLength: 3 }), {
          maxLength: 20,
        }),
        (names) => {
          const named = names.map((name): [string, string] => [name, `${name}!`]);
          assert.deepEqual([...readForm(form(new URLSearchParams(named).toString()))], named);
        },
      ),
      { numRuns: 200 },
    );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a%+=&0-9f]{0,30}$/)), (body) => {
        try {
          readForm(form(body));
        } catch (error) {
          assert.ok(error instanceof HttpError);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("decodeFormText leaves plain text alone", () => {
    assert.equal(decodeFormText("a-b_c"), "a-b_c");
    assert.equal(decodeFormText("a+b"), "a b");
    assert.equal(decodeFormText("a%2Bb"), "a+b");
  });
});

describe("readJson", () => {
  test("reads one strict object", () => {
    assert.deepEqual(readJson(json('{"a":1}')), { a: 1 });
  });
  test("refuses duplicates, other types, other content types", () => {
    for (const body of ['{"a":1,"a":2}', "[]", "", "{", '{"__proto__":1}'])
      assert.throws(() => readJson(json(body)), { code: "ERR_HTTP_JSON", status: 400 });
    assert.throws(() => readJson(json("{}", "text/json")), {
      code: "ERR_HTTP_CONTENT_TYPE",
      status: 415,
    });
    assert.throws(() => readJson(json('{"a":"bcd"}'), { maxBytes: 5 }), { code: "ERR_HTTP_JSON" });
  });
});
