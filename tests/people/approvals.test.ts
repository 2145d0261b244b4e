import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { SoftAuthenticator } from "@redoubt/testkit";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { RedoubtProcess } from "../e2e/redoubt-process.ts";
import { startSystem, type Ending, type System } from "../e2e/system.ts";
import { peopleSay, peopleTenant, runPeople, textOf } from "./people-command.ts";
import { SoftBrowser } from "./soft-browser.ts";

const WAIT_MS = 30_000;

/** As a browser that is led to the page does: the challenge is what the page's button has. */
async function approveAt(url: string, key: SoftAuthenticator): Promise<void> {
  const place = url.replace("//localhost:", "//127.0.0.1:");
  const { origin } = new URL(url);
  const page = await (await fetch(place)).text();
  const [, challenge = ""] = /challenge&quot;:&quot;([\w-]{43})/.exec(page) ?? [];
  assert.notEqual(challenge, "", page);
  const { id, response } = key.authenticate({ challenge }, { origin });
  const { clientDataJSON, authenticatorData, signature } = response;
  const answer = await fetch(`${place}/assertion`, {
    method: "POST",
    headers: { "content-type": "application/json", origin },
    body: JSON.stringify({ credentialId: id, clientDataJSON, authenticatorData, signature }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

/** The address of the page, as the command shows it. */
async function waitForPage(command: RedoubtProcess): Promise<string> {
  const until = Date.now() + WAIT_MS;
  for (;;) {
    const found = /Approve it here: (\S+)/.exec(command.stderr);
    if (found) return found[1] ?? "";
    if (Date.now() > until) throw new Error(`No page: ${command.stderr}`);
    // oxlint-disable-next-line no-await-in-loop -- until the command has shown it
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function register(link: string, name: string): Promise<SoftAuthenticator> {
  const browser = new SoftBrowser();
  await browser.spendPass(link);
  const key = new SoftAuthenticator({ rpId: "localhost" });
  await browser.usePasskey(key, { name });
  assert.match(browser.url, /\/registered$/);
  return key;
}

describe("passes and enrolments that people approve: THREAT-18, THREAT-20", () => {
  let system: System;
  let tenant = "";
  before(async () => {
    system = await startSystem();
    tenant = peopleTenant(system);
  });
  after(() => system[Symbol.asyncDispose]());

  const run = (...args: readonly string[]): Promise<Ending> => runPeople(system, ...args);
  const said = (...args: readonly string[]): Promise<JsonObject> => peopleSay(system, ...args);

  /** Runs a command that waits for approvals, and gives them at the address that it shows. */
  async function approved(
    keys: readonly SoftAuthenticator[],
    ...args: readonly string[]
  ): Promise<Ending> {
    const command = new RedoubtProcess(
      ["--json", "--data", system.folder, "people", ...args, "--tenant", tenant],
      { isTied: true },
    );
    try {
      const url = await waitForPage(command);
      for (const key of keys)
        // oxlint-disable-next-line no-await-in-loop -- one after the other, as people do
        await approveAt(url, key);
      return await command.ended;
    } finally {
      if (command.isRunning) command.kill("SIGKILL");
    }
  }

  const root = "admin@demo.example";
  const keys: SoftAuthenticator[] = [];

  it("the first administrator is enrolled by the operator's key, and everybody is told so", async () => {
    assert.match((await system.redoubt(["status"])).stdout, /approvals: none enrolled/);
    const { register: link } = await said("pass", root);
    const first = await register(textOf(link), "Laptop");
    keys.push(first);
    const shown = await system.redoubt(["people", "show", root, "--tenant", tenant]);
    assert.match(shown.stdout, /No passkey of the realm is enrolled/);
    const nobody = await run("unenrol", root);
    assert.match(nobody.stderr, /0 enrolled passkeys/);
    const enrolled = await said("enrol", root);
    assert.deepEqual(
      [enrolled["credential"], enrolled["class"], enrolled["approval"]],
      [first.credentialId, "device-bound", undefined],
    );
    const { passkeys } = await said("show", root);
    assert.ok(Array.isArray(passkeys) && isJsonObject(passkeys[0]));
    assert.equal(passkeys[0]["isEnrolled"], true);
    assert.doesNotMatch((await system.redoubt(["status"])).stdout, /approvals: none enrolled/);
  });

  it("from then on a pass takes an approval, by somebody else than the one it is for", async () => {
    const [first] = keys;
    assert.ok(first);
    const second = "second@example.org";
    await said("add", "--user-name", second, "--administrator");
    const { code, stdout, stderr } = await approved([first], "pass", second);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Issue a one-time pass, with which a new person/);
    assert.match(stderr, /Name: "second@example\.org"/);
    const key = await register(textOf(parseJsonObject(stdout)["register"]), "Key");
    await said("add", "--user-name", "ada@example.org");
    const own = await approved([first], "pass", root);
    assert.deepEqual(
      [own.code, parseJsonObject(own.stdout)["error"]],
      [1, "ERR_PRESENCE_APPROVERS"],
    );
    // Nobody counts for others before somebody who counts has said so: the page names who may.
    await assert.rejects(approved([key], "pass", "ada@example.org"), /not one|may not|approve/i);
    const enrolled = await approved([first], "enrol", second);
    assert.equal(enrolled.code, 0, enrolled.stderr);
    keys.push(key);
  });

  it("a recovery takes two, and all of it can be verified later, by strangers too", async () => {
    const ada = "ada@example.org";
    const recovered = await approved(keys, "pass", ada, "--recovery");
    assert.equal(recovered.code, 0, recovered.stderr);
    const folder = mkdtempSync(join(tmpdir(), "approvals-"));
    try {
      const listed = await system.redoubt(["--json", "people", "approvals", "--export", folder]);
      assert.equal(listed.code, 0, listed.stderr);
      const { service, approvals } = parseJsonObject(listed.stdout, { maxDepth: 6 });
      assert.ok(Array.isArray(approvals) && approvals.length === 3);
      for (const one of approvals) {
        assert.ok(isJsonObject(one));
        const file = join(folder, `${textOf(one["id"])}.json`);
        assert.ok(readFileSync(file).length > 500);
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        const verified = await system.redoubt([
          "presence",
          "verify",
          file,
          "--service",
          textOf(service),
        ]);
        assert.equal(verified.code, 0, verified.stdout + verified.stderr);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("who is enrolled no more approves nothing, and the operator alone gets nothing back", async () => {
    const [, second] = keys;
    assert.ok(second);
    assert.equal((await said("unenrol", "second@example.org"))["removed"], true);
    await assert.rejects(approved([second], "pass", "ada@example.org"), /not one|may not|approve/i);
  });
});
