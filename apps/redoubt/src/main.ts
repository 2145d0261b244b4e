import { Command } from "commander";
import { errorCode, errorLine } from "@redoubt/base";
import { EXIT, type Run } from "./command.ts";
import { register as alarms } from "./commands/alarms.ts";
import { register as attest } from "./commands/attest.ts";
import { register as backup } from "./commands/backup.ts";
import { register as clients } from "./commands/clients.ts";
import { register as clusters } from "./commands/clusters.ts";
import { register as leases } from "./commands/leases.ts";
import { register as conformance } from "./commands/conformance.ts";
import { register as coverage } from "./commands/coverage.ts";
import { register as drill } from "./commands/drill.ts";
import { register as init } from "./commands/init.ts";
import { register as keys } from "./commands/keys.ts";
import { register as ledger } from "./commands/ledger.ts";
import { register as link } from "./commands/link.ts";
import { register as presence } from "./commands/presence.ts";
import { register as people } from "./commands/people.ts";
import { register as recover } from "./commands/recover.ts";
import { register as reporters } from "./commands/reporters.ts";
import { register as runProcesses } from "./commands/run.ts";
import { register as spread } from "./commands/spread.ts";
import { register as status } from "./commands/status.ts";
import { register as tenants } from "./commands/tenants.ts";
import { register as token } from "./commands/token.ts";
import { register as up } from "./commands/up.ts";
import { register as verify } from "./commands/verify.ts";
import { protectDashedNames } from "./dashed-names.ts";
import { dataFolder, typedIn } from "./place.ts";
import { openTerminal } from "./terminal.ts";

interface GlobalOptions {
  readonly data?: string;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  redoubt init --issuer https://login.example.org --presence-origin https://approve.login.example.org --proxy 127.0.0.1
                                              make a data folder that the world can reach
  redoubt up                                  start everything on this machine
  redoubt token --realm enterprise            get a token as the demo client
  redoubt drill storm-0558                    attack the running system
  redoubt status --json                       how it is, for a program

Exit codes: 0 done, 1 could not be done, 2 something needs attention, 3 refused: token or log is not good,
4 a log was read and nothing is wrong with it, but no cosignature of a known witness was verified.`;

// All of these are loaded by every command; what a command needs beyond its options is imported when it runs.
const COMMANDS = [
  init,
  up,
  runProcesses,
  status,
  token,
  verify,
  tenants,
  clients,
  people,
  clusters,
  leases,
  reporters,
  keys,
  ledger,
  attest,
  presence,
  alarms,
  coverage,
  backup,
  spread,
  recover,
  link,
  drill,
  conformance,
] as const;

function program(): Command {
  return new Command("redoubt")
    .description("A token authority that cannot be quietly forged from")
    .option("--data <folder>", "data folder (REDOUBT_DATA; default .redoubt here)")
    .option("--json", "answer as JSON")
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", EXAMPLES)
    .showHelpAfterError("(redoubt --help shows the commands)");
}

/** A failure of `work` is one clear line on stderr and exit code 1. */
const run: Run = (work) =>
  async function act(...given) {
    const options = this.optsWithGlobals<GlobalOptions>();
    const json = options.json === true;
    const terminal = openTerminal(json, {
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(text),
    });
    try {
      const { env } = process;
      const cwd = process.cwd();
      const folder = dataFolder(options.data, env, cwd);
      const questions = { input: process.stdin, output: process.stderr };
      const context = { folder, typedIn: typedIn(env, cwd), json, terminal, questions };
      process.exitCode = await work(context, ...given);
    } catch (error) {
      if (json)
        terminal.line({ json: { error: errorCode(error), message: errorLine(error) }, text: "" });
      process.stderr.write(`redoubt: ${errorLine(error)}\n`);
      process.exitCode = EXIT.failed;
    }
  };

// Whoever reads our output may stop reading: `redoubt alarms | head -1`.
process.stdout.on("error", () => process.exit());

const cli = program();
for (const register of COMMANDS) register(cli, run);
await cli.parseAsync([...protectDashedNames(cli, process.argv.slice(2))], { from: "user" });
// Timers and sockets that a finished command left open must not keep the process alive.
process.exit();
