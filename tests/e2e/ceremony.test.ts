import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MemberReader } from "@redoubt/base";
import { combineRoots, parseSignedRoot, verifyRootChain } from "@redoubt/registry";
import {
  isJsonObject,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "@redoubt/verify/json";
import { readSettings, ringsOf } from "@redoubt/cli";
import { startSystem, type Ending, type System } from "./system.ts";

const PASSPHRASE = "correct horse battery staple";
const YEAR = 365 * 86_400;

function json(ending: Ending): MemberReader {
  return new MemberReader(parseJsonObject(ending.stdout, { maxDepth: 16 }), "answer");
}

function object(value: JsonValue | undefined): JsonObject {
  assert.ok(isJsonObject(value));
  return value;
}

/** In the order of a ceremony, on one system that was set up a moment ago. */
describe("the root ceremony, 2 of 3", () => {
  let system: System;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "redoubt-ceremony-"));
    writeFileSync(file("pass"), `${PASSPHRASE}\n`, { mode: 0o600 });
    system = await startSystem();
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const file = (name: string) => join(folder, name);
  const pass = () => ["--passphrase-file", file("pass")];
  const run = (...args: readonly string[]) => system.redoubt(["keys", "ceremony", ...args]);
  const asJson = (...args: readonly string[]) => run(...args, "--json");
  const ends = async (code: number, ...args: readonly string[]): Promise<Ending> => {
    const ending = await asJson(...args);
    assert.equal(ending.code, code, `${args.join(" ")}: ${ending.stderr}${ending.stdout}`);
    return ending;
  };
  const holders = ["alice", "bob", "carol"];
  const publicParts = () => holders.map((name) => file(`${name}.root.pub`)).join(",");
  const draft = (out: string, ...more: readonly string[]) => [
    "draft",
    "--keys",
    publicParts(),
    "--threshold",
    "2",
    "--expires",
    "365d",
    "--out",
    file(out),
    ...more,
  ];
  const sign = (name: string, root: string) => [
    "sign",
    "--key",
    file(`${name}.root`),
    ...pass(),
    "--yes",
    file(root),
  ];
  const labels = async () => {
    const status = parseJsonObject((await system.redoubt(["status", "--json"])).stdout, {
      maxDepth: 16,
    });
    const { labels: all } = status;
    assert.ok(Array.isArray(all));
    return all.filter((label) => String(label).startsWith("roots: "));
  };

  it("a new system has a demo root, and says so", async () => {
    assert.deepEqual(await labels(), ["roots: demo"]);
    const shown = json(await ends(0, "show"));
    const root = shown.object("root");
    assert.equal(root.string("kind"), "demo");
    assert.equal(root.integer("version", 1, 9), 1);
    assert.equal(shown.string("presence"), "none");
    assert.equal(shown.array("concerns", 9).length, 0);
  });

  it("key: sealed, its public part beside it, and never written over", async () => {
    const made = await Promise.all(
      [...holders, "dave"].map((name) =>
        ends(0, "key", "--name", name, "--out", file(`${name}.root`), ...pass()),
      ),
    );
    const keys = made.map((ending) => json(ending).string("publicKey"));
    assert.equal(new Set(keys).size, 4);
    assert.equal(statSync(file("alice.root")).mode & 0o777, 0o600);
    assert.equal(parseJsonObject(readFileSync(file("alice.root.pub")))["publicKey"], keys[0]);
    const sealed = readFileSync(file("alice.root"));
    const again = await ends(1, "key", "--name", "alice", "--out", file("alice.root"), ...pass());
    assert.match(again.stderr, /alice\.root exists: name another file/);
    assert.deepEqual(readFileSync(file("alice.root")), sealed);
    const alone = await ends(1, "key", "--name", "eve", "--out", file("eve.root"));
    assert.match(alone.stderr, /--passphrase-file/);
  });

  it("draft: the realms and rings of the registry, version 1, not a rotation from demo", async () => {
    const drafted = json(await ends(0, ...draft("root.json")));
    assert.equal(drafted.string("kind"), "production");
    assert.equal(drafted.integer("version", 0, 9), 1);
    assert.equal(
      drafted.integer("expires", 0, 2 ** 40) - drafted.integer("made", 0, 2 ** 40),
      YEAR,
    );
    const rings = ringsOf(readSettings(system.folder));
    const realms = drafted.array("realms", 9).map((value) => object(value));
    assert.deepEqual(
      Object.fromEntries(realms.map((realm) => [realm["realm"], realm["ring"]])),
      rings,
    );
    assert.match((await ends(1, ...draft("root.json"))).stderr, /exists/);
    assert.match((await ends(3, ...draft("x.json", "--threshold", "3"))).stderr, /not 3 of 3/);
  });

  it("publish: refused below the threshold, and nothing is recorded", async () => {
    const none = await ends(3, "publish", file("root.json"));
    assert.match(none.stderr, /Root 1 has 0 of 2 signatures/);
    copyFileSync(file("root.json"), file("root-carol.json"));
    await ends(0, ...sign("alice", "root.json"));
    const one = await ends(3, "publish", file("root.json"));
    assert.equal(json(one).string("error"), "ERR_REGISTRY_VOID");
    assert.match(one.stderr, /of bob, carol there is none/);
    assert.deepEqual(await labels(), ["roots: demo"]);
  });

  it("sign: only a key that the root names, only with its passphrase, and not unasked", async () => {
    assert.match((await ends(3, ...sign("dave", "root.json"))).stderr, /does not name this key/);
    writeFileSync(file("wrong"), "not the passphrase at all\n", { mode: 0o600 });
    const bad = [
      "sign",
      "--key",
      file("bob.root"),
      "--passphrase-file",
      file("wrong"),
      "--yes",
      file("root.json"),
    ];
    assert.match((await ends(1, ...bad)).stderr, /does not open with this passphrase/);
    const unasked = await ends(1, "sign", "--key", file("bob.root"), ...pass(), file("root.json"));
    assert.match(unasked.stderr, /cannot be undone: say --yes/);
    assert.match(unasked.stderr, /any 2 of 3 keys/);
    const text = readFileSync(file("root.json"), "utf8").replace('"threshold":2', '"threshold":1');
    writeFileSync(file("weaker.json"), text);
    assert.match((await ends(3, ...sign("bob", "weaker.json"))).stderr, /production needs/);
  });

  it("publish: what was signed apart, proven in the registry; again is no mistake", async () => {
    const signed = json(await ends(0, ...sign("carol", "root-carol.json")));
    assert.deepEqual(signed.strings("signed", 3), ["carol"]);
    const files = [file("root.json"), file("root-carol.json")];
    const published = json(await ends(0, "publish", ...files));
    assert.equal(published.boolean("published"), true);
    const again = json(await ends(0, "publish", ...files));
    assert.equal(again.boolean("published"), false);
    assert.equal(again.integer("index", 0, 1000), published.integer("index", 0, 1000));
    const root = json(await ends(0, "show")).object("root");
    assert.equal(root.string("hash"), published.string("hash"));
    assert.deepEqual(root.strings("signed", 3), ["alice", "carol"]);
    assert.deepEqual(await labels(), ["roots: production"]);
    assert.match((await run("show")).stdout, /production root, version 1: any 2 of 3 keys/);
  });

  it("a rotation: the next version, by keys of both", async () => {
    const keys = ["bob", "carol", "dave"].map((name) => file(`${name}.root.pub`)).join(",");
    await ends(
      0,
      "draft",
      "--keys",
      keys,
      "--threshold",
      "2",
      "--expires",
      "30d",
      "--out",
      file("two.json"),
    );
    await ends(0, ...sign("dave", "two.json"));
    await ends(0, ...sign("bob", "two.json"));
    assert.match(
      (await ends(3, "publish", file("two.json"))).stderr,
      /1 of 2 signatures by keys of version 1/,
    );
    await ends(0, ...sign("alice", "two.json"));
    await ends(0, "publish", file("two.json"));
    const shown = json(await ends(2, "show"));
    assert.equal(shown.array("chain", 9).length, 2);
    assert.equal(shown.object("root").integer("version", 0, 9), 2);
    assert.deepEqual(shown.array("concerns", 9), [
      "Root 2 expires in 30 d: publish the next version before",
    ]);
  });

  it("no alarm, and the system as healthy as before; a verifier follows the chain from the hash it pins", async () => {
    const alarms = await system.redoubt(["alarms", "--json"]);
    assert.doesNotMatch(alarms.stdout, /void-statement/);
    const [first, apart, second] = ["root.json", "root-carol.json", "two.json"].map((name) =>
      parseSignedRoot(readFileSync(file(name)).subarray(0, -1)),
    );
    assert.ok(first && apart && second);
    const nowSeconds = second.document.made;
    const options = { pin: first.hash, kind: "production", nowSeconds } as const;
    const whole = combineRoots(first, apart);
    assert.equal(verifyRootChain([whole, second], options).hash, second.hash);
    // The file of the first holds one of its two signatures; the other was made apart.
    assert.throws(() => verifyRootChain([first, second], options), { code: "ERR_ROOT_THRESHOLD" });
  });
});
