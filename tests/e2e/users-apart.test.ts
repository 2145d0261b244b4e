import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { loopbackPlan, setUp, type ServiceName } from "@redoubt/cli";
import { parseJsonObject } from "@redoubt/verify/json";
import { callersOf, REALMS, userOf } from "../../apps/redoubt/src/layout.ts";
import { enableLeases } from "../../apps/redoubt/src/leases/enable-leases.ts";
import { readSettings } from "../../apps/redoubt/src/settings.ts";
import { commandOf } from "../../apps/redoubt/src/up/launch.ts";
import { ownersOf, spread, type Owner, type User } from "../../apps/redoubt/src/up/spread.ts";
import { freeBasePort } from "./free-ports.ts";
import { until } from "./until.ts";

const ACTIVATE = "systemd-socket-activate";
const FIRST_UID = 61_200;
const EXTENT = { clusters: [], leased: REALMS, presence: true };
const USERS: ReadonlyMap<Owner, User> = new Map(
  ownersOf(EXTENT).map((owner, i) => [owner, { uid: FIRST_UID + i, gid: FIRST_UID + i }]),
);

const skip =
  process.getuid?.() !== 0
    ? "only root can start processes as other users"
    : spawnSync(ACTIVATE, ["--version"]).status !== 0
      ? "systemd is not installed (npm run setup)"
      : !mayOthersRead()
        ? "other users cannot read this checkout"
        : false;

function mayOthersRead(): boolean {
  return asUser(userNamed("monitor"), "process.exit(0)").status === 0;
}

function userNamed(owner: Owner): User {
  return USERS.get(owner) ?? assert.fail(`no user for ${owner}`);
}

function asUser(user: User, code: string, cwd = "/") {
  return spawnSync(process.execPath, ["-e", code], { ...user, cwd, env: {}, encoding: "utf8" });
}

/** What happens to a user who connects to a socket, or reads a file: "ok" or the system's code. */
function connecting(owner: Owner, path: string): string {
  const code = `
    const socket = require("node:net").connect(${JSON.stringify(path)});
    socket.on("connect", () => { console.log("ok"); socket.destroy(); });
    socket.on("error", ({ code }) => console.log(code));`;
  return asUser(userNamed(owner), code).stdout.trim();
}

function reading(owner: Owner, path: string): string {
  const code = `
    try { require("node:fs").readFileSync(${JSON.stringify(path)}); console.log("ok"); }
    catch ({ code }) { console.log(code); }`;
  return asUser(userNamed(owner), code).stdout.trim();
}

/** Services as systemd runs them: each under its own user, on sockets that it was handed. */
class Machine {
  readonly root: string = mkdtempSync(join(tmpdir(), "rdt-users-"));
  readonly #processes: ChildProcess[] = [];
  readonly #output = new Map<ServiceName, string>();

  async setUp(): Promise<void> {
    chmodSync(this.root, 0o755);
    const from = join(this.root, "data");
    mkdirSync(from, { mode: 0o700 });
    await setUp(from, loopbackPlan(await freeBasePort()), new Date());
    // What seals the signer's keys, before a gateway gets both.
    const custody = join(from, "signer-consumer", "custody");
    const passphrase = randomBytes(32).toString("base64url");
    writeFileSync(join(custody, "passphrase"), passphrase, { mode: 0o600 });
    await enableLeases(from, readSettings(from), Date.now());
    mkdirSync(join(this.root, "lib"));
    const sockets = join(this.root, "run");
    spread({ from, to: join(this.root, "lib"), sockets, users: USERS });
  }

  folder(owner: Owner): string {
    return join(this.root, "lib", owner);
  }

  socket(service: ServiceName, caller: string): string {
    return join(this.root, "run", service, caller, "sock");
  }

  output(service: ServiceName): string {
    return this.#output.get(service) ?? "";
  }

  async start(service: ServiceName): Promise<void> {
    const { uid, gid } = userNamed(service);
    const command = commandOf(service, this.folder(service));
    const callers = callersOf(service, EXTENT);
    const sockets = callers.map((caller) => this.socket(service, caller));
    for (const caller of callers)
      mkdirSync(join(this.root, "run", service, caller), { recursive: true, mode: 0o755 });
    const child = spawn(
      ACTIVATE,
      [
        ...sockets.flatMap((path) => ["-l", path]),
        `--fdname=${callers.join(":")}`,
        ...Object.entries(command.environment).flatMap(([name, value]) => [
          "-E",
          `${name}=${value}`,
        ]),
        "setpriv",
        `--reuid=${uid}`,
        `--regid=${gid}`,
        "--clear-groups",
        "--no-new-privs",
        process.execPath,
        ...command.args,
      ],
      { cwd: this.folder(service), stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#processes.push(child);
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) =>
        this.#output.set(service, this.output(service) + chunk.toString()),
      );
    await until("the sockets", () => sockets.every((path) => existsSync(path)), Boolean);
    for (const caller of callers) {
      const path = this.socket(service, caller);
      const owner = userNamed(userOf(service, caller));
      chmodSync(path, 0o600);
      chownSync(path, owner.uid, owner.gid);
    }
    // It starts with the first connection, here of root.
    const knock = connect(this.socket(service, callers[0] ?? ""));
    await once(knock, "connect");
    knock.destroy();
    await until(
      `${service} is ready`,
      () => this.output(service),
      (output) => output.includes('"event":"ready"'),
    );
  }

  async remove(): Promise<void> {
    await Promise.all(
      this.#processes.map(async (child) => {
        const ended = once(child, "exit");
        child.kill();
        await ended;
      }),
    );
    rmSync(this.root, { recursive: true });
  }
}

describe("processes under users apart", { skip }, () => {
  const machine = skip === false ? new Machine() : undefined;
  const running = (): Machine => machine ?? assert.fail("skipped");
  before(async () => {
    await running().setUp();
    await running().start("ledger");
    await running().start("monitor");
    await running().start("broker");
    await running().start("custody-consumer");
  });
  after(() => machine?.remove());

  it("reach each other over sockets that they did not make", async () => {
    const path = running().socket("ledger", "monitor");
    const { uid } = userNamed("monitor");
    const { uid: found, mode } = lstatSync(path);
    assert.deepEqual({ found, mode: mode & 0o777 }, { found: uid, mode: 0o600 });
    // proc(5): 03 is a connection, here the ledger's end of the monitor's.
    const connected = new RegExp(` 03 +[1-9]\\d* ${path}$`, "m");
    await until(
      "the monitor's connection to the ledger",
      () => readFileSync("/proc/net/unix", "latin1"),
      (table) => connected.test(table),
    );
    for (const service of ["ledger", "monitor"] as const)
      assert.doesNotMatch(running().output(service), /stopped_by_error|"caller":"monitor"/);
  });

  it("THREAT-32: nobody but a caller's own user connects to its socket", () => {
    for (const caller of callersOf("ledger", EXTENT)) {
      const path = running().socket("ledger", caller);
      for (const owner of USERS.keys())
        if (["monitor", "publisher", "operator", "issuer-consumer", "broker"].includes(owner))
          assert.equal(
            connecting(owner, path),
            userOf("ledger", caller) === owner ? "ok" : "EACCES",
            `${owner} at ledger/${caller}`,
          );
    }
  });

  it("THREAT-32: nobody reads another's configuration, keys or secrets", () => {
    const files = ["ledger/config.json", "ledger/ledger.db", "ledger/s/monitor/secret"];
    for (const file of files) {
      const path = join(running().folder("ledger"), file);
      assert.equal(reading("ledger", path), "ok");
      for (const owner of ["monitor", "publisher", "operator"] as const)
        assert.equal(reading(owner, path), "EACCES");
    }
    const secret = join(running().folder("monitor"), "ledger/s/monitor/secret");
    assert.equal(reading("monitor", secret), "ok");
    assert.equal(reading("signer-consumer", secret), "EACCES");
  });

  it("THREAT-32: a signer reaches its gateway and the broker, and nobody else does", () => {
    for (const service of ["broker", "custody-consumer"] as const) {
      const path = running().socket(service, "signer-consumer");
      for (const owner of ["signer-consumer", "signer-enterprise", "ledger", "operator"] as const)
        assert.equal(
          connecting(owner, path),
          owner === "signer-consumer" ? "ok" : "EACCES",
          `${owner} at ${service}`,
        );
    }
  });

  it("THREAT-32: no signer reads the keys that its gateway holds, nor what the broker signs with", () => {
    const keys = join(running().folder("custody-consumer"), "custody-consumer/keys/passphrase");
    const writer = join(running().folder("broker"), "broker/writer.key");
    assert.equal(reading("custody-consumer", keys), "ok");
    assert.equal(reading("broker", writer), "ok");
    for (const owner of ["signer-consumer", "signer-enterprise", "issuer-consumer"] as const)
      for (const path of [keys, writer]) assert.equal(reading(owner, path), "EACCES", path);
    const left = join(running().folder("signer-consumer"), "signer-consumer/custody");
    assert.deepEqual(readdirSync(left), []);
  });

  it("no signer says any more that there is one user for all", () => {
    const path = join(running().folder("signer-consumer"), "signer-consumer/config.json");
    const { labels } = parseJsonObject(readFileSync(path));
    assert.deepEqual(labels, ["roots: demo", "witness: same-machine"]);
  });
});
