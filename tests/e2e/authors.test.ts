import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MemberReader, nowSeconds, systemClock } from "@redoubt/base";
import { openKeyFile } from "@redoubt/custody";
import { signStatement } from "@redoubt/registry";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";
import { readSocketSecret, SocketClient, socketPlace } from "@redoubt/wire";
import { startSystem, type Ending, type System } from "./system.ts";
import { until } from "./until.ts";

const TENANT = "11111111-2222-4333-8444-555555555555";

const toldOfRing = (text: string): boolean => text.includes("ring-key-missing");
const kids = (text: string) => [...text.matchAll(/"kid":"([\w-]{43})"/g)].map(([, kid]) => kid);
const kidOf = (text: string) => /"realm":"enterprise","kid":"([\w-]{43})"/.exec(text)?.[1] ?? "";

/** In this order, on one system: what ends with one step begins the next. */
describe("operator and ring keys come to an end", () => {
  const root = mkdtempSync(join(tmpdir(), "redoubt-authors-"));
  const folder = join(root, "data");
  const file = (name: string) => join(root, name);
  let system: System;
  before(async () => {
    writeFileSync(file("pass"), "correct horse battery staple\n", { mode: 0o600 });
    system = await startSystem({ folder });
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  const run = (...args: readonly string[]) => system.redoubt(["--json", ...args]);
  const ok = async (...args: readonly string[]): Promise<MemberReader> => {
    const ending = await run(...args);
    assert.equal(ending.code, 0, `${args.join(" ")}: ${ending.stderr}${ending.stdout}`);
    return new MemberReader(parseJsonObject(ending.stdout, { maxDepth: 16 }), args.join(" "));
  };
  const addTenant = (audience: string): Promise<Ending> =>
    run("tenants", "add", "--tenant", TENANT, "--audience", audience);
  const alarms = async (kind: string): Promise<number> =>
    (await run("alarms", "--all")).stdout.split(`"kind":"${kind}"`).length - 1;
  const tokenIsGood = async (): Promise<void> => {
    const token = await system.redoubt(["token"]);
    assert.equal(token.code, 0, token.stderr);
    const { code, stderr } = await system.redoubt(["verify"], token.stdout);
    assert.equal(code, 0, stderr);
  };
  const verified = async (): Promise<Ending> =>
    system.redoubt(["verify"], (await system.redoubt(["token"])).stdout);
  /** What somebody says who has a key and the operator's socket. */
  const sayWith = async (keyFile: string): Promise<void> => {
    const place = socketPlace(folder, "ledger", "operator");
    await using client = new SocketClient({ path: place.path, secret: readSocketSecret(place) });
    const { privateKey } = openKeyFile(keyFile);
    const body = { type: "tenant", realm: "enterprise", tenant: TENANT } as const;
    const signed = signStatement(
      { ...body, status: "active", audiences: ["api://thief"] },
      { name: "operator", privateKey },
      nowSeconds(systemClock) + 1,
    );
    await client.request({
      op: "append",
      log: "redoubt.local/registry",
      statement: encodeBase64url(signed.statement),
      envelope: encodeBase64url(signed.envelope),
    });
  };
  const remove = (folderName: string, begins: string): void => {
    const path = join(folder, folderName);
    for (const name of readdirSync(path)) if (name.startsWith(begins)) rmSync(join(path, name));
  };

  it("a stolen operator key: another takes its place, and the thief's word is void", async () => {
    for (const name of ["operator.key", "operator.key.pass"])
      cpSync(join(folder, "up", name), file(name));
    // The thief left one of their own where the next key is to be.
    for (const suffix of ["", ".pass"])
      cpSync(file(`operator.key${suffix}`), join(folder, "up", `operator-2.key${suffix}`));
    const planted = await run("recover", "operator", "--yes");
    assert.equal(planted.code, 1);
    assert.match(
      planted.stderr,
      /operator-2\.key is there already.*it may be a thief's: remove it/,
    );
    remove("up", "operator-2.key");
    const changed = await ok("recover", "operator", "--yes");
    assert.match(changed.string("key"), /^operator\+/);
    await sayWith(file("operator.key"));
    await until(
      "void",
      () => alarms("void-statement"),
      (count) => count === 1,
    );
    await until(
      "an alarm",
      () => alarms("key-replaced"),
      (count) => count === 1,
    );
    const added = await addTenant("api://ours");
    assert.equal(added.code, 0, added.stderr);
    const listed = await system.redoubt(["tenants", "list"]);
    assert.match(listed.stdout, /api:\/\/ours/);
    assert.doesNotMatch(listed.stdout, /api:\/\/thief/);
  });

  it("a lost operator key: the error names the way out, which works, also after a restart", async () => {
    remove("up", "operator-2.key");
    const refused = await addTenant("api://two");
    assert.equal(refused.code, 1);
    assert.match(refused.stdout, /ERR_OPERATOR_KEY/);
    assert.match(refused.stderr, /redoubt recover operator: .*operator-2\.key is missing/);
    await ok("recover", "operator", "--yes");
    assert.equal((await addTenant("api://two")).code, 0);
    await system.stop();
    system = await startSystem({ folder, port: system.base });
    assert.equal((await addTenant("api://three")).code, 0);
    await tokenIsGood();
  });

  it("a ring key, planned: tokens go on, and what pins the new one alone accepts them", async () => {
    const old = (await run("keys", "list")).stdout;
    assert.ok(kids(old).length >= 4);
    await ok("recover", "ring", "--realm", "enterprise", "--yes");
    await until(
      "an alarm",
      () => alarms("key-replaced"),
      (count) => count === 3,
    );
    await until(
      "a token",
      () => system.redoubt(["token"]),
      ({ code }) => code === 0,
    );
    await until("a token that verifies", verified, ({ code }) => code === 0);
    assert.deepEqual(kids((await run("keys", "list")).stdout), kids(old));
    await tokenIsGood();
  });

  it("a lost ring key: tokens go on without it, key changes say the way out", async () => {
    remove("signer-enterprise", "ring-2.key");
    process.kill(await system.pidOf("signer-enterprise"), "SIGKILL");
    await until(
      "a token",
      () => system.redoubt(["token"]),
      ({ code }) => code === 0,
    );
    const kid = kidOf((await run("keys", "list")).stdout);
    const retain = () => run("keys", "retain", kid, "--reason", "test");
    const refused = await retain();
    assert.notEqual(refused.code, 0);
    assert.match(refused.stdout + refused.stderr, /ERR_SIGNER_RING/);
    await until("an alarm", async () => (await run("alarms")).stdout, toldOfRing);
    await ok("recover", "ring", "--realm", "enterprise", "--yes");
    await until("a change of a key", retain, ({ code }) => code === 0);
    await until("a token that verifies", verified, ({ code }) => code === 0);
  });

  it("with production roots: a draft that holders sign, with the operator key lost", async () => {
    const holders = ["alice", "bob", "carol"];
    const pass = ["--passphrase-file", file("pass")];
    const ceremony = (...args: readonly string[]) => ok("keys", "ceremony", ...args);
    const sign = async (name: string) => {
      for (const holder of holders.slice(0, 2))
        await ceremony("sign", "--key", file(`${holder}.root`), ...pass, "--yes", file(name));
    };
    for (const name of holders)
      await ceremony("key", "--name", name, "--out", file(`${name}.root`), ...pass);
    const keys = holders.map((name) => file(`${name}.root.pub`)).join(",");
    const form = ["--keys", keys, "--threshold", "2", "--expires", "365d"];
    await ceremony("draft", ...form, "--out", file("one.json"));
    await sign("one.json");
    await ceremony("publish", file("one.json"));

    remove("up", "operator-3.key");
    assert.equal((await run("recover", "operator")).code, 1);
    await ok("recover", "operator", "--out", file("first.json"));
    await ok("recover", "operator", "--out", file("two.json"), "--prepared");
    const early = await run("keys", "ceremony", "publish", file("two.json"));
    assert.equal(early.code, 3, early.stderr);
    await sign("two.json");
    const shown = await system.redoubt(["keys", "ceremony", "show", file("two.json")]);
    assert.match(shown.stdout, /from here on this is the operator/);
    await ceremony("publish", file("two.json"));
    assert.equal((await addTenant("api://four")).code, 0);
  });
});
