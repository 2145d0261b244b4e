import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Client, credentials, type ServiceError as GrpcError } from "@grpc/grpc-js";
import type { Sample } from "@redoubt/base";
import {
  clusterDeployment,
  KUBERNETES_CONFIG,
  podClaims,
  startCluster,
} from "@redoubt/signer/testing/cluster";
import type { Deployment } from "@redoubt/signer/testing/deployment";
import type { JsonObject } from "@redoubt/verify/json";
import { FakeMonitor } from "@redoubt/testkit";
import { socketPlace } from "@redoubt/wire";
import { openKubeFront } from "../context.ts";
import { decodeMessage, encodeMessage } from "./proto.ts";

export const PATHS = {
  sign: "/v1.ExternalJWTSigner/Sign",
  fetchKeys: "/v1.ExternalJWTSigner/FetchKeys",
  metadata: "/v1.ExternalJWTSigner/Metadata",
} as const;

const SERVICE = "kube-front-prod";

/** A real signer for one cluster, its real front, and a kube-apiserver's client of that. */
export class Cluster implements AsyncDisposable {
  readonly deployment: Deployment;
  /** The monitor, on the front's own socket. */
  readonly monitor: FakeMonitor;
  readonly #open: AsyncDisposable[] = [];
  readonly #clients: Client[] = [];

  /** What the front tells a supervisor. */
  metrics: () => readonly Sample[] = () => [];

  constructor(deployment: Deployment = clusterDeployment()) {
    this.deployment = deployment;
    const { root, realm } = deployment;
    this.monitor = new FakeMonitor({ root, service: "monitor", caller: `kube-front-${realm}` });
  }

  /** With ledger and monitor running, everything that the signer needs in the registry, and a front. */
  static async start(): Promise<Cluster> {
    const cluster = new Cluster(await startCluster());
    await cluster.openFront();
    return cluster;
  }

  static async ready(config: JsonObject = {}): Promise<Cluster> {
    const cluster = await Cluster.start();
    const signer = await cluster.open(config);
    await signer.ready;
    return cluster;
  }

  open(config: JsonObject = {}): ReturnType<Deployment["open"]> {
    return this.deployment.open({}, { ...KUBERNETES_CONFIG, ...config });
  }

  async openFront(): Promise<void> {
    const { root, realm, events } = this.deployment;
    const folder = join(root, SERVICE);
    mkdirSync(folder, { mode: 0o700 });
    const config = { realm };
    await this.monitor.start();
    this.#open.push({ [Symbol.asyncDispose]: () => this.monitor.stop() });
    const deliveryLimits = { intervalMs: 1, retryMs: 1 };
    const front = await openKubeFront({
      config,
      folder,
      root,
      service: SERVICE,
      sink: events.sink,
      deliveryLimits,
    });
    this.metrics = () => front.metrics?.() ?? [];
    this.#open.push(front);
  }

  get path(): string {
    return socketPlace(this.deployment.root, SERVICE, "kube-apiserver").path;
  }

  client(): Client {
    const client = new Client(`unix:${this.path}`, credentials.createInsecure());
    this.#clients.push(client);
    return client;
  }

  claims(change: JsonObject = {}): JsonObject {
    return podClaims(this.deployment.clock.seconds, change);
  }

  /** The token as kube-apiserver puts it together. */
  async sign(payload: string, client: Client = this.#firstClient()): Promise<string> {
    const request = encodeMessage("SignJWTRequest", { claims: payload });
    const answer = await call(client, PATHS.sign, request);
    const { header, signature } = decodeMessage("SignJWTResponse", answer);
    return `${String(header)}.${payload}.${String(signature)}`;
  }

  async fetchKeys(): Promise<Record<string, unknown>> {
    const request = encodeMessage("FetchKeysRequest");
    const answer = await call(this.#firstClient(), PATHS.fetchKeys, request);
    return decodeMessage("FetchKeysResponse", answer);
  }

  async metadata(): Promise<Record<string, unknown>> {
    const request = encodeMessage("MetadataRequest");
    const answer = await call(this.#firstClient(), PATHS.metadata, request);
    return decodeMessage("MetadataResponse", answer);
  }

  #firstClient(): Client {
    return this.#clients[0] ?? this.client();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const open of this.#open.toReversed()) await open[Symbol.asyncDispose]();
    await this.deployment[Symbol.asyncDispose]();
  }
}

const same = (bytes: Buffer): Buffer => bytes;

export function call(
  client: Client,
  path: string,
  request: Buffer,
  deadline?: Date,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = deadline ? { deadline } : {};
    const done = (error: GrpcError | null, answer?: Buffer): void => {
      if (answer) resolve(answer);
      else reject(error ?? new Error("No answer"));
    };
    client.makeUnaryRequest(path, same, same, request, options, done);
  });
}

/** gRPC status and our own code of a refused call: `7 ERR_SIGNER_HANDLE`. */
export async function statusOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
  } catch (error) {
    if (!(error instanceof Error) || !("details" in error) || !("code" in error)) throw error;
    return `${String(error.code)} ${String(error.details).split(":", 1).join()}`;
  }
  return "answered";
}
