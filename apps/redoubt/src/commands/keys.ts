import { Argument, Option, type Command } from "commander";
import type { Run } from "../command.ts";
import type { PolicyCheckOptions } from "../keys/policy-check.ts";
import type { RetainOptions } from "../keys/orders.ts";
import type { RotateOptions, TaintOptions } from "../keys/takeover.ts";
import { register as registerCeremony } from "./ceremony.ts";
import { reasonOption, requiredRealmOption, wholeNumber, yesOption } from "./options.ts";

const parseLifetime = wholeNumber(60, 3600, "Tokens live for 60 to 3600 seconds.");
/** docs/spec/wire.md §3: what a signer takes. */
const MAX_REASON = 160;

const HELP = `
Examples:
  redoubt keys list
  redoubt keys list --all --json | jq '.[] | select(.state == "revoked")'

A kid may be named by its first 6 characters or more.

Exit codes: 0 done, 1 could not be done, 2 something needs attention.`;

export function register(cli: Command, run: Run): void {
  const keys = cli
    .command("keys")
    .description(
      "token signing keys: which sign now, what becomes of each next, and how to step in",
    )
    .addHelpText("after", HELP);
  registerList(keys, run);
  registerShow(keys, run);
  registerRotate(keys, run);
  registerTaint(keys, run);
  registerRetain(keys, run);
  registerRollBack(keys, run);
  registerPolicy(keys, run);
  registerCeremony(keys, run);
}

function registerList(keys: Command, run: Run): void {
  keys
    .command("list", { isDefault: true })
    .description("list keys, as the registry log has them, and what each can reach")
    .option("--all", "destroyed and revoked ones too")
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: { all?: boolean }) =>
        (await import("../keys/key-list.ts")).keysList(context, options),
      ),
    );
}

function registerShow(keys: Command, run: Run): void {
  keys
    .command("show")
    .description("everything about one key: record, history, ring, where it is published")
    .addArgument(kidArgument())
    .allowUnknownOption()
    .addHelpText("after", "\nExample:\n  redoubt keys show 4fQ2xa --json | jq .record")
    .action(
      run(async (context, kid: string) =>
        (await import("../keys/key-show.ts")).keysShow(context, kid),
      ),
    );
}

const ROTATE_HELP = `
The next rotation by age follows a whole active time later. Refused while no standby was published long enough.
Where no key signs, --early lets the standby sign all the same: relying parties that hold an older key set may refuse
its tokens until their next load of the keys.

Example:
  redoubt keys rotate --realm enterprise --reason "after the audit of Tuesday"`;

function registerRotate(keys: Command, run: Run): void {
  keys
    .command("rotate")
    .description("let the standby sign now; the key that signed verifies only")
    .addOption(requiredRealmOption())
    .addOption(
      new Option(
        "--class <class>",
        "kind of tokens: access tokens (at), or ID tokens (oidc); default: at",
      ).choices(["at", "oidc"]),
    )
    .addOption(reasonOption({ maxLength: MAX_REASON }))
    .option("--early", "if no key signs: take a standby that some relying party may not know yet")
    .addHelpText("after", ROTATE_HELP)
    .action(
      run(async (context, options: RotateOptions) =>
        (await import("../keys/takeover.ts")).keysRotate(context, options),
      ),
    );
}

const TAINT_HELP = `
Nothing is signed under the key any more, every JWKS leaves it out, its private half is destroyed, and a standby that
is ready signs. It cannot be undone. Says afterwards who may still take its tokens, and for how long.
Where no standby is ready, as on the first day, it is refused with the time at which one will be, unless you choose:
--early lets the standby sign at once; relying parties that hold an older key set may refuse its tokens for up to the
time in that message. --stop-issuing ends the key, and its realm issues nothing until a standby is ready.

Examples:
  redoubt keys taint 4fQ2xa --reason "found in a dump"          asks first
  redoubt keys taint 4fQ2xa --reason "found in a dump" --yes    for a script

Exit codes: 0 another key signs, 2 tainted and no key signs now, 5 tainted and another key signs, but who still lists
it could not be looked at (the answer says why), 1 not tainted.`;

function registerTaint(keys: Command, run: Run): void {
  keys
    .command("taint")
    .description("emergency: end a key now")
    .addArgument(kidArgument())
    .allowUnknownOption()
    .addOption(reasonOption({ maxLength: MAX_REASON }))
    .addOption(yesOption())
    .addOption(
      new Option("--early", "take a standby that some relying party may not know yet").conflicts(
        "stopIssuing",
      ),
    )
    .option("--stop-issuing", "issue nothing until a standby is ready")
    .addHelpText("after", TAINT_HELP)
    .action(
      run(async (context, kid: string, options: TaintOptions) =>
        (await import("../keys/takeover.ts")).keysTaint(context, kid, options),
      ),
    );
}

const RETAIN_HELP = `
Examples:
  redoubt keys retain 4fQ2xa --reason "a client that keeps keys for a week"
  redoubt keys retain 4fQ2xa --off --reason "that client was updated"
  redoubt keys retain 4fQ2xa --as-operator --reason "legal hold"     no signer can lift it`;

function registerRetain(keys: Command, run: Run): void {
  keys
    .command("retain")
    .description("keep a key published after it stopped signing; --off ends that")
    .addArgument(kidArgument())
    .allowUnknownOption()
    .option("--off", "let the life cycle withdraw it when it is time")
    .option("--as-operator", "sign it with the operator key: automation cannot take that back")
    .addOption(reasonOption({ maxLength: MAX_REASON }))
    .addHelpText("after", RETAIN_HELP)
    .action(
      run(async (context, kid: string, options: RetainOptions) =>
        (await import("../keys/orders.ts")).keysRetain(context, kid, options),
      ),
    );
}

const ROLLBACK_HELP = `
Works while the key is verify-only, within its record's window and its age limit.

Example:
  redoubt keys rollback 4fQ2xa --reason "the new key breaks a client"`;

function registerRollBack(keys: Command, run: Run): void {
  keys
    .command("rollback")
    .description("let a key that was replaced sign again")
    .addArgument(kidArgument())
    .allowUnknownOption()
    .addOption(reasonOption({ maxLength: MAX_REASON }))
    .addHelpText("after", ROLLBACK_HELP)
    .action(
      run(async (context, kid: string, options: { reason: string }) =>
        (await import("../keys/takeover.ts")).keysRollBack(context, kid, options),
      ),
    );
}

const POLICY_HELP = `
Examples:
  redoubt keys policy check rotation.json
  az keyvault key rotation-policy show --vault-name v --name k > p.json; redoubt keys policy check p.json

Exit codes: 0 good, with every time that follows; 1 not so, with every problem.`;

function registerPolicy(keys: Command, run: Run): void {
  const policy = keys
    .command("policy")
    .description("rotation policies, in the form of Azure Key Vault")
    .addHelpText("after", POLICY_HELP);
  policy
    .command("check")
    .description("read a rotation policy as a signer would; nothing needs to run")
    .argument("<file>", "the policy as JSON")
    .addOption(
      new Option("--tenants <many|one>", "whose tokens its keys sign: many tenants', or one's")
        .choices(["many", "one"])
        .default("many"),
    )
    .option("--max-lifetime <seconds>", "longest token lifetime of the ring", parseLifetime, 3600)
    .addHelpText("after", POLICY_HELP)
    .action(
      run(async (context, file: string, options: PolicyCheckOptions) =>
        (await import("../keys/policy-check.ts")).keysPolicyCheck(context, file, options),
      ),
    );
}

/** One kid in 64 begins with a hyphen: its command takes what is no option of its own for the kid. */
function kidArgument(): Argument {
  return new Argument("<kid>", "the key, by the first 6 characters of its kid or more");
}
