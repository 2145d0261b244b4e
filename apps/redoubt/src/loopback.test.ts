import assert from "node:assert/strict";
import { test } from "node:test";
import { fetchBytes } from "./loopback.ts";
import { withHttp } from "./testing/http.ts";

test("an answer is taken up to its bound, and not a byte further", async () => {
  await withHttp(
    () => ({ status: 200, body: "x".repeat(1000) }),
    async (base) => {
      assert.equal((await fetchBytes(base, 1000)).body.length, 1000);
      await assert.rejects(fetchBytes(base, 999), {
        code: "ERR_FETCH",
        message: /larger than 999/,
      });
    },
  );
});

test("nothing is followed elsewhere", async () => {
  await withHttp(
    ({ url }) =>
      url === "/a"
        ? { status: 302, body: "", headers: { location: "/b" } }
        : { status: 200, body: "secret" },
    async (base) => {
      await assert.rejects(fetchBytes(`${base}/a`, 100), { code: "ERR_FETCH" });
    },
  );
});

test("nobody there is a coded error with the address", async () => {
  let gone = "";
  await withHttp(
    () => ({ status: 200, body: "" }),
    async (base) => {
      gone = base;
    },
  );
  await assert.rejects(fetchBytes(gone, 100), {
    code: "ERR_FETCH",
    message: `No answer from ${gone}`,
  });
});
