import type { Command } from "commander";
import { EXIT, type Run } from "../command.ts";
import { basePort } from "../place.ts";

export function register(cli: Command, run: Run): void {
  cli
    .command("up")
    .description("start every process on this machine, until Ctrl-C")
    .option("--port <base>", "first of six ports (REDOUBT_PORT; default 7400)")
    .option("--no-leases", "for a new folder: let signers open their keys themselves")
    .addHelpText("after", "\nExample:\n  redoubt up --data /srv/redoubt --port 7500")
    .action(
      run(async ({ folder, json, terminal }, options: { port?: string; leases: boolean }) => {
        const { up } = await import("../up/up.ts");
        const port = basePort(options.port, process.env);
        await up({ folder, json, port, leases: options.leases }, terminal);
        return EXIT.ok;
      }),
    );
}
