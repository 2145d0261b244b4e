import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import * as alarms from "./alarms.ts";
import * as clients from "./clients.ts";
import * as drill from "./drill.ts";
import * as keys from "./keys.ts";
import * as ledger from "./ledger.ts";
import * as status from "./status.ts";
import * as tenants from "./tenants.ts";
import * as token from "./token.ts";
import * as up from "./up.ts";
import * as verify from "./verify.ts";

const MODULES = [up, status, token, verify, tenants, clients, keys, ledger, alarms, drill];

/** The command line without its work: says which command would run, and with which options. */
function parser() {
  const runs: { name: string; options: unknown }[] = [];
  const cli = new Command("redoubt").exitOverride();
  for (const { register } of MODULES)
    register(cli, async (command) => {
      const parent = command.parent?.name() ?? "";
      const name = parent === "redoubt" ? command.name() : `${parent} ${command.name()}`;
      runs.push({ name, options: command.opts() });
    });
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

async function parse(...args: readonly string[]) {
  const { cli, runs } = parser();
  await cli.parseAsync(args, { from: "user" });
  return runs[0];
}

test("every command has help with an example", async () => {
  const paths = everyCommand(parser().cli)
    .slice(1)
    .map((command) => [command.parent?.name(), command.name()].filter((n) => n !== "redoubt"));
  assert.ok(paths.length >= 22);
  for (const path of paths) {
    const { cli, output } = parser();
    const words = path.filter((word) => word !== undefined);
    await assert.rejects(cli.parseAsync([...words, "--help"], { from: "user" }), {
      code: "commander.helpDisplayed",
    });
    assert.match(output.text, /Examples?:\n {2}redoubt /, words.join(" "));
  }
});

test("commands that list do so by default", async () => {
  assert.equal((await parse("alarms"))?.name, "alarms list");
  assert.equal((await parse("keys"))?.name, "keys list");
  assert.equal((await parse("tenants"))?.name, "tenants list");
  assert.equal((await parse("clients"))?.name, "clients list");
  assert.deepEqual(await parse("alarms", "--since", "5", "--follow"), {
    name: "alarms list",
    options: { since: 5, follow: true },
  });
});

test("repeatable options collect", async () => {
  const add = await parse("clients", "add", "--client", "c", "--scope", "a", "--scope", "b");
  assert.deepEqual(add?.options, { client: "c", scope: ["a", "b"] });
  const check = await parse("ledger", "verify", "--vkey", "k1", "--vkey", "k2", "--dir", "d");
  assert.deepEqual(check?.options, { vkey: ["k1", "k2"], dir: "d" });
});

const MISTAKES = [
  ["token", "--realm", "galaxy"],
  ["alarms", "--since", "yesterday"],
  ["alarms", "close", "7"],
  ["alarms", "close", "x", "--reason", "r"],
  ["tenants", "set-status", "t", "asleep"],
  ["clients", "set-status", "c", "gone"],
  ["clients", "add"],
  ["ledger", "prove"],
  ["verify", "a", "b"],
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
