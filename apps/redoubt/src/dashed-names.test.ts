import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { protectDashedNames } from "./dashed-names.ts";

const DIGEST = "-9gfVIOGv2lifPtleGTXABWHW6yQbhTXflXizDiU-vs";
const JTI = `-${"j".repeat(21)}`;

/** What a command is given for the words that somebody typed. */
function given(...words: readonly string[]): unknown {
  let seen: unknown;
  const cli = new Command("redoubt").option("--json").exitOverride();
  cli
    .command("ledger")
    .command("prove")
    .argument("<digest>")
    .option("--digest <digest>")
    .option("--yes")
    .action((digest: string, options: object) => {
      seen = [digest, options];
    });
  cli.parse([...protectDashedNames(cli, words)], { from: "user" });
  return seen;
}

test("a digest that begins like an option is an argument, wherever it stands", () => {
  for (const name of [DIGEST, JTI]) {
    assert.deepEqual(given("ledger", "prove", name), [name, {}]);
    assert.deepEqual(given("--json", "ledger", "prove", name, "--yes"), [name, { yes: true }]);
    assert.deepEqual(given("ledger", "prove", "--yes", name), [name, { yes: true }]);
  }
});

test("an option's value stays with it, and what somebody put behind -- stays there", () => {
  const both = ["ledger", "prove", "--digest", DIGEST, "a"];
  assert.deepEqual(given(...both), ["a", { digest: DIGEST }]);
  assert.deepEqual(given("ledger", "prove", "--", DIGEST), [DIGEST, {}]);
  assert.throws(() => given("ledger", "prove", "--unknown"), { code: "commander.unknownOption" });
});
