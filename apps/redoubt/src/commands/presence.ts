import type { Command } from "commander";
import type { Run } from "../command.ts";
import type { VerifyApprovalOptions } from "../presence/verify-approval.ts";
import { collect } from "./options.ts";

const HELP = `
Everything is verified from the assertions in the file: a service's key alone makes no approval, and says when. Without
--enrolments, against the registry of this system, which must run.

Examples:
  redoubt presence verify approval.json --service operator+1a2b3c4d+AQ…
  redoubt presence verify approval.json --service operator+1a2b3c4d+AQ… --enrolments enrolments.json \\
    --rp-id example.org --origin https://approve.example.org
  redoubt --json presence enrolments > enrolments.json

Exit codes: 0 approved, 3 refused, 1 could not be decided.`;

export function register(cli: Command, run: Run): void {
  const presence = cli
    .command("presence")
    .description("read and verify what people approved with a passkey");
  presence
    .command("verify")
    .description("verify what is kept of an approval")
    .argument("<file>", "an envelope")
    .requiredOption(
      "--service <vkey>",
      "verifier key of a service whose word on the time counts; repeatable",
      collect,
    )
    .option("--enrolments <file>", "whose passkeys counted (default: this system's registry)")
    .option("--rp-id <domain>", "with --enrolments: domain of the passkeys")
    .option("--origin <url>", "with --enrolments: where people approve; repeatable", collect)
    .addHelpText("after", HELP)
    .action(
      run(async (context, file: string, options: VerifyApprovalOptions) =>
        (await import("../presence/verify-approval.ts")).verifyApproval(context, file, options),
      ),
    );
  presence
    .command("show")
    .description("what an envelope says, unverified")
    .argument("<file>", "an envelope")
    .action(
      run(async (context, file: string) =>
        (await import("../presence/verify-approval.ts")).showApproval(context, file),
      ),
    );
  presence
    .command("enrolments")
    .description("the passkeys whose approvals count or counted, as the registry has them")
    .action(
      run(async (context) => (await import("../presence/enrolments.ts")).listEnrolments(context)),
    );
}
