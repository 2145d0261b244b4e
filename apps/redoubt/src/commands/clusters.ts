import type { Command } from "commander";
import type { ClusterOptions } from "../clusters/choose-cluster.ts";
import type { Run } from "../command.ts";
import { collect, wholeNumber } from "./options.ts";

const HELP = `
A cluster is a realm of its own. Its name and its issuer stand for ever; audiences are added later with
redoubt tenants add --realm <name> --audience <name>.

Examples:
  redoubt clusters add prod --issuer https://prod.clusters.example
  redoubt clusters add prod --issuer https://prod.clusters.example \\
    --audience https://prod.clusters.example --audience vault       every one of --api-audiences
  redoubt clusters list

Stop Redoubt first; it is refused while Redoubt runs. After a crash, the same command again finishes the work.
docs/guide/kubernetes.md`;

const lifetime = wholeNumber(600, 3660, "Expected a number of seconds from 600 to 3660.");

export function register(cli: Command, run: Run): void {
  const clusters = cli
    .command("clusters")
    .description("Kubernetes clusters whose service account tokens are signed here")
    .addHelpText("after", HELP);
  clusters
    .command("list", { isDefault: true })
    .description("list clusters, and the sockets for their kube-apiservers")
    .addHelpText("after", "\nExample:\n  redoubt clusters list --json")
    .action(
      run(async (context) => (await import("../clusters/clusters.ts")).clustersList(context)),
    );
  clusters
    .command("add")
    .description("make a cluster's realm, signer and front, while nothing runs")
    .argument("<name>", "of its realm, such as prod")
    .requiredOption("--issuer <url>", "as --service-account-issuer, letter by letter")
    .option("--audience <name>", "of --api-audiences; repeatable (default: the issuer)", collect)
    .option("--max-lifetime <seconds>", "of its tokens, 600 to 3660 (default 3660)", lifetime)
    .addHelpText("after", HELP)
    .action(
      run(async (context, name: string, options: ClusterOptions) =>
        (await import("../clusters/clusters.ts")).clustersAdd(context, name, options),
      ),
    );
}
