import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { connectTpmSocket } from "../tpm/socket-transport.ts";
import type { Transport } from "../tpm/transport.ts";
import type { OpenTpm } from "./tpm-contract.ts";

/** For `skip`: the reason, or false where it is installed. */
export const WITHOUT_SWTPM =
  existsSync("/usr/bin/swtpm") && existsSync("/usr/bin/swtpm_setup")
    ? false
    : "needs swtpm and swtpm-tools: npm run setup";

const START_MS = 10_000;
const RETRY_MS = 5;

export interface ManufacturedTpm extends Disposable {
  /** A TPM of its own for each caller: same seeds, so the same keys; its own PCRs, handles and NV. */
  readonly open: () => Promise<OpenTpm>;
}

/** Makes the state of a TPM once, with endorsement keys and certificates of a throw-away CA. */
export function manufactureSwtpm(): ManufacturedTpm {
  const folder = mkdtempSync(join(tmpdir(), "swtpm-"));
  const state = join(folder, "state");
  mkdirSync(state);
  writeFileSync(
    join(folder, "setup.conf"),
    [
      "create_certs_tool = /usr/bin/swtpm_localca",
      `create_certs_tool_config = ${join(folder, "ca.conf")}`,
      `create_certs_tool_options = ${join(folder, "ca.options")}`,
    ].join("\n"),
  );
  writeFileSync(join(folder, "ca.options"), "");
  writeFileSync(
    join(folder, "ca.conf"),
    [
      `statedir = ${join(folder, "ca")}`,
      `signingkey = ${join(folder, "ca/key.pem")}`,
      `issuercert = ${join(folder, "ca/certificate.pem")}`,
      `certserial = ${join(folder, "ca/serial")}`,
    ].join("\n"),
  );
  const args = ["--tpm2", "--tpmstate", state, "--config", join(folder, "setup.conf")];
  const keys = ["--create-ek-cert", "--ecc", "--pcr-banks", "sha256,sha384"];
  execFileSync("/usr/bin/swtpm_setup", [...args, ...keys], { stdio: "ignore", timeout: 60_000 });
  return {
    open: () => startSwtpm(state),
    [Symbol.dispose]() {
      rmSync(folder, { recursive: true });
    },
  };
}

async function startSwtpm(state: string): Promise<OpenTpm> {
  const folder = mkdtempSync(join(tmpdir(), "swtpm-"));
  cpSync(state, join(folder, "state"), { recursive: true });
  const path = join(folder, "tpm.sock");
  const child = spawn(
    "/usr/bin/swtpm",
    [
      "socket",
      "--tpm2",
      // A run of tests that is killed leaves no TPM behind: it ends with its connection.
      "--terminate",
      "--tpmstate",
      `dir=${join(folder, "state")}`,
      "--server",
      `type=unixio,path=${path}`,
      "--flags",
      "not-need-init,startup-clear",
    ],
    { stdio: "ignore" },
  );
  const exited = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
    rmSync(folder, { recursive: true });
  };
  try {
    const transport = await connected(path);
    return {
      transport,
      [Symbol.asyncDispose]: async () => {
        await transport.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** swtpm makes its socket a moment before it listens, and says neither. */
async function connected(path: string): Promise<Transport> {
  const deadline = Date.now() + START_MS;
  for (;;)
    try {
      // One after the other until it listens.
      return await connectTpmSocket(path);
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await setTimeout(RETRY_MS);
    }
}
