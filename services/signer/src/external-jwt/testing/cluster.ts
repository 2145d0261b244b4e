import { Client, credentials, type ServiceError as GrpcError } from "@grpc/grpc-js";
import { encodeVerifierKey } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import { socketPlace } from "@redoubt/wire";
import type { Signer, SignerOptions } from "../../context.ts";
import { Deployment, RING } from "../../testing/deployment.ts";
import { EXTERNAL_JWT_PATHS } from "../messages.ts";
import { decodeMessage, encodeMessage } from "./proto.ts";

export const CLUSTER = "55555555-2222-4333-8444-555555555555";
export const ISSUER = "https://prod.clusters.test";
export const CLUSTER_AUDIENCES: readonly string[] = [ISSUER, "vault"];
export const OIDC_RING = { ...RING, class: "oidc" } as const;
export const KUBERNETES_CONFIG = {
  callers: ["operator"],
  rings: [OIDC_RING],
  kubernetes: { tenant: CLUSTER, audiences: "tenant" },
} as const;

/** Claims as kube-apiserver writes them for a pod. */
export function podClaims(nowSeconds: number, change: JsonObject = {}): JsonObject {
  return {
    aud: [ISSUER],
    exp: nowSeconds + 3600,
    iat: nowSeconds,
    iss: ISSUER,
    jti: "0b1c2d3e-4f50-4617-8a9b-acbdcedfe0f1",
    "kubernetes.io": {
      namespace: "payments",
      node: { name: "node-1.test", uid: "7d0c1f1e-88a1-4ad9-8c7e-6f30a4b7c001" },
      pod: { name: "ledger-0", uid: "7d0c1f1e-88a1-4ad9-8c7e-6f30a4b7c002" },
      serviceaccount: { name: "ledger", uid: "7d0c1f1e-88a1-4ad9-8c7e-6f30a4b7c003" },
    },
    nbf: nowSeconds,
    sub: "system:serviceaccount:payments:ledger",
    ...change,
  };
}

export function segment(claims: JsonObject | string): string {
  const text = typeof claims === "string" ? claims : JSON.stringify(claims);
  return Buffer.from(text, "utf8").toString("base64url");
}

/** A signer for one cluster, and a kube-apiserver's client of it. */
export class Cluster implements AsyncDisposable {
  readonly deployment: Deployment;
  readonly #clients: Client[] = [];

  constructor(deployment: Deployment = new Deployment("kubernetes-prod")) {
    this.deployment = deployment;
  }

  /** With ledger and monitor running, and everything that the signer needs in the registry. */
  static async start(): Promise<Cluster> {
    const cluster = new Cluster();
    await cluster.deployment.ledger.start();
    await cluster.deployment.monitor.start();
    cluster.register();
    return cluster;
  }

  static async ready(config: JsonObject = {}): Promise<Cluster> {
    const cluster = await Cluster.start();
    const signer = await cluster.open({}, config);
    await signer.ready;
    return cluster;
  }

  register(): void {
    const { deployment } = this;
    const { realm, ringKey, writerKey } = deployment;
    const tenantRule = { fixed: CLUSTER };
    deployment.state({ type: "realm", realm, issuer: ISSUER, ring: ringKey, tenantRule });
    const { origin: log, key } = deployment.ledger.issuance;
    const logKey = encodeVerifierKey(key);
    deployment.state({ type: "writer", realm, log, writer: writerKey, logKey });
    this.setTenant("active");
  }

  setTenant(status: "active" | "suspended", audiences = CLUSTER_AUDIENCES): void {
    const { realm } = this.deployment;
    this.deployment.state({ type: "tenant", realm, tenant: CLUSTER, status, audiences });
  }

  open(replaced: Partial<SignerOptions> = {}, config: JsonObject = {}): Promise<Signer> {
    return this.deployment.open(replaced, { ...KUBERNETES_CONFIG, ...config });
  }

  get path(): string {
    const { root, service } = this.deployment;
    return socketPlace(root, service, "kube-apiserver").path;
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
    const answer = await call(client, EXTERNAL_JWT_PATHS.sign, request);
    const { header, signature } = decodeMessage("SignJWTResponse", answer);
    return `${String(header)}.${payload}.${String(signature)}`;
  }

  async fetchKeys(): Promise<Record<string, unknown>> {
    const request = encodeMessage("FetchKeysRequest");
    const answer = await call(this.#firstClient(), EXTERNAL_JWT_PATHS.fetchKeys, request);
    return decodeMessage("FetchKeysResponse", answer);
  }

  async metadata(): Promise<Record<string, unknown>> {
    const request = encodeMessage("MetadataRequest");
    const answer = await call(this.#firstClient(), EXTERNAL_JWT_PATHS.metadata, request);
    return decodeMessage("MetadataResponse", answer);
  }

  #firstClient(): Client {
    return this.#clients[0] ?? this.client();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
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
