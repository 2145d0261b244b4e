import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { withHttp } from "../testing/http.ts";
import { checkLog } from "./check-log.ts";
import { folderLogs, folderSource, httpLogs, httpSource } from "./log-source.ts";
import { ORIGIN, PublishedLog } from "./testing/published-log.ts";

const CHECK = { keysOf: () => undefined, onProgress: () => undefined, now: 0 };

function publishedFolder(t: TestContext, log: PublishedLog): string {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-published-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, bytes] of log.files) {
    const file = join(folder, "0123456789abcdef", path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  }
  return folder;
}

test("a published folder is found from above and from within", async (t) => {
  const folder = publishedFolder(t, new PublishedLog(300));
  for (const place of [folder, join(folder, "0123456789abcdef")]) {
    const [log, ...others] = folderLogs(place);
    assert.ok(log);
    assert.deepEqual(others, []);
    assert.equal((await checkLog(log.source, CHECK)).size, 300);
  }
  assert.equal(await folderSource(folder).read("0123456789abcdef/checkpoint/below"), undefined);
});

test("a folder without a log, and no folder at all, are no answer", (t) => {
  const folder = publishedFolder(t, new PublishedLog(1));
  for (const place of [join(folder, "0123456789abcdef", "tile"), join(folder, "nowhere")])
    assert.throws(() => folderLogs(place), { code: "ERR_LOGS" }, place);
});

test("a file beyond every bound is not read", async (t) => {
  const folder = publishedFolder(t, new PublishedLog(1));
  truncateSync(join(folder, "0123456789abcdef", "checkpoint"), 1024 * 1024 + 1);
  const source = folderSource(join(folder, "0123456789abcdef"));
  await assert.rejects(source.read("checkpoint"), { code: "ERR_LOG_FILE" });
});

test("a publisher's logs are found by its list, and read over HTTP", async () => {
  const log = new PublishedLog(300);
  const list = JSON.stringify({ logs: [{ origin: ORIGIN, id: "0123456789abcdef", vkeys: ["k"] }] });
  await withHttp(
    ({ url }) => {
      if (url === "/tlog/logs.json") return { status: 200, body: list };
      const file = log.files.get(url.replace("/tlog/0123456789abcdef/", ""));
      return file ? { status: 200, body: file } : { status: 404, body: "" };
    },
    async (base) => {
      const [found] = await httpLogs(`${base}/`);
      assert.equal(found?.origin, ORIGIN);
      assert.ok(found);
      assert.equal((await checkLog(found.source, CHECK)).size, 300);
      assert.equal(await httpSource(base).read("nothing"), undefined);
    },
  );
});

test("a list that leads elsewhere, and a publisher in trouble, are coded errors", async () => {
  for (const body of [
    "[]",
    "{}",
    '{"logs":[{"origin":"o","id":"../../x"}]}',
    '{"logs":[{"origin":"o"}]}',
  ])
    await withHttp(
      () => ({ status: 200, body }),
      async (base) => {
        await assert.rejects(
          httpLogs(base),
          { code: /^ERR_(REQUEST_MEMBER|JSON_NOT_OBJECT)$/ },
          body,
        );
      },
    );
  await withHttp(
    ({ url }) => ({ status: url.includes("logs.json") ? 404 : 500, body: "" }),
    async (base) => {
      await assert.rejects(httpLogs(base), { code: "ERR_FETCH" });
      await assert.rejects(httpSource(base).read("checkpoint"), {
        code: "ERR_FETCH",
        message: /500/,
      });
    },
  );
});
