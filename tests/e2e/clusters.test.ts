import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Client, credentials } from "@grpc/grpc-js";
import { nowSeconds, systemClock } from "@redoubt/base";
import { call, PATHS } from "@redoubt/kube-front/testing/cluster";
import { decodeMessage, encodeMessage } from "@redoubt/kube-front/testing/proto";
import { podClaims, segment } from "@redoubt/signer/testing/cluster";
import { isJsonObject, parseJson, parseJsonObject } from "@redoubt/verify/json";
import { createLocalJWKSet, jwtVerify } from "jose";
import { freeBasePort } from "./free-ports.ts";
import { follow } from "./guide.ts";
import { redoubt, startSystem, type System } from "./system.ts";
import { until } from "./until.ts";

const REALM = "prod";
const ISSUER = "https://prod.clusters.example";
const GUIDE = { guide: "kubernetes.md", heading: "Make the cluster's realm" };
/** docs/spec/reports.md §4: a digest that nobody reports is an alarm after this time. */
const UNDELIVERED_MS = 45_000;

describe("docs/guide/kubernetes.md, to the letter: a cluster's realm on a system that init made", () => {
  const root = mkdtempSync(join(tmpdir(), "redoubt-cluster-"));
  const data = join(root, ".redoubt");
  const run = (...args: readonly string[]) => redoubt(["--json", "--data", data, ...args]);
  const add = ["clusters", "add", REALM, "--issuer", ISSUER];
  let port = 0;
  let system: System;
  let signedAt = 0;

  before(async () => {
    chmodSync(root, 0o700);
    port = await freeBasePort();
    const made = await run("init", "--port", String(port));
    assert.equal(made.code, 0, made.stderr);
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  it("a crash half way leaves a system that starts, without the cluster", async () => {
    // What stands there keeps the settings from being written: every other step is done by then.
    const blocked = join(data, "up", "settings.json.new");
    mkdirSync(blocked);
    assert.equal((await run(...add)).code, 1);
    assert.ok(existsSync(join(data, "signer-prod", "ring.key")));
    rmdirSync(blocked);
    await using half = await startSystem({ folder: data, port });
    assert.deepEqual(parseJson((await run("clusters")).stdout), []);
    assert.equal((await half.status())["signer-prod"], undefined);
    const { code, stdout } = await run("status");
    assert.equal(code, 0, stdout);
    const token = await half.redoubt(["token"]);
    assert.equal(token.code, 0, token.stderr);
    assert.match((await run(...add)).stdout, /ERR_ALREADY_RUNNING/);
  });

  it("the commands of the guide finish the work, and every process starts", async () => {
    const told = await follow(GUIDE, { folder: root, port });
    assert.match(told, /--service-account-issuer=https:\/\/prod\.clusters\.example\n/);
    system = await startSystem({ folder: data, port });
    const status = await system.status();
    for (const name of ["signer-prod", "kube-front-prod"]) {
      assert.equal(status[name]?.["ready"], true, name);
      assert.equal(lstatSync(join(data, name)).mode & 0o777, 0o700);
    }
    const metrics = await (await fetch(`http://127.0.0.1:${port + 4}/metrics`)).text();
    assert.match(
      metrics,
      /redoubt_kube_signer_connected\{process="kube-front-prod",realm="prod"\} 1/,
    );
    const labels = (await run("status")).stdout;
    assert.match(labels, /kubernetes: tokens are not reported/);
  });

  it("kube-apiserver gets a token, which verifies by what the publisher serves", async () => {
    const token = await sign(socketOf(await run("clusters", "list")));
    signedAt = performance.now();
    const site = `http://127.0.0.1:${port}`;
    const page = await (await fetch(`${site}/.well-known/openid-configuration`)).text();
    const document = parseJsonObject(page);
    assert.equal(document["issuer"], ISSUER);
    assert.equal(document["jwks_uri"], `${ISSUER}/keys`);
    assert.equal(document["token_endpoint"], undefined);
    const keys: { keys: [] } = JSON.parse(await (await fetch(`${site}/keys`)).text());
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), {
      issuer: ISSUER,
      audience: "vault",
    });
    assert.equal(payload.sub, "system:serviceaccount:payments:ledger");
    assert.ok((payload.exp ?? 0) - (payload.iat ?? 0) === 3607);
    const { deliveries } = (await system.status())["kube-front-prod"] ?? {};
    assert.ok(isJsonObject(deliveries), JSON.stringify(deliveries));
  });

  it("keys, tenants and roots are those of any realm", async () => {
    const reason = ["--reason", "test"];
    const early = await run("keys", "rotate", "--realm", REALM, ...reason);
    assert.match(early.stdout, /ERR_SIGNER_NO_STANDBY/);
    const other = await run("keys", "rotate", "--realm", "test", ...reason);
    assert.match(other.stdout, /ERR_OPTION.*realms are consumer, enterprise, prod/);
    const added = await run("tenants", "add", "--realm", REALM, "--audience", "istio-ca");
    assert.equal(added.code, 0, added.stderr);
    assert.deepEqual(parseJsonObject(added.stdout)["audiences"], [ISSUER, "istio-ca", "vault"]);
    const roots = await run("keys", "ceremony", "show");
    assert.match(roots.stdout, /"prod"/);
  });

  it("a backup has it, and the system is well: nothing is undelivered", async () => {
    const copy = join(root, "copy");
    const made = await run("backup", copy);
    assert.equal(made.code, 0, made.stderr);
    for (const part of ["signer-prod/ring.key", "kube-front-prod/config.json"])
      assert.ok(existsSync(join(copy, part)), part);
    assert.ok(!existsSync(join(copy, "kube-front-prod", "deliveries.journal")));
    await pause(Math.max(0, signedAt + UNDELIVERED_MS + 5000 - performance.now()));
    const { code, stdout } = await run("status");
    assert.equal(code, 0, stdout);
    const { stdout: alarms } = await run("alarms");
    assert.ok(!alarms.includes("undelivered"), alarms);
  });

  it("a key that must go is replaced by the standby", async () => {
    const reason = ["--reason", "test"];
    const listed = parseJson((await run("keys", "list")).stdout);
    assert.ok(Array.isArray(listed));
    const active = listed
      .filter(isJsonObject)
      .find(({ realm, state }) => realm === REALM && state === "active");
    const old = textOf(active?.["kid"]);
    const ended = await run("keys", "taint", old, "--yes", "--stop-issuing", ...reason);
    assert.equal(ended.code, 2, ended.stderr);
    const rotated = await run("keys", "rotate", "--realm", REALM, "--early", ...reason);
    assert.equal(rotated.code, 0, rotated.stderr);
    const kid = textOf(parseJsonObject(rotated.stdout)["kid"]);
    const [header = ""] = (await sign(socketOf(await run("clusters", "list")))).split(".");
    assert.equal(parseJsonObject(Buffer.from(header, "base64url"))["kid"], kid);
  });

  it("said again it changes nothing, and another issuer is refused", async () => {
    await system.stop();
    const listed = (await run("clusters", "list")).stdout;
    const again = await run(...add, "--audience", ISSUER, "--audience", "vault");
    assert.equal(again.code, 0, again.stderr);
    assert.equal((await run("clusters", "list")).stdout, listed);
    const other = await run(...add.slice(0, 3), "--issuer", "https://other.example");
    assert.match(other.stdout, /ERR_OPTION.*has the issuer/);
  });
});

function socketOf({ stdout }: { readonly stdout: string }): string {
  const clusters = parseJson(stdout);
  const [first] = Array.isArray(clusters) ? clusters : [];
  return textOf(isJsonObject(first) ? first["socket"] : undefined);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : assert.fail(JSON.stringify(value));
}

/** The token as kube-apiserver puts it together, for a pod. */
async function sign(socket: string): Promise<string> {
  const client = new Client(`unix:${socket}`, credentials.createInsecure());
  try {
    const asked = () => {
      const now = nowSeconds(systemClock);
      const aud = [ISSUER, "vault"];
      const claims = segment(podClaims(now, { iss: ISSUER, aud, exp: now + 3607 }));
      return call(client, PATHS.sign, encodeMessage("SignJWTRequest", { claims })).then(
        (answer) => {
          const { header, signature } = decodeMessage("SignJWTResponse", answer);
          return `${String(header)}.${claims}.${String(signature)}`;
        },
      );
    };
    return await until(
      "the signer signs",
      () => asked().catch(String),
      (text) => text.split(".").length === 3,
    );
  } finally {
    client.close();
  }
}
