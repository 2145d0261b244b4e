import type { Command } from "commander";
import type { Run } from "../command.ts";
import type { InitOptions } from "../init/init.ts";
import { collect, wholeNumber } from "./options.ts";

const HELP = `
Nothing that is chosen here can be changed later: issuers stand in every key, and people's keys belong to one RP ID.

Examples:
  redoubt init --issuer https://login.example.org --presence-origin https://approve.login.example.org --proxy 127.0.0.1
  redoubt init --issuer https://login.example.org --listen 0.0.0.0:443 --tls-certificate tls.pem --tls-key tls.key
  redoubt init --issuer enterprise=https://login.example.org/sso --issuer consumer=https://id.example.org \\
    --rp-id example.org --presence-origin https://approve.example.org --listen 10.0.0.5:8080 --proxy 10.0.0.0/28
  redoubt init --custody pkcs11 --pkcs11-module /usr/lib/softhsm/libsofthsm2.so --pkcs11-token 'redoubt-{realm}' \\
    --pkcs11-pin-file 'hsm/pin-{realm}' --pkcs11-env SOFTHSM2_CONF=/srv/redoubt/hsm/softhsm2.conf
  redoubt init --custody kms.json

One machine: docs/guide/one-machine.md. HSMs: docs/guide/hsm.md. Clouds: docs/guide/kms-aws.md, -azure, -gcp.`;

const hops = wholeNumber(1, 8, "Expected a number from 1 to 8.");

export function register(cli: Command, run: Run): void {
  cli
    .command("init")
    .description("make the data folder, with addresses and custody, and start nothing")
    .option("--issuer <url>", "public base URL, for all realms or <realm>=<url>", collect)
    .option("--rp-id <domain>", "domain of people's keys (default: the issuer's host)")
    .option("--presence-origin <url>", "where people approve: an origin at which nothing else is")
    .option(
      "--listen <address:port>",
      "first of six public ports, with TLS; default: loopback alone",
    )
    .option("--tls-certificate <file>", "PEM, with its chain; read again when it is renewed")
    .option("--tls-key <file>", "PEM, mode 0600")
    .option(
      "--proxy <address>",
      "who may speak for others, also as a range; may be repeated",
      collect,
    )
    .option("--hops <n>", "how many proxies a request passes (default 1)", hops)
    .option("--port <base>", "first of six loopback ports (REDOUBT_PORT; default 7400)")
    .option("--custody <kind>", "file, pkcs11, or a JSON file with custody and custodyNeeds")
    .option("--pkcs11-module <file>", "the HSM's PKCS#11 module")
    .option("--pkcs11-token <label>", "label of the token; {realm} stands for the realm")
    .option("--pkcs11-pin-file <file>", "file with the PIN alone, mode 0600; {realm} likewise")
    .option("--pkcs11-env <name=value>", "variable that the module needs; may be repeated", collect)
    .option("--no-leases", "let signers open their keys themselves (docs/guide/leases.md)")
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: InitOptions) => {
        const { init } = await import("../init/init.ts");
        return init(context, options);
      }),
    );
}
