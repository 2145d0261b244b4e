import { join } from "node:path";
import { systemClock } from "@redoubt/base";
import { EXIT, type CommandContext } from "../command.ts";
import { openPlace } from "../running.ts";
import type { Cluster } from "../settings.ts";
import { table } from "../table.ts";
import { lockDataFolder } from "../up/data-folder.ts";
import { addCluster } from "./add-cluster.ts";
import { chooseCluster, type ClusterOptions } from "./choose-cluster.ts";

/** sun_path of unix(7): kube-apiserver, unlike our processes, connects under the whole name. */
const MAX_SOCKET_PATH_BYTES = 107;

/** Makes a cluster's realm, while nothing runs. */
export async function clustersAdd(
  context: CommandContext,
  realm: string,
  options: ClusterOptions,
): Promise<number> {
  const { folder, terminal } = context;
  const { ports } = openPlace(folder);
  // Held to the end: nothing starts with half of it, and no two calls take one tenant.
  using _ = lockDataFolder(folder);
  const { settings } = openPlace(folder);
  const choice = chooseCluster(settings, realm, options);
  const now = new Date(systemClock.now());
  const cluster = await addCluster(folder, settings, choice, now);
  const shown = viewOf(folder, cluster);
  const flags = flagsOf(shown);
  terminal.result({
    json: { ...shown, audiences: cluster.audiences, kubeApiserver: flags },
    text: [
      `Cluster ${realm} is ready to start: redoubt up`,
      "",
      "kube-apiserver needs these flags:",
      ...Object.entries(flags).map(([name, value]) => `  --${name}=${value}`),
      "and must have none of --service-account-signing-key-file, --service-account-key-file and",
      "--service-account-max-token-expiration; kube-controller-manager no --service-account-private-key-file.",
      "",
      ...socketAdvice(shown.socket),
      `The publisher serves ${shown.issuer}/.well-known/openid-configuration and ${shown.issuer}/keys`,
      `at 127.0.0.1:${ports.publisher}: let ${new URL(shown.issuer).host} lead there.`,
    ].join("\n"),
  });
  return EXIT.ok;
}

export async function clustersList({ folder, terminal }: CommandContext): Promise<number> {
  const clusters = openPlace(folder).settings.clusters.map((one) => viewOf(folder, one));
  const rows = clusters.map(({ realm, issuer, tenant, socket }) => [realm, issuer, tenant, socket]);
  terminal.result({
    json: clusters,
    text: table([["REALM", "ISSUER", "TENANT", "SOCKET"], ...rows]),
  });
  return EXIT.ok;
}

interface ClusterView extends Pick<Cluster, "realm" | "issuer" | "tenant" | "audiences"> {
  readonly socket: string;
}

function viewOf(folder: string, { realm, issuer, tenant, audiences }: Cluster): ClusterView {
  const socket = join(folder, `kube-front-${realm}`, "s", "kube-apiserver", "sock");
  return { realm, issuer, tenant, audiences, socket };
}

function flagsOf({ issuer, audiences, socket }: ClusterView): Readonly<Record<string, string>> {
  return {
    "service-account-signing-endpoint": socket,
    "service-account-issuer": issuer,
    "api-audiences": audiences.join(","),
    "service-account-jwks-uri": `${issuer}/keys`,
    "service-account-extend-token-expiration": "false",
  };
}

/** THREAT-32: the folder's mode is the only proof of who asks, so it is never opened to others. */
function socketAdvice(socket: string): string[] {
  const bytes = Buffer.byteLength(socket);
  const isLong = bytes > MAX_SOCKET_PATH_BYTES;
  return [
    "The socket's folder is open to the user that runs Redoubt alone: kube-apiserver runs as that user, or as root.",
    "A static pod mounts the folder (hostPath, type: Directory), not the socket.",
    ...(isLong
      ? [
          `Its name has ${bytes} bytes, and a socket's may have ${MAX_SOCKET_PATH_BYTES}: mount the folder under a shorter one.`,
        ]
      : []),
  ];
}
