import type { Command } from "commander";
import type { ReferenceOptions } from "../attest/references.ts";
import type { AttestVerifyOptions } from "../attest/verify-evidence.ts";
import type { Run } from "../command.ts";
import { collect, wholeNumber } from "./options.ts";

const VERIFY_HELP = `
Everything is decided offline, up to root certificates that are built in.

Examples:
  redoubt attest verify evidence.json --policy production.json --expect 9f2c… \\
    --references signer.json --release-key anna.pem --release-key ben.pem
  redoubt attest verify report.bin --chain vcek.der --chain ask-ark.pem --policy p.json --any-data
  redoubt attest verify nitro.cose --policy p.json --any-data --at 2024-03-01T12:00:00Z

Exit codes: 0 accepted, 3 refused: not genuine, or not what the policy asks for, 1 could not be decided.`;

const SHOW_HELP = `
Examples:
  redoubt attest show evidence.json
  redoubt attest show report.bin --json

Exit codes: 0 shown, 3 the file is no evidence.`;

const LINT_HELP = `
Each way through a production policy must pin a measurement, refuse debugging and simulated hardware, and let Milan pass
for a limited time only.

Examples:
  redoubt attest policy lint production.json
  redoubt attest policy lint production.json --references signer.json --release-key anna.pem --release-key ben.pem

Exit codes: 0 fit for production, 3 it is not, 1 could not be decided.`;

function withReferences(command: Command): Command {
  return command
    .option("--references <file>", "signed reference values; repeatable", collect)
    .option("--release-key <pem>", "public key of somebody who releases; repeatable", collect)
    .option(
      "--threshold <n>",
      "how many release keys must have signed (default 2)",
      wholeNumber(1, 16, "Expected 1 to 16."),
    )
    .option("--floor <name=version>", "lowest version of reference values; repeatable", collect);
}

export function register(cli: Command, run: Run): void {
  const attest = cli
    .command("attest")
    .description("read and verify what machines say about themselves")
    .addHelpText("after", VERIFY_HELP);
  withReferences(attest.command("verify"))
    .description("verify evidence offline and hold it to a policy")
    .argument("<file>", "an envelope, an SNP report, a TDX quote, or a Nitro document")
    .requiredOption("--policy <file>", "what the machine must prove")
    .option(
      "--expect <hex>",
      "the bytes that the machine was to bind: a nonce, or a digest over nonce and key",
    )
    .option("--any-data", "take any bound data, and so old evidence, too")
    .option(
      "--chain <file>",
      "certificates of a bare SNP report, PEM or DER; repeatable, in order",
      collect,
    )
    .option("--collateral <file>", "what Intel says about a bare TDX quote's platform, JSON")
    .option(
      "--min-evaluation <n>",
      "lowest evaluation number of Intel's collateral",
      wholeNumber(0, 1_000_000, "Expected a number."),
    )
    .option("--at <time>", "verify as of then, for archived evidence (default: now)")
    .option(
      "--pcrs <list>",
      "PCRs that a quote must be over, exactly (default 0,1,2,3,4,5,6,7,9,11)",
    )
    .option(
      "--enrolled <platform:name>",
      "an attestation key that was enrolled, by its TPM name; repeatable",
      collect,
    )
    .addHelpText("after", VERIFY_HELP)
    .action(
      run(async (context, file: string, options: AttestVerifyOptions) =>
        (await import("../attest/verify-evidence.ts")).attestVerify(context, file, options),
      ),
    );
  attest
    .command("show")
    .description("show what evidence says of itself, unverified")
    .argument(
      "<file>",
      "an envelope, or one platform's own bytes: SNP, TDX, HCL, Nitro, an event log",
    )
    .addHelpText("after", SHOW_HELP)
    .action(
      run(async (context, file: string) =>
        (await import("../attest/show-evidence.ts")).attestShow(context, file),
      ),
    );
  const policy = attest
    .command("policy")
    .description("appraisal policies")
    .addHelpText("after", LINT_HELP);
  withReferences(policy.command("lint"))
    .description("refuse a policy that must not guard production")
    .argument("<file>", "the policy")
    .addHelpText("after", LINT_HELP)
    .action(
      run(async (context, file: string, options: ReferenceOptions) =>
        (await import("../attest/lint.ts")).attestLint(context, file, options),
      ),
    );
}
