import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { CALLERS, REALMS, roleOf, SERVICES, userOf, type ServiceName } from "../layout.ts";
import { commandOf, repository } from "./launch.ts";
import { STOP_ORDER } from "./supervisor.ts";

const UNITS = join(repository, "deploy", "systemd");
const FILES = readdirSync(UNITS);
const INSTALLED = "/opt/redoubt";
const NO_SYSTEMD =
  spawnSync("systemd-analyze", ["--version"]).status === 0
    ? false
    : "systemd is not installed (npm run setup)";

/** The settings of one unit, each with its values in order; `%i` is the instance. */
class Unit {
  readonly name: string;
  readonly #values = new Map<string, string[]>();

  /** @param name as systemd takes it, with an instance: `a@b.service` */
  constructor(name: string) {
    this.name = name;
    const [, instance = ""] = /@([^.]*)\./.exec(name) ?? [];
    const text = readFileSync(join(UNITS, name.replace(/@[^.]*\./, "@.")), "utf8");
    for (const line of text.replaceAll(/\\\n\s*/g, "").split("\n")) {
      const [, key, value] = /^([A-Za-z]+)=(.*)$/.exec(line.replaceAll("%i", instance)) ?? [];
      if (key === undefined || value === undefined) continue;
      this.#values.set(key, [...(this.#values.get(key) ?? []), value]);
    }
  }

  all(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  /** The only value. */
  one(key: string): string {
    const values = this.all(key);
    assert.equal(values.length, 1, `${this.name}: ${key}`);
    return values[0] ?? "";
  }

  words(key: string): readonly string[] {
    return this.all(key).flatMap((value) => value.split(" ").filter((word) => word !== ""));
  }
}

const FRONTS: readonly string[] = STOP_ORDER[0] ?? [];

function unitOf(service: ServiceName): Unit {
  const { kind, realm } = roleOf(service);
  return new Unit(`redoubt-${kind}${realm === undefined ? "" : `@${realm}`}.service`);
}

const SYSUSERS = readFileSync(join(UNITS, "redoubt.sysusers.conf"), "utf8");
const USERS = new Map(
  SYSUSERS.split("\n")
    .map((line) => /^u (\S+) - "[^"]+" (\S+)$/.exec(line))
    .flatMap((match) => (match ? [[match[1] ?? "", match[2] ?? ""] as const] : [])),
);

for (const service of SERVICES)
  describe(`the unit of ${service}`, () => {
    const unit = unitOf(service);
    const folder = `/var/lib/redoubt/${service}`;
    const command = commandOf(service, folder, INSTALLED);

    it("THREAT-33: starts what the supervisor starts, with these permissions and no more", () => {
      assert.deepEqual(unit.words("ExecStart"), [`${INSTALLED}/bin/node`, ...command.args]);
      assert.equal(unit.one("WorkingDirectory"), folder);
      const variables = unit.words("Environment").map((word) => word.split("="));
      assert.deepEqual(Object.fromEntries(variables), command.environment);
      assert.deepEqual(unit.all("PassEnvironment"), []);
      assert.deepEqual(unit.all("EnvironmentFile"), []);
    });

    it("has a user and a folder of its own, and leaves no core file", () => {
      const user = `redoubt-${service}`;
      assert.equal(unit.one("User"), user);
      assert.equal(unit.one("Group"), user);
      assert.deepEqual(unit.all("SupplementaryGroups"), []);
      assert.equal(USERS.get(user), folder);
      assert.equal(unit.one("StateDirectory"), `redoubt/${service}`);
      assert.equal(unit.one("StateDirectoryMode"), "0700");
      // THREAT-19.
      assert.equal(unit.one("LimitCORE"), "0");
      assert.equal(unit.one("CoredumpFilter"), "0x0");
    });

    it("THREAT-32: has one socket for each caller, which that caller's user alone can open", () => {
      const found = unit.words("Sockets").map((name): readonly [string, object] => {
        const socket = new Unit(name);
        assert.equal(socket.one("Service"), unit.name);
        assert.equal(socket.one("SocketMode"), "0600");
        assert.equal(socket.one("DirectoryMode"), "0755");
        assert.equal(socket.one("SocketUser"), socket.one("SocketGroup"));
        assert.ok(USERS.has(socket.one("SocketUser")), socket.one("SocketUser"));
        return [
          socket.one("FileDescriptorName"),
          { user: socket.one("SocketUser"), path: socket.one("ListenStream") },
        ];
      });
      const wanted = CALLERS[service].map((caller): readonly [string, object] => [
        caller,
        {
          user: `redoubt-${userOf(service, caller)}`,
          path: `/run/redoubt/${service}/${caller}/sock`,
        },
      ]);
      assert.equal(found.length, wanted.length);
      assert.deepEqual(Object.fromEntries(found), Object.fromEntries(wanted));
      assert.deepEqual(unit.words("Requires"), unit.words("Sockets"));
    });
  });

describe("the units", () => {
  it("are each of a service, or a socket that a service names", () => {
    const used = SERVICES.map(unitOf).flatMap((unit) => [unit.name, ...unit.words("Sockets")]);
    const files = new Set(used.map((name) => name.replace(/@[^.]*\./, "@.")));
    assert.deepEqual([...files, "redoubt.sysusers.conf"].toSorted(), FILES.toSorted());
  });

  it("give signers no network at all, and nobody more than this machine", () => {
    for (const service of SERVICES) {
      const unit = unitOf(service);
      assert.equal(unit.one("IPAddressDeny"), "any");
      if (roleOf(service).kind !== "signer") {
        assert.equal(unit.one("IPAddressAllow"), "localhost");
        continue;
      }
      assert.equal(unit.one("PrivateNetwork"), "yes");
      assert.equal(unit.one("RestrictAddressFamilies"), "AF_UNIX");
      assert.deepEqual(unit.all("IPAddressAllow"), []);
    }
  });

  it("score at most 2.0 of 10 points of exposure", { skip: NO_SYSTEMD }, () => {
    for (const name of FILES.filter((file) => file.endsWith(".service"))) {
      const args = ["security", "--offline=yes", "--threshold=20", join(UNITS, name)];
      const { status, stdout } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
      assert.equal(status, 0, stdout.slice(-200));
      assert.match(stdout, /Overall exposure level/);
    }
  });

  it("are understood by systemd without a word", { skip: NO_SYSTEMD }, (t) => {
    const root = mkdtempSync(join(tmpdir(), "redoubt-units-"));
    t.after(() => rmSync(root, { recursive: true }));
    // Only Node.js itself is not where it will be: nothing may be put into /opt for a test.
    const node = join(root, "node");
    writeFileSync(node, "");
    chmodSync(node, 0o755);
    const units = join(root, "units");
    mkdirSync(units);
    for (const name of FILES) {
      cpSync(join(UNITS, name), join(units, name));
      const text = readFileSync(join(units, name), "utf8");
      writeFileSync(join(units, name), text.replace(`${INSTALLED}/bin/node`, node));
    }
    const names = SERVICES.map(unitOf).flatMap((unit) => [unit.name, ...unit.words("Sockets")]);
    const { status, stdout, stderr } = spawnSync(
      "systemd-analyze",
      ["verify", "--man=no", ...names],
      { encoding: "utf8", env: { ...process.env, SYSTEMD_UNIT_PATH: `${units}:` } },
    );
    const lines = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("redoubt"));
    assert.deepEqual({ status, lines }, { status: 0, lines: [] });
  });

  it("stop one that asks before those that it asks, as the supervisor does", () => {
    for (const service of SERVICES) {
      const { kind, realm } = roleOf(service);
      const unit = unitOf(service);
      const before = STOP_ORDER.flat().slice(0, STOP_ORDER.flat().indexOf(kind));
      for (const other of SERVICES.filter((name) => before.includes(roleOf(name).kind))) {
        // An issuer and a publisher ask each other nothing; nor does one realm the other.
        const isApart = [kind, roleOf(other).kind].every((one) => FRONTS.includes(one));
        if (isApart || (realm !== undefined && roleOf(other).realm !== realm)) continue;
        assert.ok(unitOf(other).words("After").includes(unit.name), `${other} after ${service}`);
      }
    }
  });

  it("know every realm's users", () => {
    for (const realm of REALMS)
      for (const kind of ["signer", "issuer"]) assert.ok(USERS.has(`redoubt-${kind}-${realm}`));
  });
});
