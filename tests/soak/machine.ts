import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalBytes } from "@redoubt/base";
import { enableLeases, loopbackPlan, readSettings, setUp } from "@redoubt/cli";
import { NO_SOFTHSM } from "@redoubt/custody/testing/softhsm";
import { type JsonObject, parseJsonObject } from "@redoubt/verify/json";
import { freeBasePort } from "../e2e/free-ports.ts";
import { SmallDisk } from "../e2e/small-disk.ts";
import { SoftHsm } from "../e2e/soft-hsm.ts";
import { startSystem, type System } from "../e2e/system.ts";

export type FaultKind = "kill" | "stop" | "strangers" | "full-disk" | "old-copy" | "hsm";

const HSM_REALM = "enterprise";

export interface MachineOptions {
  /** Of the disk of its own; none: the data folder is on everybody's. */
  readonly diskBytes?: number;
  /** Whether the keys of one realm are in an HSM. */
  readonly hasHsm?: boolean;
  /** Of the leases before the keys, in seconds: renewed at half of it. Absent: no leases. */
  readonly leaseSeconds?: number;
  /** Whether one client may take all that the machine can do. */
  readonly isUnbounded?: boolean;
}

async function setLeases(folder: string, leaseSeconds: number): Promise<void> {
  await enableLeases(folder, readSettings(folder), Date.now());
  changeConfig(folder, "broker", { leaseSeconds });
}

function changeConfig(folder: string, service: string, change: JsonObject): void {
  const path = join(folder, service, "config.json");
  const config = parseJsonObject(readFileSync(path));
  writeFileSync(path, canonicalBytes({ ...config, ...change }), { mode: 0o600 });
}

/** A system, and what of the machine around it can fail. */
export class Machine implements AsyncDisposable {
  readonly system: System;
  readonly disk: SmallDisk | undefined;
  readonly hsm: SoftHsm | undefined;
  /** Databases of ledgers that an old copy took the place of: they hold what closed logs lost. */
  readonly lostLedgers: string[] = [];
  readonly #root: string;
  readonly #owned: AsyncDisposableStack;
  #places = 0;

  private constructor(
    parts: Pick<Machine, "system" | "disk" | "hsm">,
    root: string,
    owned: AsyncDisposableStack,
  ) {
    this.system = parts.system;
    this.disk = parts.disk;
    this.hsm = parts.hsm;
    this.#root = root;
    this.#owned = owned;
  }

  static async start({
    diskBytes,
    hasHsm = false,
    leaseSeconds,
    isUnbounded = false,
  }: MachineOptions = {}): Promise<Machine> {
    await using stack = new AsyncDisposableStack();
    const root = mkdtempSync(join(tmpdir(), "redoubt-soak-"));
    stack.defer(() => rmSync(root, { recursive: true, force: true }));
    const disk = diskBytes === undefined ? undefined : SmallDisk.mount(diskBytes);
    if (disk) stack.use(disk);
    const folder = join(disk?.folder ?? root, "data");
    const hsm = hasHsm && NO_SOFTHSM === false ? stack.use(new SoftHsm("redoubt-soak")) : undefined;
    const port = await freeBasePort();
    await mkdir(folder, { mode: 0o700 });
    if (hsm || leaseSeconds !== undefined || isUnbounded)
      await setUp(folder, loopbackPlan(port), new Date());
    if (hsm) hsm.takeKeysOf(folder, `signer-${HSM_REALM}`);
    if (leaseSeconds !== undefined) await setLeases(folder, leaseSeconds);
    if (isUnbounded)
      changeConfig(folder, "signer-enterprise", {
        budget: { perSecond: 1_000_000, burst: 1_000_000 },
      });
    const system = stack.use(await startSystem({ folder, port }));
    return new Machine({ system, disk, hsm }, root, stack.move());
  }

  /** Kinds of fault that cannot happen to it, and why. */
  get missing(): ReadonlyMap<FaultKind, string> {
    const missing = new Map<FaultKind, string>();
    if (!this.disk) missing.set("full-disk", "this user may mount nothing");
    if (!this.hsm) missing.set("hsm", NO_SOFTHSM === false ? "no HSM was asked for" : NO_SOFTHSM);
    return missing;
  }

  /** Where nothing is yet, beside the data folder and on another disk. */
  readonly place = (name: string): string => {
    this.#places += 1;
    return join(this.#root, `${this.#places}-${name}`);
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned[Symbol.asyncDispose]();
  }
}
