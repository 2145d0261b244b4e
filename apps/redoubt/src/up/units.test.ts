import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { addCluster } from "../clusters/add-cluster.ts";
import { loopbackPlan } from "../init/init.ts";
import {
  callersOf,
  CLUSTER_TENANTS,
  type Extent,
  NOTHING_MORE,
  REALMS,
  roleOf,
  SERVICES,
  servicesOf,
  userOf,
  type ServiceName,
} from "../layout.ts";
import { enableLeases } from "../leases/enable-leases.ts";
import { readSettings } from "../settings.ts";
import { commandOf, repository } from "./launch.ts";
import { setUp } from "./set-up.ts";
import { STOP_ORDER } from "./supervisor.ts";

const UNITS = join(repository, "deploy", "systemd");
const INSTALLED = "/opt/redoubt";
const NO_SYSTEMD =
  spawnSync("systemd-analyze", ["--version"]).status === 0
    ? false
    : "systemd is not installed (npm run setup)";
const CLUSTER = "prod";

/** Files below deploy/systemd that are installed together, by the path that they get; `CLUSTER` is a cluster's name. */
function filesOf(parts: readonly string[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const part of parts)
    for (const path of readdirSync(join(UNITS, part), { recursive: true }).map(String)) {
      const isOfPart = part !== "" || !["leases", "clusters"].includes(path.split("/")[0] ?? "");
      if (!isOfPart || !/\.(?:service|socket|conf)$/.test(path)) continue;
      const text = readFileSync(join(UNITS, part, path), "utf8");
      files.set(path.replace("CLUSTER", CLUSTER), text.replaceAll("CLUSTER", CLUSTER));
    }
  return files;
}

/** The settings of one unit and its drop-ins, each with its values in order; `%i` is the instance. */
class Unit {
  readonly name: string;
  readonly #values = new Map<string, string[]>();

  /** @param name as systemd takes it, with an instance: `a@b.service` */
  constructor(files: ReadonlyMap<string, string>, name: string) {
    this.name = name;
    const [, instance = ""] = /@([^.]*)\./.exec(name) ?? [];
    const file = name.replace(/@[^.]*\./, "@.");
    const dropIns = [...files].filter(([path]) => dirname(path) === `${file}.d`);
    const texts = [
      files.get(file) ?? assert.fail(`no ${file}`),
      ...dropIns.map(([, text]) => text),
    ];
    for (const line of texts
      .join("\n")
      .replaceAll(/\\\n\s*/g, "")
      .split("\n")) {
      const [, key, value] = /^([A-Za-z]+)=(.*)$/.exec(line.replaceAll("%i", instance)) ?? [];
      if (key === undefined || value === undefined) continue;
      // systemd.unit(5): an empty value takes back those before.
      this.#values.set(key, value === "" && key === "ExecStart" ? [] : [...this.all(key), value]);
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

function unitName(service: ServiceName): string {
  const { kind, realm } = roleOf(service);
  const isCluster = realm !== undefined && !REALMS.some((name) => name === realm);
  const code = isCluster && kind === "signer" ? "kube-signer" : kind;
  return `redoubt-${code}${realm === undefined ? "" : `@${realm}`}.service`;
}

/** What is installed for one kind of system, and a data folder of that kind. */
class Installation {
  readonly extent: Extent;
  readonly services: readonly ServiceName[];
  readonly files: ReadonlyMap<string, string>;
  readonly users: ReadonlyMap<string, string>;

  constructor(parts: readonly string[], extent: Extent) {
    this.extent = extent;
    this.services = servicesOf(extent);
    this.files = filesOf(parts);
    const lines = [...this.files].flatMap(([path, text]) =>
      path.endsWith(".sysusers.conf") ? text.split("\n") : [],
    );
    this.users = new Map(
      lines
        .map((line) => /^u (\S+) - "[^"]+" (\S+)$/.exec(line))
        .flatMap((match) => (match ? [[match[1] ?? "", match[2] ?? ""] as const] : [])),
    );
  }

  unit(name: string): Unit {
    return new Unit(this.files, name);
  }

  unitOf(service: ServiceName): Unit {
    return this.unit(unitName(service));
  }

  async setUp(folder: string): Promise<void> {
    await setUp(folder, loopbackPlan(7400), new Date());
    if (this.extent.leased.length > 0) await enableLeases(folder, readSettings(folder), 0);
    const cluster = {
      realm: CLUSTER,
      issuer: "https://prod.clusters.example",
      tenant: CLUSTER_TENANTS[0] ?? "",
      audiences: ["https://prod.clusters.example"],
      maxLifetimeSeconds: undefined,
    };
    if (this.extent.clusters.length > 0)
      await addCluster(folder, readSettings(folder), cluster, new Date());
  }
}

const EXTENT = { ...NOTHING_MORE, presence: true };
const PLAIN = new Installation([""], EXTENT);
const INSTALLATIONS = new Map([
  ["a system", PLAIN],
  ["a system with leases", new Installation(["", "leases"], { ...EXTENT, leased: REALMS })],
  [
    "a system with a cluster",
    new Installation(["", "clusters"], { ...EXTENT, clusters: [CLUSTER] }),
  ],
]);
const SERVICE_FILES = readdirSync(UNITS, { recursive: true })
  .map(String)
  .filter((path) => path.endsWith(".service"));
const FRONTS: readonly string[] = STOP_ORDER[0] ?? [];

for (const [kind, installation] of INSTALLATIONS)
  describe(`the units of ${kind}`, () => {
    const root = mkdtempSync(join(tmpdir(), "redoubt-units-"));
    const data = join(root, "data");
    before(async () => {
      mkdirSync(data, { mode: 0o700 });
      await installation.setUp(data);
    });
    after(() => rmSync(root, { recursive: true }));

    for (const service of installation.services) {
      const unit = installation.unitOf(service);
      const folder = `/var/lib/redoubt/${service}`;

      it(`THREAT-33: ${service} is started as by the supervisor, with these permissions and no more`, () => {
        const command = commandOf(service, data, INSTALLED);
        const inFolder = (text: string): string => text.replaceAll(data, folder);
        assert.deepEqual(unit.words("ExecStart"), [
          `${INSTALLED}/bin/node`,
          ...command.args.map(inFolder),
        ]);
        assert.equal(unit.one("WorkingDirectory"), folder);
        const variables = unit.words("Environment").map((word) => word.split("="));
        const wanted = Object.entries(command.environment);
        assert.deepEqual(
          Object.fromEntries(variables),
          Object.fromEntries(wanted.map(([name, value]) => [name, inFolder(value)])),
        );
        assert.deepEqual(unit.all("PassEnvironment"), []);
        assert.deepEqual(unit.all("EnvironmentFile"), []);
      });

      it(`${service} has a user and a folder of its own, and leaves no core file`, () => {
        const user = `redoubt-${service}`;
        assert.equal(unit.one("User"), user);
        assert.equal(unit.one("Group"), user);
        assert.deepEqual(unit.all("SupplementaryGroups"), []);
        assert.equal(installation.users.get(user), folder);
        assert.equal(unit.one("StateDirectory"), `redoubt/${service}`);
        assert.equal(unit.one("StateDirectoryMode"), "0700");
        // THREAT-19.
        assert.equal(unit.one("LimitCORE"), "0");
        assert.equal(unit.one("CoredumpFilter"), "0x0");
      });

      it(`THREAT-32: ${service} has one socket for each caller, which that caller's user alone can open`, () => {
        const found = unit.words("Sockets").map((name): readonly [string, object] => {
          const socket = installation.unit(name);
          assert.equal(socket.one("Service"), unit.name);
          assert.equal(socket.one("SocketMode"), "0600");
          assert.equal(socket.one("DirectoryMode"), "0755");
          assert.equal(socket.one("SocketUser"), socket.one("SocketGroup"));
          assert.ok(installation.users.has(socket.one("SocketUser")), socket.one("SocketUser"));
          return [
            socket.one("FileDescriptorName"),
            { user: socket.one("SocketUser"), path: socket.one("ListenStream") },
          ];
        });
        const wanted = callersOf(service, installation.extent).map(
          (caller): readonly [string, object] => [
            caller,
            {
              user: `redoubt-${userOf(service, caller)}`,
              path: `/run/redoubt/${service}/${caller}/sock`,
            },
          ],
        );
        assert.equal(found.length, wanted.length);
        assert.deepEqual(Object.fromEntries(found), Object.fromEntries(wanted));
        assert.deepEqual(unit.words("Requires"), unit.words("Sockets"));
      });
    }

    it("are each of a service, or a socket that a service names, or its drop-in", () => {
      const units = installation.services.map((service) => installation.unitOf(service));
      const used = units.flatMap((unit) => [unit.name, ...unit.words("Sockets")]);
      const names = new Set(used.map((name) => name.replace(/@[^.]*\./, "@.")));
      for (const path of installation.files.keys()) {
        const [name = ""] = path.split("/");
        const isUsed = names.has(name.replace(/\.d$/, "")) || name.endsWith(".sysusers.conf");
        assert.ok(isUsed, path);
      }
    });

    it("give who holds keys or grants their use no network at all, and nobody more than this machine", () => {
      for (const service of installation.services) {
        const unit = installation.unitOf(service);
        assert.equal(unit.one("IPAddressDeny"), "any");
        if (unit.all("PrivateNetwork").length === 0) {
          assert.ok(!["signer", "custody", "broker"].includes(roleOf(service).kind), service);
          assert.equal(unit.one("IPAddressAllow"), "localhost");
          continue;
        }
        assert.equal(unit.one("PrivateNetwork"), "yes");
        assert.equal(unit.one("RestrictAddressFamilies"), "AF_UNIX");
        assert.deepEqual(unit.all("IPAddressAllow"), []);
      }
    });

    it("are understood by systemd without a word", { skip: NO_SYSTEMD }, () => {
      // Only Node.js itself is not where it will be: nothing may be put into /opt for a test.
      const node = join(root, "node");
      writeFileSync(node, "");
      chmodSync(node, 0o755);
      const units = join(root, "units");
      for (const [path, text] of installation.files) {
        mkdirSync(join(units, dirname(path)), { recursive: true });
        writeFileSync(join(units, path), text.replaceAll(`${INSTALLED}/bin/node`, node));
      }
      const names = installation.services
        .map((service) => installation.unitOf(service))
        .flatMap((unit) => [unit.name, ...unit.words("Sockets")]);
      const { status, stdout, stderr } = spawnSync(
        "systemd-analyze",
        ["verify", "--man=no", ...names],
        { encoding: "utf8", env: { ...process.env, SYSTEMD_UNIT_PATH: `${units}:` } },
      );
      const lines = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("redoubt"));
      assert.deepEqual({ status, lines }, { status: 0, lines: [] });
    });

    it("stop one that asks before those that it asks", () => {
      for (const service of installation.services)
        for (const caller of callersOf(service, installation.extent)) {
          const user = userOf(service, caller);
          if (user === "operator") continue;
          const asking = installation.unitOf(user);
          assert.ok(asking.words("After").includes(unitName(service)), `${user} after ${service}`);
        }
    });
  });

describe("the units", () => {
  it("score at most 2.0 of 10 points of exposure", { skip: NO_SYSTEMD }, () => {
    assert.equal(SERVICE_FILES.length, 10);
    for (const name of SERVICE_FILES) {
      const args = ["security", "--offline=yes", "--threshold=20", join(UNITS, name)];
      const { status, stdout } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
      assert.equal(status, 0, stdout.slice(-200));
      assert.match(stdout, /Overall exposure level/);
    }
  });

  it("have drop-ins that take nothing back of what a unit takes away", () => {
    for (const { files } of INSTALLATIONS.values())
      for (const [path, text] of files)
        if (basename(dirname(path)).endsWith(".d")) {
          const keys = [...text.matchAll(/^([A-Za-z]+)=/gm)].map(([, key]) => key);
          const allowed = new Set(["Requires", "After", "Sockets", "ExecStart"]);
          assert.deepEqual(
            keys.filter((key) => !allowed.has(key ?? "")),
            [],
            path,
          );
        }
  });

  it("stop in the supervisor's order", () => {
    for (const service of SERVICES) {
      const { kind, realm } = roleOf(service);
      const unit = PLAIN.unitOf(service);
      const earlier = STOP_ORDER.flat().slice(0, STOP_ORDER.flat().indexOf(kind));
      for (const other of SERVICES.filter((name) => earlier.includes(roleOf(name).kind))) {
        // An issuer and a publisher ask each other nothing; nor does one realm the other.
        const isApart = [kind, roleOf(other).kind].every((one) => FRONTS.includes(one));
        if (isApart || (realm !== undefined && roleOf(other).realm !== realm)) continue;
        assert.ok(
          PLAIN.unitOf(other).words("After").includes(unit.name),
          `${other} after ${service}`,
        );
      }
    }
  });

  it("know every realm's users", () => {
    for (const realm of REALMS)
      for (const kind of ["signer", "issuer"])
        assert.ok(PLAIN.users.has(`redoubt-${kind}-${realm}`));
  });
});
