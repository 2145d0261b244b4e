import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { SoftAuthenticator } from "@redoubt/testkit";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { startSystem, type Ending, type System } from "../e2e/system.ts";
import { peopleSay, runPeople, textOf } from "./people-command.ts";
import { SoftBrowser } from "./soft-browser.ts";

async function register(link: string): Promise<SoftBrowser> {
  const browser = new SoftBrowser();
  await browser.spendPass(link);
  return browser;
}

describe("accounts of people, by the command line and by SCIM", () => {
  let system: System;

  before(async () => {
    system = await startSystem();
  });
  after(() => system[Symbol.asyncDispose]());

  const people = (...args: readonly string[]): Promise<Ending> => runPeople(system, ...args);
  const said = (...args: readonly string[]): Promise<JsonObject> => peopleSay(system, ...args);

  it("begin at the first start with an administrator, who registers by the link that is shown", async () => {
    const shown = await said("show", "admin@demo.example");
    assert.deepEqual([shown["isAdministrator"], shown["passkeys"]], [true, []]);
    const folder = system.folder;
    await system.stop();
    system = await startSystem({ folder, port: system.base });
    const again = await said("pass", "admin@demo.example");
    const browser = await register(textOf(again["register"]));
    await browser.usePasskey(new SoftAuthenticator({ rpId: "localhost" }), { name: "Laptop" });
    assert.match(browser.url, /\/registered$/);
    const { passkeys } = await said("show", "admin@demo.example");
    assert.ok(Array.isArray(passkeys) && isJsonObject(passkeys[0]));
    assert.equal(passkeys[0]["name"], "Laptop");
    assert.equal("publicKey" in passkeys[0], false);
    const status = await system.redoubt(["status"]);
    assert.match(status.stdout, /people: one passkey is enough/);
  });

  it("are added, given a pass that works once, disabled and enabled", async () => {
    const name = "ada@example.org";
    const added = await said("add", "--user-name", name, "--name", "Ada", "--email", name);
    assert.equal(added["added"], true);
    assert.equal((await said("add", "--user-name", "ADA@example.org"))["added"], false);
    const { register: link } = await said("pass", name);
    const browser = await register(textOf(link));
    assert.match(browser.url, /\/register$/);
    const second = await register(textOf(link));
    assert.match(second.body, /This pass does not work/);
    assert.equal((await said("disable", name))["changed"], true);
    assert.equal((await said("disable", name))["changed"], false);
    const refused = await people("pass", name);
    assert.equal(refused.code, 1);
    assert.equal(parseJsonObject(refused.stdout)["error"], "ERR_PERSON_UNKNOWN");
    assert.equal((await said("enable", name))["status"], "active");
    const nobody = await people("show", "nobody");
    assert.deepEqual([nobody.code, /people add/.test(nobody.stderr)], [1, true]);
    const more = await people("add", "--user-name", name, "--administrator");
    assert.match(more.stderr, /no administrator/);
  });

  it("come from a file: first what would change, then the change, then nothing", async () => {
    const file = join(system.folder, "people.csv");
    writeFileSync(
      file,
      "userName,displayName,email,active\nada@example.org,Ada,,false\nbob@example.org,Bob,bob@example.org,\n",
    );
    const { changes, ...plan } = await said("import", file);
    assert.deepEqual(plan, { applied: false, add: 1, disable: 1, enable: 0, none: 0, failed: [] });
    assert.ok(Array.isArray(changes));
    assert.equal((await said("show", "ada@example.org"))["status"], "active");
    assert.equal((await said("import", file, "--apply"))["applied"], true);
    assert.equal((await said("show", "ada@example.org"))["status"], "disabled");
    assert.equal((await said("show", "bob@example.org"))["source"], "import");
    const again = await said("import", file, "--apply");
    assert.deepEqual([again["add"], again["disable"], again["none"]], [0, 0, 2]);
    writeFileSync(file, "userName\n\nada\nADA\n");
    const bad = await people("import", file);
    assert.deepEqual([bad.code, parseJsonObject(bad.stdout)["error"]], [1, "ERR_IMPORT"]);
  });

  it("come from a directory, whose token ends when it is removed: THREAT-34", async () => {
    const { url, token } = await said("scim", "add", "entra");
    const headers = {
      authorization: `Bearer ${textOf(token)}`,
      "content-type": "application/scim+json",
    };
    const body = JSON.stringify({ userName: "eve@example.org", password: "never-kept-7Q" });
    const added = await fetch(`${textOf(url)}/Users`, { method: "POST", headers, body });
    assert.equal(added.status, 201);
    assert.equal((await said("show", "eve@example.org"))["source"], "scim");
    const log = readFileSync(join(system.folder, "issuer-enterprise", "people.sqlite"));
    assert.equal(log.includes("never-kept-7Q"), false);
    await said("scim", "remove", "entra");
    const gone = await fetch(`${textOf(url)}/Users`, { headers });
    assert.equal(gone.status, 401);
    await gone.body?.cancel();
  });

  it("are counted by their passkeys, and workloads apart", async () => {
    const { code, stdout } = await system.redoubt(["--json", "coverage", "mfa"]);
    assert.equal(code, 0);
    const { realms, workloads } = parseJsonObject(stdout);
    assert.ok(Array.isArray(realms) && Array.isArray(workloads));
    const enterprise = realms.find((one) => Object(one).realm === "enterprise");
    const bound = Object(enterprise).accounts.find(
      ({ tier }: { tier: string }) => tier === "device-bound",
    );
    assert.equal(bound.count, 1);
    assert.deepEqual(
      workloads.map((one) => Object(one).client),
      ["demo-consumer", "demo-enterprise"],
    );
  });
});
