import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { METRICS } from "@redoubt/wire";
import { isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import { startSystem, type System } from "./system.ts";
import { until } from "./until.ts";

const PROMTOOL = "/usr/bin/promtool";
const NO_PROMTOOL = !existsSync(PROMTOOL) && "Debian package prometheus is missing: npm run setup";

function promtool(args: readonly string[], input: string): void {
  const { status, stdout, stderr } = spawnSync(PROMTOOL, args, { input, encoding: "utf8" });
  assert.equal(status, 0, `${stdout}${stderr}`);
}

describe("what an operator's monitoring sees", () => {
  let system: System;
  before(async () => {
    system = await startSystem();
    assert.equal((await system.redoubt(["token"])).code, 0);
  });
  after(() => system[Symbol.asyncDispose]());

  async function get(path: string) {
    const answer = await fetch(`http://127.0.0.1:${system.base + 4}${path}`);
    return { status: answer.status, text: await answer.text() };
  }

  it("THREAT-32: nothing under a foreign name, by another method, or at another address", async () => {
    const port = system.base + 4;
    const ask = (options: object) =>
      new Promise<number | undefined>((resolve, reject) => {
        const asked = request({ host: "127.0.0.1", port, ...options }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        asked.on("error", reject).end();
      });
    for (const path of ["/metrics", "/livez", "/readyz"]) {
      assert.equal(await ask({ path }), 200);
      assert.equal(await ask({ path, headers: { host: `rebound.example:${port}` } }), 421);
      assert.equal(await ask({ path, method: "POST" }), 405);
      await assert.rejects(ask({ path, host: "127.0.0.2" }), { code: "ECONNREFUSED" });
    }
    assert.equal(await ask({ path: "/constructor" }), 404);
  });

  it("metrics in a form that promtool accepts", { skip: NO_PROMTOOL }, async () => {
    promtool(["check", "metrics"], (await get("/metrics")).text);
  });

  it("the alert rules of the guide, which name metrics that exist", { skip: NO_PROMTOOL }, () => {
    const guide = readFileSync("docs/guide/monitoring.md", "utf8");
    const rules = /```yaml\n(groups:\n[^`]+)```/.exec(guide)?.[1] ?? assert.fail("no rules");
    const folder = mkdtempSync(join(tmpdir(), "redoubt-rules-"));
    try {
      writeFileSync(join(folder, "rules.yaml"), rules);
      promtool(["check", "rules", join(folder, "rules.yaml")], "");
    } finally {
      rmSync(folder, { recursive: true });
    }
    assert.equal(rules.match(/- alert:/g)?.length, 5);
    const named = guide.match(/\bredoubt_[a-z_]+/g) ?? [];
    for (const name of named) assert.ok(METRICS.has(name.replace(/_bucket$/, "")), name);
  });

  it("numbers of all eight processes, each that is declared for them", async () => {
    const text = await until(
      "the token is issued, committed and cosigned",
      async () => (await get("/metrics")).text,
      (seen) =>
        /^redoubt_token_issuance_seconds_count\{.*realm="enterprise"\} 1$/m.test(seen) &&
        /^redoubt_batches_committed_total\{process="ledger"\} [1-9]/m.test(seen) &&
        seen.match(/^redoubt_signer_cosignature_age_seconds\{/gm)?.length === 1,
    );
    assert.equal(text.match(/^redoubt_up\{[^}]*\} 1$/gm)?.length, 8);
    assert.match(text, /^redoubt_alarms_open\{process="monitor",severity="critical"\} 0$/m);
    assert.match(
      text,
      /^redoubt_log_entries\{process="ledger",log="redoubt.local\/registry"\} [1-9]/m,
    );
    // An empty log has no cosignature, and wakes nobody.
    assert.doesNotMatch(text, /^redoubt_log_cosignature_age_seconds\{[^}]*consumer/m);
    // Nothing has happened yet that these count or date, and no kube-front runs here.
    const absent = [...METRICS.keys()].filter((name) => !text.includes(`# TYPE ${name} `));
    assert.deepEqual(absent.toSorted(), ABSENT);
  });

  it("THREAT-34: refusals by code, and no tenant, client, audience or secret", async () => {
    const wrong = system.announcement.token.replace(/ -u \S+ /, " -u stranger-7:wrong-secret ");
    spawnSync("/bin/sh", ["-c", wrong]);
    const { text } = await get("/metrics");
    assert.match(
      text,
      /^redoubt_tokens_refused_total\{process="issuer-enterprise",realm="enterprise",code="ERR_ISSUER_[A-Z_]+"\} 1$/m,
    );
    const demo = parseJsonObject(readFileSync(`${system.folder}/up/demo.json`, "utf8"));
    const secrets = Object.values(demo).flatMap((list) => (Array.isArray(list) ? list : []));
    const words = secrets.flatMap((one) =>
      Object.entries(isJsonObject(one) ? one : {}).flatMap(([name, value]) =>
        name === "realm" || typeof value !== "string" ? [] : [value],
      ),
    );
    assert.ok(words.length >= 10);
    for (const word of [...words, "stranger-7", "wrong-secret", "127.0.0.1"])
      assert.equal(text.includes(word), false, word);
    // Neither a tenant's id, nor a digest, a key or a secret in base64url.
    assert.doesNotMatch(text, /[0-9a-f]{8}-[0-9a-f]{4}-|"[\w-]{43}"/);
  });

  it("P4: a process that is frozen is down, within a second, and named by /readyz", async () => {
    const pid = await system.pidOf("monitor");
    process.kill(pid, "SIGSTOP");
    try {
      const startedAt = performance.now();
      const { text } = await get("/metrics");
      assert.ok(performance.now() - startedAt < 5000);
      assert.match(text, /^redoubt_up\{process="monitor"\} 0$/m);
      assert.match(text, /^redoubt_ready\{process="monitor"\} 0$/m);
      assert.match(text, /^redoubt_up\{process="ledger"\} 1$/m);
      const ready = await get("/readyz");
      assert.equal(ready.status, 503);
      assert.match(ready.text, /^monitor: does not answer$/m);
      assert.deepEqual(await get("/livez"), { status: 200, text: "live\n" });
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await until(
      "ready again",
      () => get("/readyz"),
      ({ status }) => status === 200,
    );
  });

  it("a process that is killed is down, then counted as started again", async () => {
    process.kill(await system.pidOf("publisher"), "SIGKILL");
    const { text } = await get("/metrics");
    assert.match(text, /^redoubt_up\{process="publisher"\} 0$/m);
    const { status, text: why } = await get("/readyz");
    assert.equal(status, 503);
    assert.match(why, /^publisher: (does not run|does not answer|is starting)$/m);
    await until(
      "started again",
      async () => (await get("/metrics")).text,
      (seen) =>
        /^redoubt_restarts_total\{process="publisher"\} 1$/m.test(seen) &&
        /^redoubt_ready\{process="publisher"\} 1$/m.test(seen),
    );
  });
});

const ABSENT = [
  "redoubt_kube_calls_under_way",
  "redoubt_kube_signer_connected",
  "redoubt_report_age_seconds",
  "redoubt_tokens_refused_total",
  "redoubt_webhooks_dead",
  "redoubt_webhooks_waiting",
];
