import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, describe, it } from "node:test";
import { Secret } from "@redoubt/base";
import { createRootKeyFile, openRootKeyFile } from "./key.ts";
import {
  encodeRoot,
  parseRootKey,
  signRoot,
  type RootKey,
  type SignedRoot,
} from "@redoubt/registry";
import { TestRegistry } from "../testing/registry.ts";
import { demoRootStatement } from "./demo-root.ts";
import { draftRoot } from "./draft.ts";
import {
  readRootFile,
  readRootKey,
  refuseExisting,
  writePublicFile,
  writeRootFile,
} from "./files.ts";
import { newPassphrase, passphraseOf } from "./passphrase.ts";
import { rootConcerns, rootsLabel, rootStatement, withRootsLabel } from "./root-state.ts";
import { rootJson, rootText } from "./root-text.ts";

const folder = mkdtempSync(join(tmpdir(), "redoubt-ceremony-"));
after(() => rmSync(folder, { recursive: true }));
const file = (name: string) => join(folder, name);
const DAY = 86_400;
const NOW = 1000;

const passphrase = new Secret("correct horse battery staple");
const holders = ["alice", "bob", "carol"].map((name) => {
  const path = file(`${name}.root`);
  const made = createRootKeyFile(path, name, passphrase);
  return { path, made, key: parseRootKey(made), privateKey: openRootKeyFile(path, passphrase) };
});
const keys: readonly RootKey[] = holders.map(({ key }) => key);
const plan = { keys, threshold: 2, lifeSeconds: 365 * DAY, nowSeconds: NOW };

function signed(root: SignedRoot, count = 2): SignedRoot {
  return holders.slice(0, count).reduce((made, { privateKey }) => signRoot(made, privateKey), root);
}

/** A registry that `up` has given its demo root. */
function withDemoRoot(): TestRegistry {
  const system = new TestRegistry();
  const statement = demoRootStatement(upFolder(), system.registry, NOW);
  assert.ok(statement);
  system.state(statement, NOW);
  return system;
}

function upFolder(): string {
  const place = mkdtempSync(join(folder, "data-"));
  mkdirSync(join(place, "up"));
  return place;
}

describe("a draft", () => {
  it("delegates every realm of the registry to its ring, as version 1", () => {
    const { registry } = withDemoRoot();
    const { document, signatures } = draftRoot(registry, plan);
    assert.deepEqual([document.kind, document.version, document.threshold], ["production", 1, 2]);
    assert.deepEqual([document.made, document.expires], [NOW, NOW + 365 * DAY]);
    assert.deepEqual(
      document.realms.map(({ realm }) => realm),
      ["consumer", "enterprise"],
    );
    assert.deepEqual(signatures, []);
  });

  it("is the version after the newest production root", () => {
    const system = withDemoRoot();
    system.state(rootStatement(signed(draftRoot(system.registry, plan))), NOW);
    assert.equal(draftRoot(system.registry, plan).document.version, 2);
    system.state(rootStatement(signed(draftRoot(system.registry, plan))), NOW);
    assert.equal(draftRoot(system.registry, plan).document.version, 3);
  });

  it("needs three keys, a threshold below them, and a realm", () => {
    const { registry } = new TestRegistry();
    for (const change of [
      { threshold: 3 },
      { threshold: 1 },
      { keys: keys.slice(1) },
      { keys: [...keys, ...keys] },
    ])
      assert.throws(() => draftRoot(registry, { ...plan, ...change }), { code: "ERR_ROOT_MEMBER" });
    const empty = { realms: new Map(), roots: [] };
    assert.throws(() => draftRoot(empty, plan), { code: "ERR_NO_REALMS" });
  });
});

describe("the demo root", () => {
  it("is made once, with a key of its own that stays; and renewed before it expires", () => {
    const system = new TestRegistry();
    const data = upFolder();
    const first = demoRootStatement(data, system.registry, NOW);
    assert.equal(first?.type, "root");
    system.state(first, NOW);
    assert.equal(demoRootStatement(data, system.registry, NOW + 335 * DAY - 1), undefined);
    const second = demoRootStatement(data, system.registry, NOW + 335 * DAY);
    assert.ok(second);
    system.state(second, NOW + 335 * DAY);
    const versions = system.registry.roots.map(({ document }) => [document.kind, document.version]);
    assert.deepEqual(versions, [
      ["demo", 1],
      ["demo", 2],
    ]);
  });

  it("is never made again after a ceremony", () => {
    const system = withDemoRoot();
    system.state(rootStatement(signed(draftRoot(system.registry, plan))), NOW);
    assert.equal(demoRootStatement(upFolder(), system.registry, NOW + 10_000 * DAY), undefined);
  });
});

describe("what the roots of a system are called", () => {
  it("the registry decides, whatever a service was configured to say", () => {
    const system = new TestRegistry();
    const labels = ["roots: demo", "isolation: none"];
    assert.equal(rootsLabel(system.registry), undefined);
    assert.deepEqual(withRootsLabel(labels, system.registry), labels);
    const demo = withDemoRoot();
    assert.deepEqual(withRootsLabel(["isolation: none"], demo.registry), [
      "isolation: none",
      "roots: demo",
    ]);
    demo.state(rootStatement(signed(draftRoot(demo.registry, plan))), NOW);
    assert.deepEqual(withRootsLabel(labels, demo.registry), [
      "isolation: none",
      "roots: production",
    ]);
  });

  it("concerns: none at all, one that ends within 30 days or ended, a realm that is left out", () => {
    const system = new TestRegistry();
    assert.match(rootConcerns(system.registry, NOW).join(), /no root/);
    const draft = draftRoot(system.registry, plan);
    system.state(rootStatement(signed(draft)), NOW);
    const { expires } = draft.document;
    assert.deepEqual(rootConcerns(system.registry, expires - 30 * DAY), []);
    assert.match(rootConcerns(system.registry, expires - 30 * DAY + 1).join(), /expires in 30 d/);
    assert.match(rootConcerns(system.registry, expires).join(), /expired 0 s ago/);
    const { realms } = new TestRegistry().registry;
    const other = {
      realms: new Map([...realms].map(([, realm]) => ["third", realm] as const)),
      roots: system.registry.roots,
    };
    assert.match(rootConcerns(other, NOW).join(), /does not delegate realm third/);
  });
});

describe("what a holder is shown", () => {
  const { registry } = new TestRegistry();
  const draft = draftRoot(registry, plan);

  it("kind, version, threshold, keys, rings, life, hash, and who signed", () => {
    const text = rootText(signed(draft, 1), NOW);
    for (const pattern of [
      /^production root, version 1: any 2 of 3 keys/,
      /alice +[\w-]{43} +signed$/m,
      /bob +[\w-]{43} +has not signed$/m,
      /consumer +consumer\/ring\+/,
      /expires +1971-01-01T00:16:40Z \(in 365 d\)/,
      new RegExp(draft.hash),
      /signed +by 1 of the 2 that it needs$/,
    ])
      assert.match(text, pattern);
    assert.match(rootText(draft, NOW + 366 * DAY), /\(expired\)/);
    assert.deepEqual(rootJson(signed(draft)).signed, ["alice", "bob"]);
  });

  it("that a rotation needs keys of the version before, too", () => {
    const system = new TestRegistry();
    system.state(rootStatement(signed(draftRoot(system.registry, plan))), NOW);
    const next = draftRoot(system.registry, plan);
    assert.match(rootText(next, NOW), /the signatures that version 1 asks for$/);
    assert.deepEqual(rootJson(next).alsoSignedBy, []);
    const [alice, ...others] = holders;
    assert.ok(alice);
    const dave = createRootKeyFile(file("dave.root"), "dave", passphrase);
    const stay = [...others.map(({ key }) => key), parseRootKey(dave)];
    const root = { ...encodeRoot({ ...next.document, keys: stay }), signatures: [] };
    const left = signRoot(root, alice.privateKey);
    assert.match(rootText(left, NOW), new RegExp(`also +by ${alice.key.publicKey}`));
    assert.deepEqual(rootJson(left).alsoSignedBy, [alice.key.publicKey]);
  });
});

describe("files of a ceremony", () => {
  const { registry } = new TestRegistry();
  const root = signed(draftRoot(registry, plan));

  it("come back as they were written, with or without a line end", () => {
    writeRootFile(file("root.json"), root);
    assert.deepEqual(readRootFile(file("root.json")), root);
    const [alice] = holders;
    assert.ok(alice);
    writePublicFile(file("alice.pub"), alice.made);
    assert.deepEqual(readRootKey(file("alice.pub")), alice.key);
    writeFileSync(file("bare.pub"), alice.made);
    assert.deepEqual(readRootKey(file("bare.pub")), alice.key);
  });

  it("that are not there, too large, or something else are refused by name", () => {
    assert.throws(() => readRootFile(file("none")), {
      code: "ERR_OPTION",
      message: /none cannot be read \(ENOENT\)/,
    });
    assert.throws(() => readRootFile(folder), { code: "ERR_OPTION" });
    writeFileSync(file("large"), Buffer.alloc(32 * 1024 + 1));
    assert.throws(() => readRootFile(file("large")), { code: "ERR_OPTION", message: /larger/ });
    writeFileSync(file("text"), "{}\n\n");
    assert.throws(() => readRootFile(file("text")), { code: "ERR_ROOT_FORM" });
  });

  it("are never written over, not even a link to nowhere", () => {
    refuseExisting(file("free"));
    symlinkSync(file("nowhere"), file("link"));
    for (const name of ["link", "alice.root"])
      assert.throws(() => refuseExisting(file(name)), { code: "ERR_OPTION", message: /exists/ });
  });
});

/** A terminal at which a person types these lines, one for each question. */
function typed(answers: readonly string[], isTTY = true) {
  const input = Object.assign(new PassThrough(), { isTTY });
  const left = [...answers];
  const shown: string[] = [];
  const output = new PassThrough();
  output.on("data", (chunk: Buffer) => {
    shown.push(chunk.toString());
    if (chunk.toString().endsWith(": ")) setImmediate(() => input.write(`${left.shift() ?? ""}\n`));
  });
  return { questions: { input, output }, shown: () => shown.join("") };
}

describe("passphrases", () => {
  const long = "fifteen chars..";

  it("typed twice, and shown never", async () => {
    const { questions, shown } = typed([long, long]);
    assert.equal((await newPassphrase({ typedIn: "/", questions }, undefined)).reveal(), long);
    assert.equal(shown(), "Passphrase for the new key: \nThe same again: \n");
  });

  it("too short, or not the same again, makes nothing", async () => {
    await assert.rejects(newPassphrase({ typedIn: "/", ...typed([long, `${long}.`]) }, undefined), {
      message: /differ/,
    });
    await assert.rejects(newPassphrase({ typedIn: "/", ...typed([long.slice(1)]) }, undefined), {
      message: /at least 15/,
    });
  });

  it("from a file that only its owner can read; where nobody can type, from there alone", async () => {
    const { questions, shown } = typed([], false);
    writeFileSync(file("pass"), `${long}\n`, { mode: 0o600 });
    assert.equal((await newPassphrase({ typedIn: "/", questions }, file("pass"))).reveal(), long);
    assert.equal(
      (await passphraseOf({ typedIn: "/", questions }, file("pass"), "?")).reveal(),
      long,
    );
    await assert.rejects(passphraseOf({ typedIn: "/", questions }, undefined, "?"), {
      code: "ERR_OPTION",
      message: /--passphrase-file/,
    });
    chmodSync(file("pass"), 0o640);
    await assert.rejects(passphraseOf({ typedIn: "/", questions }, file("pass"), "?"), {
      code: "ERR_FILE_MODE",
    });
    writeFileSync(file("short"), "short\n", { mode: 0o600 });
    await assert.rejects(newPassphrase({ typedIn: "/", questions }, file("short")), {
      code: "ERR_OPTION",
      message: /at least 15/,
    });
    assert.equal(shown(), "");
  });
});
