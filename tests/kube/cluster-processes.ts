import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { startCluster, KUBERNETES_CONFIG, OIDC_RING } from "@redoubt/signer/testing/cluster";
import type { Deployment } from "@redoubt/signer/testing/deployment";
import { FakeMonitor } from "@redoubt/testkit";
import { socketPlace } from "@redoubt/wire";

const CODE = resolve(import.meta.dirname, "../..");
const FRONT = "kube-front-prod";
const TICK_MS = 100;

/** Signer and front of one cluster, each in a process of its own, started as the guide says; ledger and monitor here. */
export class ClusterProcesses implements AsyncDisposable {
  readonly deployment: Deployment;
  /** The monitor, on the front's socket. */
  readonly monitor: FakeMonitor;
  readonly #ticking: NodeJS.Timeout;
  #signer: ChildProcess | undefined;
  #front: ChildProcess | undefined;

  private constructor(deployment: Deployment) {
    this.deployment = deployment;
    const { root, realm } = deployment;
    this.monitor = new FakeMonitor({ root, service: "monitor", caller: `kube-front-${realm}` });
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
  }

  static async start(): Promise<ClusterProcesses> {
    const deployment = await startCluster();
    const cluster = new ClusterProcesses(deployment);
    cluster.#tick();
    const { root, realm, folder } = deployment;
    const rings = [{ ...OIDC_RING, maxLifetimeSeconds: 3660 }];
    writeConfig(folder, { ...deployment.config, ...KUBERNETES_CONFIG, rings });
    mkdirSync(join(root, FRONT), { mode: 0o700 });
    writeConfig(join(root, FRONT), { v: 1, realm });
    await cluster.monitor.start();
    await cluster.startSigner();
    await cluster.startFront();
    return cluster;
  }

  get socket(): string {
    return socketPlace(this.deployment.root, FRONT, "kube-apiserver").path;
  }

  async startSigner(): Promise<void> {
    const main = join(CODE, "services/signer/src/main.ts");
    this.#signer = await started(main, this.deployment.service, this.deployment.root, []);
  }

  async startFront(): Promise<void> {
    const { root, service, realm } = this.deployment;
    const reads = [
      join(CODE, "packages"),
      join(CODE, "services/kube-front"),
      join(CODE, "node_modules"),
      join(root, FRONT),
      join(root, service, "s/kube-front"),
      join(root, "monitor/s", `kube-front-${realm}`),
    ];
    // As in docs/guide/kubernetes.md.
    const flags = [
      "--permission",
      "--no-experimental-sqlite",
      "--disable-sigusr1",
      ...reads.map((path) => `--allow-fs-read=${path}`),
      `--allow-fs-write=${join(root, FRONT)}`,
    ];
    this.#front = await started(join(CODE, "services/kube-front/src/main.ts"), FRONT, root, flags);
  }

  async killSigner(): Promise<void> {
    await kill(this.#signer);
  }

  freezeSigner(): void {
    this.#signer?.kill("SIGSTOP");
  }

  thawSigner(): void {
    this.#signer?.kill("SIGCONT");
  }

  /** The ledger's witness goes by the time of the others. */
  #tick(): void {
    const { clock } = this.deployment;
    clock.set((Date.now() - clock.now()) / 1000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticking);
    await kill(this.#front);
    await kill(this.#signer);
    await this.monitor.stop();
    await this.deployment[Symbol.asyncDispose]();
  }
}

function writeConfig(folder: string, config: object): void {
  writeFileSync(join(folder, "config.json"), JSON.stringify(config), { mode: 0o600 });
}

/** Resolves once the service says that it is ready. */
async function started(
  main: string,
  service: string,
  cwd: string,
  execArgv: readonly string[],
): Promise<ChildProcess> {
  const child = fork(main, [service], {
    cwd,
    execArgv: [...execArgv],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const ended = once(child, "exit").then(() => {
    throw new Error(`${service} ended`);
  });
  await Promise.race([once(child, "message"), ended]);
  return child;
}

async function kill(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}
