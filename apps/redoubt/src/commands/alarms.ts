import type { Command } from "commander";
import type { CloseOptions, ListOptions } from "../alarms.ts";
import type { Run } from "../command.ts";
import { reasonOption, wholeNumber } from "./options.ts";

const parseId = wholeNumber(0, Number.MAX_SAFE_INTEGER, "Alarms have numbers.");

const HELP = `
Examples:
  redoubt alarms                                         open alarms
  redoubt alarms --all --json | jq '.alarms[].kind'
  redoubt alarms --follow --json                         one JSON line for each alarm, until Ctrl-C
  redoubt alarms close 7 --digest <digest> --reason "drill of Tuesday"

Exit codes: 0 no open critical alarm, 2 there is one.`;

export function register(cli: Command, run: Run): void {
  const alarms = cli
    .command("alarms")
    .description("what the monitor found")
    .addHelpText("after", HELP);
  registerList(alarms, run);
  registerClose(alarms, run);
}

function registerList(alarms: Command, run: Run): void {
  alarms
    .command("list", { isDefault: true })
    .description("list alarms, oldest first")
    .option("--since <id>", "only alarms after this one", parseId)
    .option("--digest <digest>", "only alarms about this token")
    .option("--all", "closed ones too")
    .option("--follow", "stay, and print each alarm as it comes; closed ones too")
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: ListOptions) =>
        (await import("../alarms.ts")).listAlarms(context, options),
      ),
    );
}

function registerClose(alarms: Command, run: Run): void {
  alarms
    .command("close")
    .description("close an alarm that was looked into; its digest must be named")
    .argument("<id>", "number of the alarm", parseId)
    .option("--digest <digest>", "digest of the alarm, where it has one")
    .addOption(reasonOption({ what: "why it can be closed", maxLength: 512 }))
    .addHelpText(
      "after",
      '\nExample:\n  redoubt alarms close 7 --digest <digest> --reason "test key"',
    )
    .action(
      run(async (context, id: number, options: CloseOptions) =>
        (await import("../alarms.ts")).closeAlarm(context, id, options),
      ),
    );
}
