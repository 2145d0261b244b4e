import type { Command } from "commander";
import type { Run } from "../command.ts";
import type { CoverageOptions } from "../coverage/tokens.ts";
import { wholeNumber } from "./options.ts";

const parseHours = wholeNumber(1, 17_520, "Expected a number from 1 to 17520.");

const HELP = `
Examples:
  redoubt coverage tokens                          the last 24 hours
  redoubt coverage tokens --hours 720 --json
  redoubt coverage tokens --tap gateway.ndjson     of the tokens that a gateway let through
  redoubt coverage mfa                             how people sign in, by passkey, and workloads

Lines of a tap are digests, or objects with "digest" and, if known, "audience". A token's digest is the SHA-256 of its
first two segments with the dot between them, in base64url; docs/guide/coverage.md shows how a gateway writes it.

Exit codes: 0 done, 1 could not be done, 2 the tap has tokens that are in no log.`;

export function register(cli: Command, run: Run): void {
  const coverage = cli
    .command("coverage")
    .description("what share of issued tokens verifiers saw, and of people sign in how")
    .addHelpText("after", HELP);
  coverage
    .command("tokens")
    .description("tokens that were issued, and the share that a reporting verifier validated")
    .option("--hours <count>", "hours to look back, 1 to 17520; default 24", parseHours)
    .option("--tap <file>", "what a gateway saw in that time: one JSON line for each token")
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: CoverageOptions) =>
        (await import("../coverage/tokens.ts")).coverageTokens(context, options),
      ),
    );
  coverage
    .command("mfa")
    .description(
      "accounts and sign-ins of people by the strength of their passkeys; workloads apart",
    )
    .addHelpText("after", "\nExample:\n  redoubt coverage mfa --json")
    .action(run(async (context) => (await import("../coverage/mfa.ts")).coverageMfa(context)));
}
