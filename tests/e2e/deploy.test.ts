import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, describe, it } from "node:test";
import { readSocketSecret, SocketClient, socketPlace } from "@redoubt/wire";
import { changeConfig } from "../../apps/redoubt/src/recover/service-config.ts";
import { freeBasePort } from "./free-ports.ts";
import { blocksOf, repository, type } from "./guide.ts";
import { RedoubtProcess, type Ending } from "./redoubt-process.ts";
import { until } from "./until.ts";

const GUIDE = "deploy.md";
/** Blocks of the guide that were typed. */
const typed = new Set<string>();
const LEASE_SECONDS = 8;
const READY_MS = 40_000;

function ip(...args: readonly string[]): boolean {
  return spawnSync("ip", args, { stdio: "ignore" }).status === 0;
}

function mayMakeNamespaces(): boolean {
  const probe = `redoubt-probe-${process.pid}`;
  return ip("netns", "add", probe) && ip("netns", "delete", probe);
}

const skip = mayMakeNamespaces()
  ? false
  : "network namespaces cannot be made here (root and iproute2: npm run setup)";

/** A machine: a network namespace, and a folder in which its reader types. */
class Machine {
  readonly namespace: string;
  readonly folder: string;
  readonly data: string;
  readonly #port: number;
  readonly #running: RedoubtProcess[] = [];

  constructor(root: string, name: string, port: number) {
    this.namespace = `redoubt-${name}-${process.pid}`;
    this.folder = join(root, name);
    this.data = join(this.folder, ".redoubt");
    this.#port = port;
    mkdirSync(this.folder);
  }

  /** Types the first block of a section; placeholders are filled in. */
  type(heading: string, filled: Readonly<Record<string, string>> = {}): Promise<string> {
    let [block = ""] = blocksOf(GUIDE, heading, "sh");
    typed.add(block);
    for (const [placeholder, value] of Object.entries(filled))
      block = block.replace(placeholder, value);
    return type(block, { folder: this.folder, port: this.#port, namespace: this.namespace });
  }

  /** Starts what stands alone in a block and goes on until it is stopped. */
  start(heading: string, place = 0): RedoubtProcess {
    const block = blocksOf(GUIDE, heading, "sh")[place] ?? assert.fail(`${heading}: no ${place}`);
    typed.add(block);
    const args = block
      .trim()
      .replace(/^npm run -s redoubt -- /, "")
      .split(" ");
    const child = new RedoubtProcess(["--json", "--data", this.data, ...args], {
      isTied: true,
      namespace: this.namespace,
    });
    this.#running.push(child);
    return child;
  }

  async ready(child: RedoubtProcess): Promise<void> {
    const line = await child.line((text) => text.includes('"ready":true'), READY_MS);
    if (line === undefined) assert.fail(`${this.namespace}: ${child.stderr.slice(-2000)}`);
  }

  redoubt(...args: readonly string[]): Promise<Ending> {
    const { namespace } = this;
    return new RedoubtProcess(["--data", this.data, ...args], { namespace }).ended;
  }

  /** Everything that a process has said, in its security file. */
  said(service: string): string {
    return readFileSync(join(this.data, "up", "logs", `${service}.security.ndjson`), "utf8");
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#running.splice(0).map(async (child) => {
        if (child.isRunning) child.kill("SIGINT");
        await child.ended;
      }),
    );
  }
}

/** Joins the machines by one cable, at the addresses of the guide. */
function joinMachines(core: Machine, signers: Machine): void {
  for (const { namespace } of [core, signers]) {
    assert.ok(ip("netns", "add", namespace));
    assert.ok(ip("-n", namespace, "link", "set", "lo", "up"));
  }
  const [a, b] = [core.namespace, signers.namespace];
  assert.ok(
    ip("link", "add", "eth0", "netns", a, "type", "veth", "peer", "name", "eth0", "netns", b),
  );
  for (const [namespace, address] of [
    [a, "10.77.0.1/24"],
    [b, "10.77.0.2/24"],
  ] as const) {
    assert.ok(ip("-n", namespace, "address", "add", address, "dev", "eth0"));
    assert.ok(ip("-n", namespace, "link", "set", "eth0", "up"));
  }
}

/** How often a signer was given a lease. */
function grants(signers: Machine): number {
  return signers.said("signer-enterprise").split('"event":"lease_granted"').length - 1;
}

function pidsOf(namespace: string, main: string): readonly number[] {
  const { stdout } = spawnSync("ip", ["netns", "pids", namespace], { encoding: "utf8" });
  const pids = stdout.split("\n").filter(Boolean).map(Number);
  return pids.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(main));
}

function files({ data }: Machine): readonly string[] {
  return readdirSync(data, { recursive: true }).map(String);
}

/** The operator's connection to a process, on its own machine. */
function operatorOf({ data }: Machine, service: string): SocketClient {
  const place = socketPlace(relative(process.cwd(), data), service, "operator");
  return new SocketClient({ path: place.path, secret: readSocketSecret(place) });
}

const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+\n$/;

describe("docs/guide/deploy.md: two machines, joined by a link", { skip }, () => {
  const root = mkdtempSync(join(tmpdir(), "rdt-deploy-"));
  let core: Machine;
  let signers: Machine;

  before(async () => {
    const port = await freeBasePort();
    core = new Machine(root, "core", port);
    signers = new Machine(root, "signers", port);
    joinMachines(core, signers);
  });
  after(async () => {
    ip("-n", core.namespace, "link", "set", "eth0", "up");
    await Promise.all([core.stop(), signers.stop()]);
    for (const { namespace } of [core, signers]) ip("netns", "delete", namespace);
    rmSync(root, { recursive: true, force: true });
  });

  it("gets a token whose signer holds a lease, from nothing", async () => {
    await core.type("On core: make the system");
    changeConfig(core.data, "broker", (config) => ({ ...config, leaseSeconds: LEASE_SECONDS }));
    await core.ready(core.start("On core: make the system", 1));
    await core.stop();
    const corePin = pinIn(await core.type("On core: give the signers away"));
    copyFileSync(join(core.folder, "signers.tar"), join(signers.folder, "signers.tar"));
    rmSync(join(core.folder, "signers.tar"));
    const signersPin = pinIn(await signers.type("On signers: take them"));
    await core.type("On core: name the other side", { "<pin of signers>": signersPin });
    await signers.type("On signers: name the other side", { "<pin of core>": corePin });
    const running = [core.start("On core: run"), signers.start("On signers: run")] as const;
    await Promise.all([core.ready(running[0]), signers.ready(running[1])]);
    await until(
      "a token",
      () => core.redoubt("token"),
      ({ code }) => code === 0,
    );
    assert.match(await core.type("On core: get a token"), /valid/i);
    assert.ok(grants(signers) > 0);
  });

  it("P5: no file of the signers' machine holds a key that its gateway has", () => {
    const sealed = files(core).filter((path) => /^custody-\w+\/keys\/./.test(path));
    assert.ok(sealed.length >= 4, sealed.join(" "));
    const names = new Set(sealed.map((path) => path.split("/").at(-1) ?? ""));
    assert.deepEqual(
      files(signers).filter((path) => names.has(path.split("/").at(-1) ?? "")),
      [],
    );
    assert.deepEqual(
      files(core).filter((path) => /^signer-.*(?:\.key|\.seed|config\.json)$/.test(path)),
      [],
    );
  });

  it("P5: while the broker alone is silent, signing goes on to the end of the lease", async () => {
    const [broker = 0] = pidsOf(core.namespace, "services/broker/src/main.ts");
    const granted = grants(signers);
    process.kill(broker, "SIGSTOP");
    try {
      assert.match((await core.redoubt("token")).stdout, TOKEN);
      await until(
        "signing stops",
        () => core.redoubt("token"),
        ({ code }) => code !== 0,
      );
    } finally {
      process.kill(broker, "SIGCONT");
    }
    await until(
      "a token",
      () => core.redoubt("token"),
      ({ code }) => code === 0,
    );
    assert.ok(grants(signers) > granted);
  });

  it("P5: without the line nothing is signed, the lease ends, and all comes back by itself", async () => {
    const pids = pidsOf(signers.namespace, "src/main.ts");
    const granted = grants(signers);
    assert.ok(ip("-n", core.namespace, "link", "set", "eth0", "down"));
    const cutAt = performance.now();
    const { code, stdout } = await core.redoubt("token");
    assert.notEqual(code, 0);
    assert.equal(stdout, "");
    await using operator = operatorOf(signers, "signer-enterprise");
    await until(
      "the lease has ended",
      async () => (await operator.request({ op: "health" })).head,
      ({ ready, reason }) =>
        ready === false && typeof reason === "string" && reason.startsWith("ERR_KEY_LEASE"),
    );
    assert.ok(performance.now() - cutAt < LEASE_SECONDS * 2000);
    assert.ok(ip("-n", core.namespace, "link", "set", "eth0", "up"));
    await until(
      "a token",
      () => core.redoubt("token"),
      (ending) => ending.code === 0,
    );
    assert.ok(grants(signers) > granted);
    assert.deepEqual(pidsOf(signers.namespace, "src/main.ts"), pids);
  });

  it("has typed every command of the guide", () => {
    const guide = readFileSync(join(repository, "docs", "guide", GUIDE), "utf8");
    const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block);
    assert.deepEqual(
      blocks.filter((block) => !typed.has(block)),
      [],
    );
    assert.equal(blocks.length, 9);
  });
});

function pinIn(text: string): string {
  return /: ([\w-]{43})$/m.exec(text)?.[1] ?? assert.fail(text);
}
