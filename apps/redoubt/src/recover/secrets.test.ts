import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { createSocketPlace, readSocketSecret, socketPlace } from "@redoubt/wire";
import type { CommandContext } from "../command.ts";
import { CALLERS, SERVICES } from "../layout.ts";
import { FakeSystem } from "../testing/fake-system.ts";
import { lockDataFolder } from "../up/data-folder.ts";
import { recoverSecrets, type SecretsOptions } from "./secrets.ts";

const ALL = SERVICES.flatMap((service) => CALLERS[service].map((caller) => ({ service, caller })));

function open() {
  const system = new FakeSystem();
  const said = { json: undefined as unknown, notices: [] as string[] };
  const terminal = {
    result: ({ json }: { readonly json: unknown }) => void (said.json = json),
    line: () => undefined,
    notice: (line: string) => void said.notices.push(line),
  };
  const context: CommandContext = {
    folder: system.root,
    typedIn: "/",
    json: true,
    terminal,
    questions: { input: new PassThrough(), output: new PassThrough() },
  };
  const read = (service: string, caller: string) =>
    readSocketSecret(socketPlace(system.root, service, caller)).reveal();
  const all = () => ALL.map(({ service, caller }) => read(service, caller));
  const run = (options: SecretsOptions = { yes: true }) => recoverSecrets(context, options);
  const fileOf = (service: string, caller: string) =>
    socketPlace(system.root, service, caller).secretFile;
  return { system, said, run, read, all, fileOf };
}

test("theft: every secret is replaced by another one, readable by its owner only", async () => {
  const { system, said, run, all, fileOf } = open();
  await using _ = system;
  const before = all();
  assert.equal(await run(), 0);
  const after = all();
  assert.equal(new Set([...before, ...after]).size, 2 * ALL.length);
  assert.deepEqual(said.json, { replaced: ALL.map((one) => ({ ...one, found: "good" })) });
  assert.equal(statSync(fileOf("ledger", "operator")).mode & 0o777, 0o600);
  assert.match(
    said.notices[0] ?? "",
    new RegExp(`^New secrets for ${ALL.length} of the sockets\\.`),
  );
  for (const secret of [...before, ...after])
    assert.equal(JSON.stringify(said).includes(secret), false);
});

test("loss: what is missing, empty, open to others or lost with its folder is made again", async () => {
  const { system, said, run, all, fileOf } = open();
  await using _ = system;
  rmSync(fileOf("ledger", "operator"));
  writeFileSync(fileOf("monitor", "operator"), "");
  chmodSync(fileOf("signer-consumer", "issuer"), 0o644);
  rmSync(join(system.root, "issuer-consumer", "s"), { recursive: true });
  assert.equal(await run(), 0);
  assert.equal(all().length, ALL.length);
  assert.match(
    said.notices[0] ?? "",
    /missing: ledger\/s\/operator, issuer-consumer\/s\/operator; damaged: monitor\/s\/operator, signer-consumer\/s\/issuer\)/,
  );
});

test("one service's, one caller's, or one alone; the others stay", async () => {
  const { system, said, run, all } = open();
  await using _ = system;
  for (const [options, expected] of [
    [{ service: "ledger", caller: "monitor" }, 1],
    [{ service: "ledger" }, CALLERS.ledger.length],
    [{ caller: "operator" }, 6],
  ] as const) {
    const before = new Set(all());
    assert.equal(await run({ ...options, yes: true }), 0);
    assert.equal(all().filter((secret) => !before.has(secret)).length, expected);
  }
  said.notices.length = 0;
  for (const options of [{ caller: "nobody" }, { service: "publisher" }] as const)
    await assert.rejects(run({ ...options, yes: true }), { code: "ERR_OPTION" });
  assert.deepEqual(said.notices, []);
});

test("a caller beside those of the profile has its secret replaced, and gets none where it has none", async () => {
  const { system, run, read, fileOf } = open();
  await using _ = system;
  const other = createSocketPlace(socketPlace(system.root, "issuer-enterprise", "mirror"));
  mkdirSync(join(system.root, "signer-enterprise", "s", "kube-apiserver"), { mode: 0o700 });
  assert.equal(await run(), 0);
  assert.equal(other.equals(read("issuer-enterprise", "mirror")), false);
  assert.throws(() => readFileSync(fileOf("signer-enterprise", "kube-apiserver")), {
    code: "ENOENT",
  });
});

test("refused while Redoubt runs, and where nobody confirms: nothing is changed", async () => {
  const { system, run, all } = open();
  await using _ = system;
  const before = all();
  {
    using lock = lockDataFolder(system.root);
    await assert.rejects(run(), { code: "ERR_ALREADY_RUNNING", message: /stop it first/ });
    assert.ok(lock);
  }
  await assert.rejects(run({}), { code: "ERR_OPTION", message: /--yes/ });
  assert.deepEqual(all(), before);
  assert.equal(await run(), 0);
});

test("a data folder that lacks more than secrets is not made up", async () => {
  const { system, run } = open();
  await using _ = system;
  rmSync(join(system.root, "monitor"), { recursive: true });
  await assert.rejects(run(), { code: "ERR_DATA_INCOMPLETE", message: /monitor/ });
  rmSync(join(system.root, "up", "settings.json"));
  await assert.rejects(run(), { code: "ERR_DATA_INCOMPLETE" });
});
