import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { lstatSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Secret } from "@redoubt/base";
import { MemberReader } from "@redoubt/base";
import { reporterKey, signedHeaders } from "@redoubt/verify";
import { isJsonObject, parseJson, parseJsonObject } from "@redoubt/verify/json";
import { readSocketSecret, SocketClient, socketPlace } from "@redoubt/wire";
import { startSystem, type Ending, type System } from "./system.ts";

const guide = readFileSync(new URL("../../docs/guide/credentials.md", import.meta.url), "utf8");

/** The words of the guide's command that begins like this. */
function command(begins: string): string[] {
  const line = guide.split("\n").find((one) => one.startsWith(`redoubt ${begins}`));
  if (line === undefined) return assert.fail(`The guide has no command ${begins}`);
  return line.split(/\s+/).slice(1);
}

function answer(ending: Ending): MemberReader {
  assert.equal(ending.code, 0, ending.stderr);
  return new MemberReader(parseJsonObject(ending.stdout), "answer");
}

describe("docs/guide/credentials.md: credentials have an end", () => {
  const root = mkdtempSync(join(tmpdir(), "redoubt-cred-"));
  const folder = join(root, "data");
  let system: System;
  before(async () => {
    system = await startSystem({ folder });
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  const run = (...args: readonly string[]) => system.redoubt(["--json", ...args]);
  const listed = async (name: string): Promise<MemberReader> => {
    const value = parseJson((await run(...command("reporters list"))).stdout);
    const found = Array.isArray(value)
      ? value.filter(isJsonObject).find(({ reporter }) => reporter === name)
      : undefined;
    return new MemberReader(found ?? {}, name);
  };
  /** The HTTP status of the answer to an empty report. */
  const report = async (reporter: string, secret: string): Promise<number> => {
    const session = randomBytes(16).toString("base64url");
    const body = JSON.stringify({ v: 1, session, seq: 1, items: [], closing: true });
    const signer = { reporter, key: reporterKey(secret) };
    const headers = signedHeaders(signer, "/reports", body, Date.now());
    const url = `http://127.0.0.1:${system.base + 3}/reports`;
    const { status } = await fetch(url, { method: "POST", headers, body });
    return status;
  };
  let secret = "";

  it("a reporter that was added reports; its name is not given twice", async () => {
    const added = answer(await run(...command("reporters add orders-1")));
    secret = added.string("secret");
    assert.equal(added.string("url"), `http://127.0.0.1:${system.base + 3}`);
    assert.match(added.string("ackKey"), /^redoubt\/ack\+/);
    assert.equal(added.boolean("inForce"), true);
    assert.equal((await listed("orders-1")).has("lastReport"), true);
    assert.equal(await report("orders-1", secret), 200);
    assert.ok((await listed("orders-1")).integer("lastReport", 1, 2 ** 40));
    const again = await run(...command("reporters add orders-1"));
    assert.equal(again.code, 1);
    assert.match(again.stderr, /is there already \(active\).*rotate orders-1/);
    const text = await system.redoubt(["reporters", "list"]);
    assert.match(text.stdout, /^REPORTER +STATUS +SINCE +LAST REPORT\n/);
    assert.match(text.stdout, /^drill +active +\S+Z +never$/m);
  });

  it("rotate: the old secret is refused at once, the new one reports", async () => {
    const rotated = answer(await run(...command("reporters rotate")));
    assert.equal(rotated.boolean("inForce"), true);
    const next = rotated.string("secret");
    assert.equal(await report("orders-1", secret), 401);
    assert.equal(await report("orders-1", next), 200);
    secret = next;
  });

  it("a planned change: a second name, its secret in a private file, then the first one ends", async () => {
    const file = join(root, "orders-2.secret");
    const words = command("reporters add orders-2").slice(0, -1);
    const second = answer(await run(...words, file));
    assert.equal(second.has("secret"), false);
    assert.equal(lstatSync(file).mode & 0o777, 0o600);
    const kept = readFileSync(file, "utf8");
    assert.equal(await report("orders-2", kept), 200);
    const onto = await run("reporters", "rotate", "orders-2", "--secret-file", file);
    assert.match(onto.stderr, /exists: name another file/);
    assert.equal(await report("orders-2", kept), 200);

    const disabled = answer(await run(...command("reporters disable")));
    assert.equal(disabled.string("status"), "disabled");
    assert.equal(await report("orders-1", secret), 401);
    assert.equal((await listed("orders-1")).string("status"), "disabled");
    const unknown = await run("reporters", "disable", "orders-9");
    assert.match(unknown.stdout, /ERR_REPORTER_UNKNOWN/);
  });

  it("the command line's own reporter goes on with its new secret", async () => {
    answer(await run("reporters", "rotate", "demo-api"));
    const token = (await system.redoubt(["token"])).stdout;
    assert.equal((await system.redoubt(["verify", "--report"], token)).code, 0);
  });

  it("recover secrets: refused while it runs; afterwards the old secret opens no socket", async () => {
    const recover = command("recover secrets");
    const running = await run(...recover, "--yes");
    assert.equal(running.code, 1);
    assert.match(running.stderr, /already running/);

    const place = socketPlace(folder, "ledger", "operator");
    const old = readSocketSecret(place);
    await system.stop();
    rmSync(socketPlace(folder, "signer-enterprise", "issuer").secretFile);
    const one = command("recover secrets --service");
    const single = answer(await run(...one, "--yes"));
    assert.equal(single.array("replaced", 64).length, 1);
    const replaced = await run(...recover, "--yes");
    assert.equal(answer(replaced).array("replaced", 64).length, 25);
    assert.match(replaced.stderr, /^New secrets for 25 of the sockets\. /);

    system = await startSystem({ folder, port: system.base });
    const token = await system.redoubt(["token"]);
    assert.equal(token.code, 0, token.stderr);
    assert.equal((await system.redoubt(["verify", "--report"], token.stdout)).code, 0);
    assert.equal(await greeted(place.path, readSocketSecret(place)), "yes");
    assert.match(await greeted(place.path, old), /ERR_WIRE_HELLO/);
  });
});

async function greeted(path: string, secret: Secret): Promise<string> {
  await using client = new SocketClient({ path, secret, connectTimeoutMs: 2000 });
  try {
    await client.request({ op: "logs" });
    return "yes";
  } catch (error) {
    return String(error);
  }
}
