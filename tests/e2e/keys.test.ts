import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MemberReader } from "@redoubt/base";
import { isJsonObject, parseJson, parseJsonObject, type JsonValue } from "@redoubt/verify/json";
import { makeAgedFolder } from "../drills/aged-folder.ts";
import { freeBasePort } from "./free-ports.ts";
import { startSystem, type Ending, type System } from "./system.ts";

const reason = ["--reason", "because a test says so"];

function json(ending: Ending): MemberReader {
  return new MemberReader(parseJsonObject(ending.stdout, { maxDepth: 16 }), "answer");
}

function readers(values: readonly JsonValue[]): MemberReader[] {
  return values.map((value) => new MemberReader(isJsonObject(value) ? value : {}, "item"));
}

function fails(ending: Ending, pattern: RegExp): void {
  assert.equal(ending.code, 1, ending.stderr);
  assert.match(ending.stderr, pattern);
  assert.match(ending.stderr, /^redoubt: [^\n]+\n$/m);
}

/** In the order in which an operator would meet them; the system was set up seven hours ago. */
describe("the key commands, on a running system whose standbys are known", () => {
  let system: System;
  let files: string;
  before(async () => {
    files = mkdtempSync(join(tmpdir(), "redoubt-keys-"));
    const place = { folder: join(files, "data"), port: await freeBasePort() };
    await makeAgedFolder(place);
    system = await startSystem(place);
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
    rmSync(files, { recursive: true, force: true });
  });

  const run = (args: readonly string[]) => system.redoubt(args);
  const ok = async (args: readonly string[]): Promise<Ending> => {
    const ending = await run(args);
    assert.equal(ending.code, 0, `${args.join(" ")}: ${ending.stderr}${ending.stdout}`);
    return ending;
  };
  const keys = async (...args: readonly string[]): Promise<MemberReader[]> => {
    const value = parseJson((await run(["--json", "keys", "list", ...args])).stdout, {
      maxDepth: 16,
    });
    assert.ok(Array.isArray(value));
    return readers(value);
  };
  /** The kids of a realm's access tokens, by state. */
  const kidsOf = async (realm: string): Promise<Readonly<Record<string, string>>> => {
    const own = (await keys()).filter(
      (key) => key.string("realm") === realm && key.string("class") === "at",
    );
    return Object.fromEntries(own.map((key) => [key.string("state"), key.string("kid")]));
  };
  /** The key that signs now, as a client's token says. */
  const signing = async (realm: string): Promise<string> => {
    const token = (await ok(["token", "--realm", realm])).stdout;
    const header = Buffer.from(token.split(".")[0] ?? "", "base64url");
    return new MemberReader(parseJsonObject(header), "header").string("kid");
  };

  it("list: age, custody, blast radius and what comes next of each", async () => {
    for (const key of await keys()) {
      assert.equal(key.integer("activeTenants", 0, 10), 1);
      assert.equal(key.boolean("held"), true);
      assert.equal(key.isNull("retained"), true);
      const isActive = key.string("state") === "active";
      assert.equal(key.isNull("age"), !isActive);
      if (!isActive) continue;
      const age = key.object("age");
      assert.ok(age.integer("seconds", 0, 1e6) >= 7 * 3600);
      assert.equal(age.string("level"), "young");
    }
    assert.match(
      (await ok(["keys"])).stdout,
      /enterprise +active +7 h \(2 %\) +verify-only in 7 d/,
    );
  });

  it("show: record, history, ring and where it is published, by a short name", async () => {
    const { active: kid = "" } = await kidsOf("enterprise");
    const details = json(await ok(["--json", "keys", "show", kid.slice(0, 8)]));
    assert.equal(details.string("kid"), kid);
    assert.equal(details.object("record").string("realm"), "enterprise");
    assert.match(details.object("ring").string("key"), /^ring\/enterprise\+/);
    const jwks = details.object("jwks");
    assert.equal(jwks.boolean("expected"), true);
    assert.deepEqual(
      readers(jwks.array("served", 8)).map((served) => served.boolean("listed")),
      [true],
    );
    const history = readers(details.array("history", 10)).map((event) => event.string("event"));
    assert.deepEqual(history, ["generated", "prepublished", "active"]);
    const text = (await ok(["keys", "show", kid])).stdout;
    for (const pattern of [/^realm +enterprise, class at, ES256$/m, /: listed$/m, /"alg": "ES256"/])
      assert.match(text, pattern);
    fails(await run(["keys", "show", kid.slice(0, 5)]), /first 6 characters/);
    fails(await run(["keys", "show", "AAAAAAAA"]), /No key begins with AAAAAAAA/);
  });

  it("rotate: the standby signs, and a second one at once is refused with the time to wait", async () => {
    const { active: old = "", prepublished: standby } = await kidsOf("enterprise");
    const rotate = ["keys", "rotate", "--realm", "enterprise", ...reason];
    const done = json(await ok(["--json", ...rotate]));
    assert.deepEqual([done.string("kid"), done.string("before")], [standby, old]);
    assert.equal(done.string("presence"), "none");
    assert.equal(await signing("enterprise"), standby);
    const again = await run(["--json", ...rotate]);
    fails(again, /No standby .* try again in 6 h/);
    assert.equal(json(again).string("error"), "ERR_SIGNER_NO_STANDBY");
  });

  it("retain: by the ring, and by the operator, whom the signer cannot overrule", async () => {
    const { "verify-only": kid = "" } = await kidsOf("enterprise");
    const retained = async () => {
      const key = (await keys()).find((one) => one.string("kid") === kid);
      return key?.isNull("retained") === true ? null : key?.string("retained");
    };
    await ok(["keys", "retain", kid, ...reason]);
    assert.equal(await retained(), "ring");
    await ok(["keys", "retain", kid, "--as-operator", ...reason]);
    assert.equal(await retained(), "operator");
    assert.match((await ok(["keys", "list"])).stdout, /retained by operator/);
    assert.match(
      (await ok(["keys", "retain", kid, "--off", ...reason])).stdout,
      /is released: the life cycle/,
    );
    assert.equal(await retained(), null);
    // What is so already is no error, and no entry.
    assert.equal(
      json(await ok(["--json", "keys", "retain", kid, "--off", ...reason])).boolean("retained"),
      false,
    );
    const { stdout } = await ok(["keys", "show", kid]);
    assert.equal(stdout.match(/^(?:retained|released) +20/gm)?.length, 3);
  });

  it("rollback: the key before signs again; what cannot be rolled back to is refused", async () => {
    const kids = await kidsOf("enterprise");
    const { active: current, prepublished: next = "", "verify-only": old = "" } = kids;
    fails(await run(["keys", "rollback", next, ...reason]), /prepublished.*redoubt keys show/);
    const done = json(await ok(["--json", "keys", "rollback", old, ...reason]));
    assert.deepEqual([done.string("kid"), done.string("before")], [old, current]);
    assert.equal(await signing("enterprise"), old);
  });

  it("taint: asks first, then says which key signs and who may still take the old one's tokens", async () => {
    const { active: old = "", prepublished: standby } = await kidsOf("consumer");
    fails(await run(["keys", "taint", old, ...reason]), /cannot be undone: say --yes as well/);
    assert.equal(await signing("consumer"), old);
    const done = json(await ok(["--json", "keys", "taint", old, "--yes", ...reason]));
    assert.deepEqual(
      [done.string("state"), done.string("active"), done.string("was")],
      ["revoked", standby, "active"],
    );
    const exposure = done.object("exposure");
    assert.equal(exposure.object("jwks").boolean("listed"), false);
    assert.equal(exposure.integer("jwksMaxAgeSeconds", 0, 3600), 300);
    assert.equal(exposure.integer("tokenLifetimeSeconds", 0, 3600), 3600);
    assert.equal(await signing("consumer"), standby);
    const again = await ok(["keys", "taint", old, "--yes", ...reason]);
    assert.match(again.stdout, /ordinary clients: until their copy of the JWKS ends: 5 min/);
    assert.match(again.stdout, /no push channel yet/);
    const details = json(await ok(["--json", "keys", "show", old]));
    assert.equal(details.object("jwks").boolean("expected"), false);
    assert.match(JSON.stringify(details.array("alarms", 10)), /key-tainted/);
  });

  it("taint: without a ready standby it names the choices and their price, and does the chosen one", async () => {
    const { active: kid = "" } = await kidsOf("consumer");
    fails(
      await run(["keys", "taint", kid, "--yes", ...reason]),
      /\(in 6 h\).*--early: .*may refuse its tokens for up to 6 h.*--stop-issuing: /,
    );
    assert.equal(await signing("consumer"), kid);
    const ending = await run(["keys", "taint", kid, "--yes", "--stop-issuing", ...reason]);
    assert.equal(ending.code, 2);
    assert.match(
      ending.stderr,
      /WARNING: no standby is ready: realm consumer will issue nothing\n.* ready: \S+ \(in 6 h\)\n/,
    );
    assert.match(ending.stdout, /NO KEY of its ring signs now/);
    const list = await run(["keys", "list"]);
    assert.equal(list.code, 2);
    assert.match(list.stderr, /No key signs in realm consumer, class at/);
    const status = await run(["status"]);
    assert.match(status.stdout, /signer-consumer is not ready: No key signs before 20/);
  });

  it("rotate --early: a standby that some may not know yet ends the outage, and is told", async () => {
    const rotate = ["keys", "rotate", "--realm", "consumer", ...reason];
    fails(await run(rotate), /try again in 6 h/);
    const standby = json(await ok(["--json", ...rotate, "--early"])).string("kid");
    assert.equal(await signing("consumer"), standby);
    fails(await run([...rotate, "--early"]), /try again in 6 h/);
    const early = ["keys", "taint", standby, "--yes", "--early", ...reason];
    const done = json(await ok(["--json", ...early]));
    assert.equal(await signing("consumer"), done.string("active"));
    assert.equal(done.integer("refusedSeconds", 21_000, 21_600) > 0, true);
    const { stdout } = await run(["alarms"]);
    assert.match(stdout, /key-activated-early/);
  });

  it("taint: where a replaced key is above suspicion, a roll-back ends the outage at once", async () => {
    const { active: kid = "", "verify-only": replaced = "" } = await kidsOf("enterprise");
    const ending = await run(["keys", "taint", kid, "--yes", "--stop-issuing", ...reason]);
    assert.equal(ending.code, 2);
    assert.ok(ending.stdout.includes(`above suspicion: redoubt keys rollback ${replaced}\n`));
    fails(await run(["token", "--realm", "enterprise"]), /temporarily_unavailable/);
    await ok(["keys", "rollback", replaced, ...reason]);
    assert.equal(await signing("enterprise"), replaced);
    assert.match(
      (await ok(["keys", "rollback", replaced, ...reason])).stdout,
      /It was so already: nothing was written/,
    );
  });

  it("policy check: every problem, or every time; needs no running system", async () => {
    const file = join(files, "policy.json");
    const check = (policy: unknown, ...args: readonly string[]) => {
      writeFileSync(file, JSON.stringify(policy));
      return run(["--json", "keys", "policy", "check", file, ...args]);
    };
    const rotate = { trigger: { timeAfterCreate: "P10D" }, action: { type: "Rotate" } };
    const good = json(await check({ lifetimeActions: [rotate] }));
    assert.equal(good.object("policy").integer("activeSeconds", 0, 1e7), 864_000);
    const bad = await check({ lifetimeActions: [rotate, rotate], redoubt: { standby: 9 } });
    assert.equal(bad.code, 1);
    assert.equal(json(bad).strings("problems", 10).length, 2);
  });
});
