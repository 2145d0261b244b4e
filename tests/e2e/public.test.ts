import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { promisify } from "node:util";
import { makeCertificate } from "@redoubt/testkit";
import { parseJsonObject } from "@redoubt/verify/json";
import { freeBasePort } from "./free-ports.ts";
import { blocksOf, follow } from "./guide.ts";
import { startSystem } from "./system.ts";
import { until } from "./until.ts";

const GUIDE = "public.md";
const NEEDED = ["/usr/sbin/nginx", "/usr/bin/openssl", "/usr/bin/jq", "/usr/bin/curl"];
const missing = NEEDED.find((path) => !existsSync(path));
const skip = missing === undefined ? false : `${missing} is missing (npm run setup)`;
const run = promisify(execFile);

/** nginx with the guide's own server block, on a port of loopback in place of 443. */
async function startNginx(folder: string, base: number, port: number) {
  const [block = ""] = blocksOf(GUIDE, "2. nginx", "nginx");
  const files = makeCertificate(folder, ["login.example.org", "DNS:login.example.org"]);
  const server = block
    .replaceAll("listen 443 ssl", `listen 127.0.0.1:${port} ssl`)
    .replaceAll("/etc/redoubt/tls.pem", files.certificate)
    .replaceAll("/etc/redoubt/tls.key", files.key)
    .replaceAll(/127\.0\.0\.1:740(\d)/g, (_, offset) => `127.0.0.1:${base + Number(offset)}`);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/nginx-${name};`,
  );
  const main = `daemon off; pid ${folder}/nginx.pid; error_log stderr; worker_processes 1;
events {} http { access_log off; ${paths.join(" ")} ${server} }`;
  writeFileSync(join(folder, "nginx.conf"), main);
  const nginx = spawn("/usr/sbin/nginx", ["-p", folder, "-c", join(folder, "nginx.conf")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = new Promise((resolve) => {
    nginx.once("close", resolve);
  });
  return {
    certificate: files.certificate,
    [Symbol.asyncDispose]: async () => {
      nginx.kill("SIGQUIT");
      await ended;
    },
  };
}

it(
  "docs/guide/public.md, to the letter: a public https issuer behind nginx",
  { skip },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "redoubt-public-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const home = join(folder, "home");
    mkdirSync(home);
    const port = await freeBasePort();
    const https = await freeBasePort();
    const reader = { folder, port, home };
    await follow({ guide: GUIDE, heading: "1. The data folder" }, reader);
    await using nginx = await startNginx(folder, port, https);
    const curlrc = [
      "max-time = 20",
      `cacert = "${nginx.certificate}"`,
      `connect-to = "::127.0.0.1:${https}"`,
    ];
    writeFileSync(join(home, ".curlrc"), curlrc.join("\n"));
    await using system = await startSystem({ folder: join(folder, ".redoubt"), port });

    const shown = await follow({ guide: GUIDE, heading: "4. A tenant and a client" }, reader);
    const [metadata = "", token = ""] = shown.trim().split(/(?<=\})(?=\{)/);
    const issuer = parseJsonObject(metadata)["issuer"];
    assert.ok(typeof issuer === "string");
    assert.match(issuer, /^https:\/\/login\.example\.org\/[0-9a-f-]{36}\/v2\.0$/);
    const { access_token: issued } = parseJsonObject(token);
    assert.ok(typeof issued === "string");
    const tenant = issuer.split("/")[3] ?? "";
    const named = ["--issuer", issuer, "--audience", "api://orders"];
    const verdict = await system.redoubt(["verify", "-", ...named], issued);
    assert.equal(verdict.code, 0, verdict.stderr);

    /** Status and the answer's code, of a request that comes to nginx from an address. */
    const ask = async (from: string, path: string, ...more: string[]) => {
      const url = `https://login.example.org${path}`;
      const write = ["-s", "-w", "\n%{http_code}", "--interface", from];
      const { stdout } = await run("curl", [...write, ...more, url], {
        env: { HOME: home, PATH: process.env["PATH"] },
      });
      return stdout;
    };
    // Reports reach the monitor, without the prefix; what is no read does not reach the publisher.
    assert.match(await ask("127.0.0.5", "/reports/vkey"), /witness.*\n200$/s);
    assert.match(await ask("127.0.0.5", "/reports/reports", "-d", "{}"), /401$/);
    assert.match(await ask("127.0.0.5", "/", "-X", "DELETE"), /403$/);

    // THREAT-39: the address is the one that nginx saw, whatever the client writes.
    const path = `/${tenant}/oauth2/v2.0/token`;
    const guess = (from: string) =>
    ask(from, path, "-u", "orders-worker:wrong", "-d", "grant_type=client_credentials",
      "-H", `X-Forwarded-For: 127.0.0.${Math.floor(Math.random() * 200) + 20}`); // prettier-ignore
    const answers: string[] = [];
    // oxlint-disable-next-line no-await-in-loop -- one after the other, as one guesser
    for (let i = 0; i < 25; i += 1) answers.push((await guess("127.0.0.5")).slice(-3));
    assert.deepEqual([answers[0], answers.at(-1)], ["401", "429"]);
    assert.match(await guess("127.0.0.6"), /401$/);
    const log = join(folder, ".redoubt", "up", "logs", "issuer-enterprise.ndjson");
    await until(
      "the burst is an event, with the guesser's address",
      () => readFileSync(log, "utf8"),
      (text) => text.split("\n").some((line) => /guessing.*127\.0\.0\.5/.test(line)),
    );
  },
);
