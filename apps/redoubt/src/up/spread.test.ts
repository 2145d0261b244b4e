import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { checkPrivateFolder, readPrivateFile } from "@redoubt/base";
import { readSocketSecret, socketPlace } from "@redoubt/wire";
import { loopbackPlan } from "../init/init.ts";
import { enableLeases } from "../leases/enable-leases.ts";
import { callersOf, NOTHING_MORE, SERVICES, servicesOf, userOf } from "../layout.ts";
import { addCluster } from "../clusters/add-cluster.ts";
import { extentOf, readSettings } from "../settings.ts";
import { CLUSTER_TENANTS } from "../layout.ts";
import { lockDataFolder } from "./data-folder.ts";
import { setUp } from "./set-up.ts";
import { ownersOf, readUsers, spread, type Owner, type User } from "./spread.ts";

// This process stays the owner, so that the checks of every owner can be made by it.
const ME: User = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const USERS: ReadonlyMap<Owner, User> = new Map(
  [...SERVICES, "presence" as const, "operator" as const].map((owner) => [owner, ME]),
);
const EXTENT = { ...NOTHING_MORE, presence: true };
const SOCKETS = "/run/redoubt";

describe("a data folder spread to its users", () => {
  const root = mkdtempSync(join(tmpdir(), "redoubt-spread-"));
  const from = join(root, "data");
  const to = join(root, "lib");
  before(async () => {
    mkdirSync(from, { mode: 0o700 });
    await setUp(from, loopbackPlan(7400), new Date());
    writeFileSync(join(from, "ledger", "published", "logs.json"), "{}", { mode: 0o600 });
    symlinkSync("/etc/passwd", join(from, "ledger", "link"));
    mkdirSync(to);
    spread({ from, to, sockets: SOCKETS, users: USERS });
  });
  after(() => rmSync(root, { recursive: true }));

  it("gives each its own folder, and of the others the places where it calls them", () => {
    assert.deepEqual(readdirSync(to).toSorted(), ownersOf(EXTENT).toSorted());
    assert.deepEqual(readdirSync(join(to, "signer-consumer")).toSorted(), [
      "ledger",
      "monitor",
      "signer-consumer",
    ]);
    assert.deepEqual(readdirSync(join(to, "signer-consumer", "ledger", "s")), ["signer-consumer"]);
    assert.equal(existsSync(join(to, "operator", "up", "operator.key")), true);
    assert.equal(existsSync(join(to, "operator", "up", "lock.db")), false);
    for (const service of servicesOf(EXTENT)) {
      const config = readPrivateFile(join(to, service, service, "config.json"));
      assert.ok(config.length > 0);
    }
  });

  it("THREAT-32: keeps the checks of folders and secrets, at both ends of each socket", () => {
    for (const service of servicesOf(EXTENT)) {
      checkPrivateFolder(join(to, service, service));
      for (const caller of callersOf(service, EXTENT)) {
        const known = readSocketSecret(socketPlace(from, service, caller)).reveal();
        const theirs = socketPlace(join(to, userOf(service, caller)), service, caller);
        for (const place of [socketPlace(join(to, service), service, caller), theirs])
          assert.equal(readSocketSecret(place).reveal(), known);
        assert.equal(readlinkSync(theirs.path), join(SOCKETS, service, caller, "sock"));
      }
    }
  });

  it("opens what is published and nothing else, and follows no link", () => {
    const ledger = join(to, "ledger", "ledger");
    assert.equal(lstatSync(join(ledger, "published")).mode & 0o777, 0o755);
    assert.equal(lstatSync(join(ledger, "published", "logs.json")).mode & 0o777, 0o644);
    assert.equal(existsSync(join(ledger, "link")), false);
    checkPrivateFolder(join(to, "publisher", "ledger", "published"));
  });

  it("overwrites nothing, and is not made of a folder that is in use or open to others", () => {
    const again = { from, to, sockets: SOCKETS, users: USERS };
    assert.throws(() => spread(again), { code: "ERR_DATA_FOLDER" });
    const fresh = { ...again, to: join(root, "fresh") };
    mkdirSync(fresh.to);
    {
      using _ = lockDataFolder(from);
      assert.throws(() => spread(fresh), { code: "ERR_ALREADY_RUNNING" });
    }
    chmodSync(from, 0o755);
    assert.throws(() => spread(fresh), { code: "ERR_FILE_MODE" });
    chmodSync(from, 0o700);
    assert.deepEqual(readdirSync(fresh.to), []);
  });

  it("leaves the labels of a signer but the one that says one user", () => {
    const config = readFileSync(join(to, "signer-consumer", "signer-consumer", "config.json"));
    assert.equal(config.includes("isolation: none"), false);
    assert.equal(config.includes("roots: demo"), true);
  });
});

describe("a data folder with leases and a cluster, spread to its users", () => {
  const root = mkdtempSync(join(tmpdir(), "redoubt-spread-"));
  const from = join(root, "data");
  const to = join(root, "lib");
  const extent = { clusters: ["prod"], leased: ["consumer", "enterprise"], presence: true };
  const users = new Map(ownersOf(extent).map((owner) => [owner, ME]));
  before(async () => {
    mkdirSync(from, { mode: 0o700 });
    await setUp(from, loopbackPlan(7400), new Date());
    const cluster = {
      realm: "prod",
      issuer: "https://prod.clusters.example",
      tenant: CLUSTER_TENANTS[0] ?? "",
      audiences: ["https://prod.clusters.example"],
      maxLifetimeSeconds: undefined,
    };
    // What a signer had sealed before there were leases.
    const custody = join(from, "signer-consumer", "custody");
    mkdirSync(custody, { recursive: true, mode: 0o700 });
    writeFileSync(join(custody, "passphrase"), "known", { mode: 0o600 });
    await enableLeases(from, readSettings(from), 0);
    await addCluster(from, readSettings(from), cluster, new Date());
    assert.deepEqual(extentOf(readSettings(from)), extent);
    mkdirSync(to);
    spread({ from, to, sockets: SOCKETS, users });
  });
  after(() => rmSync(root, { recursive: true }));

  it("gives broker, gateways and front a folder each, and a place at whom they call", () => {
    assert.deepEqual(readdirSync(to).toSorted(), ownersOf(extent).toSorted());
    assert.deepEqual(readdirSync(join(to, "broker")).toSorted(), ["broker", "ledger", "monitor"]);
    assert.deepEqual(readdirSync(join(to, "custody-consumer")), ["custody-consumer"]);
    assert.deepEqual(readdirSync(join(to, "signer-consumer")).toSorted(), [
      "broker",
      "custody-consumer",
      "ledger",
      "monitor",
      "signer-consumer",
    ]);
    assert.deepEqual(readdirSync(join(to, "kube-front-prod")).toSorted(), [
      "kube-front-prod",
      "monitor",
      "signer-prod",
    ]);
    for (const service of servicesOf(extent))
      for (const caller of callersOf(service, extent)) {
        const known = readSocketSecret(socketPlace(from, service, caller)).reveal();
        const theirs = socketPlace(join(to, userOf(service, caller)), service, caller);
        for (const place of [socketPlace(join(to, service), service, caller), theirs])
          assert.equal(readSocketSecret(place).reveal(), known);
        assert.equal(readlinkSync(theirs.path), join(SOCKETS, service, caller, "sock"));
      }
  });

  it("THREAT-32: the keys are in the gateway's folder, and in nobody else's", () => {
    const holders = readdirSync(to).filter((owner) =>
      readdirSync(join(to, owner), { recursive: true }).some((path) =>
        String(path).endsWith("/passphrase"),
      ),
    );
    assert.deepEqual(holders, ["custody-consumer"]);
    const keys = join(to, "custody-consumer", "custody-consumer", "keys", "passphrase");
    assert.equal(readFileSync(keys, "utf8"), "known");
  });
});

describe("the users of a machine", () => {
  it("are found by name, and root is none of them", () => {
    const passwd = [
      "root:x:0:0:root:/root:/bin/bash",
      "redoubt-ledger:x:998:997:Redoubt:/var/lib/redoubt/ledger:/usr/sbin/nologin",
      "redoubt-monitor:x:0:0::/:",
      "redoubt-publisher:x::996::/:",
      "redoubt-stranger:x:995:995::/:",
      "",
    ].join("\n");
    const owners = ownersOf(NOTHING_MORE);
    assert.deepEqual([...readUsers(passwd, owners)], [["ledger", { uid: 998, gid: 997 }]]);
  });
});
