import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import * as alarms from "./alarms.ts";
import * as attest from "./attest.ts";
import * as clients from "./clients.ts";
import * as conformance from "./conformance.ts";
import * as coverage from "./coverage.ts";
import * as drill from "./drill.ts";
import * as keys from "./keys.ts";
import * as ledger from "./ledger.ts";
import * as link from "./link.ts";
import * as recover from "./recover.ts";
import * as reporters from "./reporters.ts";
import * as status from "./status.ts";
import * as tenants from "./tenants.ts";
import * as token from "./token.ts";
import * as up from "./up.ts";
import * as verify from "./verify.ts";

const MODULES = [
  up,
  status,
  token,
  verify,
  tenants,
  clients,
  reporters,
  keys,
  ledger,
  attest,
  alarms,
  coverage,
  recover,
  link,
  drill,
  conformance,
];

/** The command line without its work: says which command would run, and with which options. */
function parser() {
  const runs: { name: string; options: unknown; args: readonly string[] }[] = [];
  const cli = new Command("redoubt").exitOverride();
  async function act(this: Command): Promise<void> {
    const parent = this.parent?.name() ?? "";
    const name = parent === "redoubt" ? this.name() : `${parent} ${this.name()}`;
    runs.push({ name, options: this.opts(), args: this.args });
  }
  for (const { register } of MODULES) register(cli, () => act);
  const output = { text: "" };
  for (const command of everyCommand(cli))
    command.exitOverride().configureOutput({
      writeOut: (s) => (output.text += s),
      writeErr: (s) => (output.text += s),
    });
  return { cli, runs, output };
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

function pathOf(command: Command): string[] {
  return command.parent ? [...pathOf(command.parent), command.name()] : [];
}

async function parse(...args: readonly string[]) {
  const { cli, runs } = parser();
  await cli.parseAsync(args, { from: "user" });
  return runs[0];
}

test("every command has help with an example", async () => {
  const paths = everyCommand(parser().cli).slice(1).map(pathOf);
  assert.ok(paths.length >= 32);
  for (const path of paths) {
    const { cli, output } = parser();
    await assert.rejects(cli.parseAsync([...path, "--help"], { from: "user" }), {
      code: "commander.helpDisplayed",
    });
    assert.match(output.text, /Examples?:\n {2}redoubt /, path.join(" "));
  }
});

test("commands that list do so by default", async () => {
  assert.equal((await parse("alarms"))?.name, "alarms list");
  assert.equal((await parse("keys"))?.name, "keys list");
  assert.equal((await parse("tenants"))?.name, "tenants list");
  assert.equal((await parse("clients"))?.name, "clients list");
  assert.equal((await parse("reporters"))?.name, "reporters list");
  assert.deepEqual(await parse("alarms", "--since", "5", "--follow"), {
    name: "alarms list",
    options: { since: 5, follow: true },
    args: [],
  });
});

test("repeatable options collect", async () => {
  const add = await parse("clients", "add", "--client", "c", "--scope", "a", "--scope", "b");
  assert.deepEqual(add?.options, { client: "c", scope: ["a", "b"] });
  const check = await parse("ledger", "verify", "--vkey", "k1", "--vkey", "k2", "--dir", "d");
  assert.deepEqual(check?.options, { vkey: ["k1", "k2"], dir: "d" });
});

test("a kid may begin with a hyphen, or two", async () => {
  for (const kid of ["-OZ7t2jtYx7C", "--Z7t2jtYx7C", "-hZ7t2jtYx7C"])
    for (const args of [
      [kid, "--reason", "r", "--yes"],
      ["--yes", "--reason", "r", kid],
    ])
      assert.deepEqual(await parse("keys", "taint", ...args), {
        name: "keys taint",
        options: { reason: "r", yes: true },
        args: [kid],
      });
});

const DRAFT = ["--keys", "a,b,c", "--threshold", "2", "--expires", "365d", "--out", "r"] as const;

test("a draft takes a list of files and a time in days", async () => {
  const draft = await parse("keys", "ceremony", "draft", ...DRAFT);
  assert.equal(draft?.name, "ceremony draft");
  const options = { keys: ["a", "b", "c"], threshold: 2, expires: 365 * 86_400, out: "r" };
  assert.deepEqual(draft.options, options);
  const publish = await parse("keys", "ceremony", "publish", "a.json", "b.json");
  assert.deepEqual(publish?.args, ["a.json", "b.json"]);
});

const MISTAKES = [
  ["link", "init", "--name", "../x"],
  ["link", "init", "--alg", "RS256"],
  ["token", "--realm", "galaxy"],
  ["alarms", "--since", "yesterday"],
  ["alarms", "close", "7"],
  ["alarms", "close", "x", "--reason", "r"],
  ["alarms", "close", "7", "--reason", " "],
  ["recover", "log", "--reason", "r"],
  ["recover", "log", "--realm", "consumer"],
  ["recover", "log", "--realm", "consumer", "--reason", "r".repeat(257)],
  ["recover", "log", "--realm", "consumer", "--broker", "--reason", "r"],
  ["tenants", "set-status", "t", "asleep"],
  ["clients", "disable"],
  ["clients", "add"],
  ["reporters", "add"],
  ["reporters", "rotate", "a", "b"],
  ["reporters", "disable"],
  ["recover", "secrets", "--service", "nobody"],
  ["ledger", "prove"],
  ["keys", "rotate", "--reason", "r"],
  ["keys", "rotate", "--realm", "consumer"],
  ["keys", "rotate", "--realm", "consumer", "--class", "id", "--reason", "r"],
  ["keys", "taint", "4fQ2xa"],
  ["keys", "taint", "4fQ2xa", "--reason", "r", "--ja"],
  ["keys", "taint", "--reason", "r"],
  ["keys", "taint", "4fQ2xa", "--reason", "r", "--early", "--stop-issuing"],
  ["keys", "retain", "4fQ2xa", "--reason", " "],
  ["keys", "rollback", "4fQ2xa", "--reason", "two\nlines"],
  ["keys", "rollback", "4fQ2xa", "--reason", "r".repeat(161)],
  ["keys", "policy", "check", "f", "--tenants", "few"],
  ["keys", "policy", "check", "f", "--max-lifetime", "59"],
  ["keys", "ceremony", "key", "--name", "alice"],
  ["keys", "ceremony", "key", "--name", "Alice", "--out", "a.root"],
  ["keys", "ceremony", "draft", ...DRAFT, "--expires", "365"],
  ["keys", "ceremony", "draft", ...DRAFT, "--expires", "0d"],
  ["keys", "ceremony", "draft", ...DRAFT, "--expires", "1097d"],
  ["keys", "ceremony", "draft", ...DRAFT, "--keys", "a,b"],
  ["keys", "ceremony", "draft", ...DRAFT, "--keys", "a,,b"],
  ["keys", "ceremony", "draft", ...DRAFT, "--threshold", "1"],
  ["keys", "ceremony", "draft", ...DRAFT, "--threshold", "16"],
  ["keys", "ceremony", "sign", "root.json"],
  ["keys", "ceremony", "publish"],
  ["keys", "ceremony", "show", "a", "b"],
  ["verify", "a", "b"],
  ["conformance"],
  ["conformance", "--timeout", "0", "--", "v"],
  ["status", "--colour"],
  ["no-such-command"],
] as const;

for (const args of MISTAKES)
  test(`a mistake in "${args.join(" ")}" is refused before anything runs`, async () => {
    const { cli, runs, output } = parser();
    await assert.rejects(cli.parseAsync([...args], { from: "user" }), /./);
    assert.deepEqual(runs, []);
    assert.match(output.text, /^error: /);
  });
