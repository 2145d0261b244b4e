import { InvalidArgumentError, type Command } from "commander";
import type { Run } from "../command.ts";
import type { ConformanceOptions } from "../conformance/conformance.ts";
import { collect } from "./options.ts";

const HELP = `
The command is started once and reads one JSON object per line: id, now, token, keys (a JWKS), issuer, audience,
algorithms, typ, clockToleranceSeconds, maxTokenLength, and scope for verifiers that know it. For each it writes one
line: {"id":…,"accepted":true|false,"error":"…"}. docs/guide/conformance.md has the protocol and examples.

Examples:
  redoubt conformance -- node examples/conformance/redoubt.mjs
  redoubt conformance --skip strict-profile --skip key-scope -- node examples/conformance/jose.mjs
  redoubt conformance --json -- python3 examples/conformance/pyjwt.py

Exit codes: 0 every answer right, 2 nothing wrongly accepted but good tokens refused or answers missing, 3 an invalid
token accepted, 1 the command could not be run.`;

export function register(cli: Command, run: Run): void {
  cli
    .command("conformance")
    .description("ask any token verifier every case of the corpus in vectors/verifier")
    .argument("<command...>", "the verifier and its arguments, after --")
    .option("--skip <class>", "leave out a class, strict-profile or key-scope; repeatable", collect)
    .option("--timeout <seconds>", "longest time for one answer", seconds, 5)
    .addHelpText("after", HELP)
    .action(
      run(async (context, verifier: readonly string[], options: ConformanceOptions) =>
        (await import("../conformance/conformance.ts")).conformance(context, verifier, options),
      ),
    );
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 300)) throw new InvalidArgumentError("Expected 0 to 300 seconds.");
  return value;
}
