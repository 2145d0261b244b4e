import type { Command } from "commander";
import type { Run } from "../command.ts";
import { collect } from "./options.ts";
import type { LedgerVerifyOptions } from "../ledger/verify-logs.ts";

const VERIFY_HELP = `
Examples:
  redoubt ledger verify                                  every log of the running system, by its own keys
  redoubt ledger verify --dir ./copy --vkey <log key> --vkey <writer key> --vkey <witness key>
  redoubt ledger verify --url https://id.example         without keys: consistency only

Exit codes: 0 verified and cosigned, 3 a log is not what it should be, 1 could not be decided,
4 nothing is wrong, but at least one log has no verified cosignature: others may be shown another log of that name.`;

const PROVE_HELP = `
Examples:
  redoubt ledger prove "$(redoubt token)" > token.tlog-proof
  redoubt ledger prove <digest> --json

Exit codes: 0 proven, 3 no log has it, 1 could not be decided.`;

export function register(cli: Command, run: Run): void {
  const ledger = cli
    .command("ledger")
    .description("the transparency logs: recompute them, or prove that one token is in them")
    .addHelpText("after", VERIFY_HELP);
  ledger
    .command("verify")
    .description("recompute published logs from their entries; check tiles, roots and signatures")
    .option("--dir <folder>", "a published folder in place of the running publisher")
    .option("--url <address>", "another publisher")
    .option("--log <origin>", "this log only")
    .option("--vkey <key>", "key that must have signed (log, writer, witness); repeatable", collect)
    .addHelpText("after", VERIFY_HELP)
    .action(
      run(async (context, options: LedgerVerifyOptions) =>
        (await import("../ledger/verify-logs.ts")).ledgerVerify(context, options),
      ),
    );
  ledger
    .command("prove")
    .description("prove that a token was issued: prints a C2SP tlog-proof, which verifies offline")
    .argument("<digest-or-token>", "the token's digest, or the token")
    .addHelpText("after", PROVE_HELP)
    .action(
      run(async (context, subject: string) =>
        (await import("../ledger/prove.ts")).ledgerProve(context, subject),
      ),
    );
}
