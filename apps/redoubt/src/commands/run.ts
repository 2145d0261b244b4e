import type { Command } from "commander";
import { EXIT, type Run } from "../command.ts";

const HELP = `
Example, on the machine of the signers (docs/guide/deploy.md):
  redoubt run signer-consumer signer-enterprise link --data /srv/redoubt`;

export function register(cli: Command, run: Run): void {
  cli
    .command("run")
    .description("start the named processes of a system on several machines, until Ctrl-C")
    .argument("<process...>", "names, as the folders in the data folder have them")
    .addHelpText("after", HELP)
    .action(
      run(async (context, names: readonly string[]) => {
        const { stopSignal } = await import("../up/stop-signal.ts");
        const { runProcesses } = await import("../up/run-processes.ts");
        await runProcesses(context, names, stopSignal());
        return EXIT.ok;
      }),
    );
}
