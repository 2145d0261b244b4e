import assert from "node:assert/strict";
import { request } from "node:http";
import { createServer } from "node:net";
import { test } from "node:test";
import { boundedView } from "../up/supervisor.ts";
import { serveStatusPage } from "../up/status-page.ts";
import { factsOf } from "../testing/page-facts.ts";
import { statusPages } from "./pages.ts";

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.listen({ port: 0, host: "127.0.0.1" }, () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("none")),
      );
    });
  });
}

function ask(port: number, options: object): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path: "/", ...options }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asked.on("error", reject).end();
  });
}

test("THREAT-32: page, fragment, style sheet and script from one origin, nothing inline, under no other name", async () => {
  const port = await freePort();
  await using _ = await serveStatusPage(
    port,
    statusPages(() => Promise.resolve(factsOf())),
  );
  const types = {
    "/": "text/html; charset=utf-8",
    "/fragment": "text/html; charset=utf-8",
    "/style.css": "text/css; charset=utf-8",
    "/live.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
  };
  for (const [path, type] of Object.entries(types)) {
    // oxlint-disable-next-line no-await-in-loop -- a handful, and a failure names its path
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, type], path);
    assert.match(
      answer.headers.get("content-security-policy") ?? "",
      /^default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';/,
    );
  }
  assert.equal(await ask(port, { headers: { host: "rebound.example" } }), 421);
  assert.equal(await ask(port, { method: "POST" }), 405);
  assert.equal(await ask(port, { path: "/../page.ts" }), 404);
  assert.equal(await ask(port, { path: "/toString" }), 404);
});

test("a reading that fails is a page that says so", async () => {
  const pages = statusPages(() => Promise.reject(new Error("no <answer>")));
  const shown = await pages["/"]?.();
  assert.equal(shown?.status, 503);
  assert.match(shown?.body ?? "", /<title>1 thing needs you: the system cannot be read</);
  assert.match(shown?.body ?? "", /no &lt;answer&gt;/);
});

test("P4: a process that says too much is shown without its words, and hides no other", () => {
  let deep: unknown = 1;
  for (let i = 0; i < 100; i += 1) deep = [deep];
  const seen = { ready: true, restarts: 1, pid: 7, startedAt: 5 };
  for (const own of [{ deep }, { long: "a".repeat(200_000) }]) {
    assert.deepEqual(boundedView({ ...own, ...seen }), { ...seen, unreadable: true });
  }
  const well = { ...seen, reason: "x" };
  assert.deepEqual(boundedView(well), well);
});
