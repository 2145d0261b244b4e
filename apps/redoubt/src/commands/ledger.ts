import type { Command } from "commander";
import type { Run } from "../command.ts";
import { DEFAULT_REALM } from "../layout.ts";
import type { LedgerShowOptions } from "../ledger/show.ts";
import { anyRealmOption, collect, reasonOption, wholeNumber } from "./options.ts";
import type { LedgerVerifyOptions } from "../ledger/verify-logs.ts";

const days = wholeNumber(1, 3650, "Expected a number of days.");

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

const SHOW_HELP = `
Who got this token, when, for what, and at whose request. Before the signer opens the record, the registry says that it
is read, by whom and why; the monitor tells of it.

Examples:
  redoubt ledger show "$TOKEN" --reason "ticket 4711"
  redoubt ledger show <digest> --reason "report of 14:03"
  redoubt ledger show <jti> --realm consumer --days 30 --reason "ticket 4711"

A jti stands in sealed records alone, which are looked through from the newest back; a digest is found at once.
Exit codes: 0 shown and proven, 3 no log has it, 1 could not be decided.`;

export function register(cli: Command, run: Run): void {
  const ledger = cli
    .command("ledger")
    .description(
      "the transparency logs: recompute them, prove that a token is in them, or show who got it",
    )
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
  ledger
    .command("show")
    .description("show what the log holds of one token; the reading itself becomes an entry")
    .argument("<jti-or-digest>", "the token's jti or digest, or the token")
    .addOption(reasonOption({ what: "why you read it; stands in the registry for ever" }))
    .addOption(anyRealmOption(`of a jti; default: ${DEFAULT_REALM}`))
    .option("--days <n>", "how far back a jti is looked for (default 7)", days)
    .addHelpText("after", SHOW_HELP)
    .action(
      run(async (context, subject: string, options: LedgerShowOptions) =>
        (await import("../ledger/show.ts")).ledgerShow(context, subject, options),
      ),
    );
}
