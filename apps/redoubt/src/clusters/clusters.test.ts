import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { readPrivateFile } from "@redoubt/base";
import { parseConfig } from "@redoubt/signer";
import { loopbackPlan } from "../init/init.ts";
import { CLUSTER_TENANTS } from "../layout.ts";
import { readSettings, writeSettings } from "../settings.ts";
import { testCluster, testSettings } from "../testing/settings.ts";
import { checkDataFolder } from "../up/data-folder.ts";
import { setUp } from "../up/set-up.ts";
import { addCluster } from "./add-cluster.ts";
import { chooseCluster } from "./choose-cluster.ts";

const ISSUER = "https://prod.clusters.example";
const SETTINGS = testSettings();
const OPTION = { code: "ERR_OPTION" };

test("a cluster has a name of its own, and the issuer for its only audience", () => {
  const choice = chooseCluster(SETTINGS, "prod", { issuer: ISSUER });
  assert.deepEqual(choice.audiences, [ISSUER]);
  assert.equal(choice.tenant, CLUSTER_TENANTS[0]);
  for (const realm of ["consumer", "enterprise", "", "Prod", "a_b", "../x", "a".repeat(33)])
    assert.throws(() => chooseCluster(SETTINGS, realm, { issuer: ISSUER }), OPTION, realm);
});

test("THREAT-01: issuers are apart, also by what the publisher sees of them", () => {
  for (const issuer of [
    "http://prod.clusters.example",
    `${ISSUER}/`,
    `${ISSUER}/keys`,
    `${ISSUER}/tlog/a`,
    `${ISSUER}/.well-known`,
    `${ISSUER}/consumer/v2.0`,
    `${ISSUER}/11111111-2222-4333-8444-555555555555/v2.0`,
  ])
    assert.throws(() => chooseCluster(SETTINGS, "prod", { issuer }), OPTION, issuer);
  const taken = { ...SETTINGS, clusters: [testCluster("other")] };
  assert.throws(() => chooseCluster(taken, "prod", { issuer: ISSUER }), OPTION);
  const apart = chooseCluster(taken, "prod", { issuer: `${ISSUER}/prod` });
  assert.equal(apart.issuer, `${ISSUER}/prod`);
});

test("an issuer stays, and there is a tenant for seven clusters", () => {
  const one = { ...SETTINGS, clusters: [testCluster("prod")] };
  assert.throws(() => chooseCluster(one, "prod", { issuer: `${ISSUER}/b` }), OPTION);
  const clusters = CLUSTER_TENANTS.map((tenant, i) => {
    const cluster = testCluster(`c${i}`);
    return { ...cluster, tenant, issuer: `${cluster.issuer}/c${i}` };
  });
  assert.throws(() => chooseCluster({ ...SETTINGS, clusters }, "prod", { issuer: ISSUER }), {
    ...OPTION,
    message: /at most 7 clusters/,
  });
});

async function madeFolder(t: TestContext): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), "redoubt-clusters-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  await setUp(root, loopbackPlan(8080), new Date());
  return root;
}

function add(folder: string, maxLifetime?: number, now = new Date("2026-12-31")) {
  const settings = readSettings(folder);
  const options = { issuer: ISSUER, ...(maxLifetime !== undefined && { maxLifetime }) };
  return addCluster(folder, settings, chooseCluster(settings, "prod", options), now);
}

function contents(folder: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = files.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  return new Map(paths.map((path) => [path, readFileSync(path, "latin1")]));
}

test("without the settings the system is as before; a later call finishes with the same log and keys", async (t) => {
  const folder = await madeFolder(t);
  const before = readSettings(folder);
  const first = await add(folder);
  // As a crash before the last step leaves it.
  writeSettings(folder, before);
  assert.deepEqual(checkDataFolder(folder).clusters, []);
  const again = await add(folder, undefined, new Date("2027-01-01"));
  assert.deepEqual(again, first);
  assert.deepEqual(checkDataFolder(folder).clusters, [first]);
});

test("said again it changes no file; another lifetime changes the ring alone", async (t) => {
  const folder = await madeFolder(t);
  await add(folder);
  cpSync(join(folder, "signer-prod"), join(folder, "kept"), { recursive: true });
  const made = contents(folder);
  await add(folder);
  assert.deepEqual(contents(folder), made);
  await add(folder, 900);
  const read = (part: string) => parseConfig(readPrivateFile(join(folder, part, "config.json")));
  assert.equal(read("kept").rings[0]?.maxLifetimeSeconds, 3660);
  assert.equal(read("signer-prod").rings[0]?.maxLifetimeSeconds, 900);
  assert.equal(read("signer-prod").kubernetes?.tenant, CLUSTER_TENANTS[0]);
});
