import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseBasic } from "./basic.ts";
import { HttpError } from "./errors.ts";
import { singleHeader } from "./message.ts";

function basic(text: string): string {
  return `Basic ${Buffer.from(text).toString("base64")}`;
}

test("parseBasic reads user and password, the password may hold colons", () => {
  assert.deepEqual(parseBasic(basic("a:b:c")), { user: "a", password: "b:c" });
  assert.deepEqual(parseBasic(basic("a:").replace("Basic", "bAsIc")), { user: "a", password: "" });
});

test("parseBasic leaves other schemes to others", () => {
  for (const header of ["Bearer x", "Basically x", ""]) assert.equal(parseBasic(header), undefined);
});

test("parseBasic refuses every other form of the same bytes", () => {
  const headers = [
    "Basic",
    "Basic ",
    basic("no colon"),
    basic(":b"),
    "Basic YTpi Cg==",
    "Basic YTpi=",
    "Basic YTpiYw",
    "Basic YTpiYx==",
    "Basic YTpi_w==",
    `Basic ${Buffer.from([0x61, 0x3a, 0xff]).toString("base64")}`,
    basic(`a:${"b".repeat(2000)}`),
  ];
  for (const header of headers)
    assert.throws(() => parseBasic(header), { code: "ERR_HTTP_CREDENTIALS", status: 401 }, header);
});

test("property: parseBasic throws nothing but HttpError", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseBasic(`Basic ${text}`);
      } catch (error) {
        assert.ok(error instanceof HttpError);
      }
    }),
  );
});

test("singleHeader finds one, in any case, and refuses two", () => {
  const rawHeaders = ["Host", "x", "AUTHORIZATION", "one"];
  assert.equal(singleHeader({ rawHeaders }, "authorization"), "one");
  assert.equal(singleHeader({ rawHeaders }, "dpop"), undefined);
  assert.throws(
    () => singleHeader({ rawHeaders: [...rawHeaders, "authorization", "two"] }, "authorization"),
    { code: "ERR_HTTP_HEADER" },
  );
});
