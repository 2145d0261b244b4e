import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { initialiseLink } from "@redoubt/link";
import type { Result } from "../terminal.ts";
import { lockDataFolder } from "./data-folder.ts";
import { commandOf } from "./launch.ts";
import { runProcesses } from "./run-processes.ts";

const PEER = {
  name: "core",
  pins: ["A".repeat(43)],
  address: { host: "127.0.0.1", port: 9 },
  services: [{ service: "signer-consumer", caller: "issuer" }],
};
const LINK = {
  v: 1,
  identity: "link",
  listen: { host: "127.0.0.1", port: 0 },
  peers: [PEER],
  connect: [{ service: "ledger", caller: "signer-consumer", peer: "core" }],
};

describe("the processes of one machine among several", () => {
  const root = mkdtempSync(join(tmpdir(), "rdt-run-"));
  const folder = join(root, "data");
  mkdirSync(join(folder, "ledger", "s", "signer-consumer"), { recursive: true, mode: 0o700 });
  initialiseLink(join(folder, "link"), { name: "link", algorithm: "Ed25519" });
  writeFileSync(join(folder, "link", "config.json"), JSON.stringify(LINK), { mode: 0o600 });
  after(() => rmSync(root, { recursive: true }));
  const results: Result[] = [];
  const stop = Promise.withResolvers<void>();
  const terminal = {
    result: (result: Result) => {
      results.push(result);
      stop.resolve();
    },
    line: () => assert.fail("a line"),
    notice: (line: string) => assert.fail(line),
  };
  const run = (...names: readonly string[]) =>
    runProcesses({ folder, terminal }, names, stop.promise);

  it("are started and said to be ready, without anything else in the folder", async () => {
    await run("link", "link");
    assert.deepEqual(
      results.map(({ json }) => json),
      [{ ready: true, processes: ["link"] }],
    );
  });

  it("THREAT-32: are none that have no configuration there, and no way out of the folder", async () => {
    for (const name of ["ledger", "signer-consumer", "../data/link", "", "linker", "signer-"])
      // oxlint-disable-next-line no-await-in-loop -- a handful, and a failure names its own
      await assert.rejects(run("link", name), { code: "ERR_OPTION" }, name);
  });

  it("THREAT-32: are not started in a folder that is in use, or open to others", async () => {
    {
      using _ = lockDataFolder(folder);
      await assert.rejects(run("link"), { code: "ERR_ALREADY_RUNNING" });
    }
    chmodSync(folder, 0o755);
    await assert.rejects(run("link"), { code: "ERR_FILE_MODE" });
    chmodSync(folder, 0o700);
  });

  it("THREAT-33: a link may write where it stands for others, and read where it leads to, and no more", () => {
    const { args } = commandOf("link", folder);
    const own = join(folder, "link");
    const stands = join(folder, "ledger", "s", "signer-consumer");
    const leads = join(folder, "signer-consumer", "s", "issuer");
    const valuesOf = (flag: string): readonly string[] =>
      args.filter((arg) => arg.startsWith(flag)).map((arg) => arg.slice(flag.length));
    assert.deepEqual(valuesOf("--allow-fs-write="), [own, stands]);
    const reads = valuesOf("--allow-fs-read=").filter((path) => path.startsWith(folder));
    assert.deepEqual(reads, [own, stands, leads]);
  });
});
