import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { Secret } from "@redoubt/base";

/** Where distributions put it; a module that this machine has. */
export const SOFTHSM_MODULE =
  [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
  ].find((path) => existsSync(path)) ?? "";

/** Why what needs SoftHSM is skipped here; false where it can run. */
export const NO_SOFTHSM = whySkipped();

const CHILD = "REDOUBT_SOFTHSM_CHILD";
const CHILD_LIMIT_MS = 75_000;

function whySkipped(): string | false {
  const hasTool = spawnSync("softhsm2-util", ["--version"]).status === 0;
  if (SOFTHSM_MODULE === "" || !hasTool) return "SoftHSM is not installed (npm run setup)";
  try {
    import.meta.resolve("pkcs11js");
  } catch {
    return "the optional package pkcs11js is not installed";
  }
  return false;
}

/**
 * Runs the tests that `register` declares in a process of their own, with their own SoftHSM: the module reads
 * SOFTHSM2_CONF from the environment, keeps its state for the whole process, and may crash it. `file` is the test
 * file that calls this: it is what the other process runs.
 */
export function inSoftHsm(file: string, register: () => void): void {
  if (process.env[CHILD] === "1") return register();
  const limit = { skip: NO_SOFTHSM, timeout: CHILD_LIMIT_MS + 1000 };
  test(`SoftHSM: ${basename(file)}`, limit, async (t) => {
    const folder = createSoftHsm();
    try {
      const { code, output } = await runChild(file, { [CHILD]: "1", ...softHsmEnv(folder) });
      const [passed, failed, skipped] = ["pass", "fail", "skipped"].map((kind) =>
        Number(new RegExp(`^# ${kind} (\\d+)$`, "m").exec(output)?.[1]),
      );
      t.diagnostic(`${passed} tests passed in a process of their own`);
      assert.deepEqual({ code, failed, skipped }, { code: 0, failed: 0, skipped: 0 }, output);
      assert.ok(passed !== undefined && passed > 0, output);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

/** A folder with a SoftHSM configuration and its tokens. */
export function createSoftHsm(): string {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-softhsm-"));
  mkdirSync(join(folder, "tokens"), { mode: 0o700 });
  const lines = [`directories.tokendir = ${join(folder, "tokens")}`, "log.level = ERROR", ""];
  writeFileSync(join(folder, "softhsm2.conf"), lines.join("\n"));
  return folder;
}

export function softHsmEnv(folder: string): { SOFTHSM2_CONF: string } {
  return { SOFTHSM2_CONF: join(folder, "softhsm2.conf") };
}

/** Runs a file to its end, with nothing of this process's environment but where programs are. */
export function runChild(
  file: string,
  env: Readonly<Record<string, string>>,
  flags: readonly string[] = ["--test-reporter=tap"],
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [...flags, file], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: CHILD_LIMIT_MS,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

export interface SoftToken {
  readonly label: string;
  readonly pin: Secret;
}

/** A new token. Before the module is initialised: it sees no token that another process makes later. */
export function createToken(
  label: string,
  pin = "73519264",
  env: NodeJS.ProcessEnv = process.env,
): SoftToken {
  const init = ["--init-token", "--free", "--label", label, "--so-pin", "40817263", "--pin", pin];
  execFileSync("softhsm2-util", init, { env, stdio: "pipe" });
  return { label, pin: new Secret(pin) };
}
