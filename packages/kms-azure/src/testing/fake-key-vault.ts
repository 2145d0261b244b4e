import { generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { makeCertificate } from "@redoubt/custody/testing/certificate";
import { ecdsaOfDigest, pkcs1OfDigest, pssOfDigest } from "@redoubt/custody/testing/sign-digest";

export const ORIGIN = "https://redoubt-test.vault.azure.net";
const HOST = "redoubt-test.vault.azure.net";
export const API_VERSION = "2025-07-01";

type Fields = Readonly<Record<string, unknown>>;

/** A key version as the vault keeps it; the private key is a real one. */
export interface FakeVersion {
  readonly version: string;
  privateKey: KeyObject;
  kty: string;
  keyOps: readonly string[];
  tags: Record<string, string>;
  attributes: Record<string, unknown>;
}

export interface FakeRequest {
  readonly method: string;
  /** `GET /keys`, `POST /keys/{name}/create` … */
  readonly operation: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: Fields;
}

export interface FakeAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** In the place of `body`. */
  readonly raw?: Buffer;
}

/** What happens instead of, or after, what the vault would do. */
export interface Fault {
  before?: (request: FakeRequest) => Promise<FakeAnswer | void> | FakeAnswer | void;
  after?: (request: FakeRequest, answer: FakeAnswer) => FakeAnswer;
}

/** A refusal in the vault's form. */
export function refusal(status: number, code: string, inner = "", retryAfter = ""): FakeAnswer {
  const innererror = inner === "" ? undefined : { code: inner };
  return {
    status,
    body: { error: { code, message: "because", innererror } },
    ...(retryAfter !== "" && { headers: { "retry-after": retryAfter } }),
  };
}

/**
 * Key Vault on the wire: TLS, the bearer challenge, versions, soft delete, keys in node:crypto. It keeps the rules
 * that the adapter relies on, and can be told to break each.
 */
export class FakeKeyVault implements AsyncDisposable {
  readonly keys = new Map<string, FakeVersion[]>();
  readonly deleted = new Set<string>();
  readonly requests: FakeRequest[] = [];
  readonly agent: Agent;
  readonly roots: string;
  readonly token = `token-${randomBytes(8).toString("hex")}`;
  fault: Fault = {};
  pageSize = 25;
  challenge = `Bearer authorization="https://login.microsoftonline.com/9f1c2d3e-0000-4000-8000-000000000001", resource="https://vault.azure.net"`;
  readonly #server: ReturnType<typeof createServer>;

  private constructor(server: ReturnType<typeof createServer>, port: number, roots: string) {
    this.#server = server;
    this.roots = roots;
    this.agent = makeAgent(port, roots);
    server.on("request", (request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<FakeKeyVault> {
    const { key, certificate } = makeCertificate(HOST);
    const server = createServer({ key, cert: certificate });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    return new FakeKeyVault(server, portOf(server.address()), certificate);
  }

  /** An agent that believes somebody else. */
  agentWith(roots: string): Agent {
    return makeAgent(portOf(this.#server.address()), roots);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.agent.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  countOf(operation: string): number {
    return this.requests.filter((r) => r.operation === operation && r.authorization).length;
  }

  version(id: string): FakeVersion {
    const [name = "", version = ""] = id.split("/");
    const found = this.keys.get(name)?.find((candidate) => candidate.version === version);
    if (!found) throw new Error(`The fake has no key ${id}`);
    return found;
  }

  addVersion(name: string, change: Partial<FakeVersion>): string {
    const versions = this.keys.get(name) ?? [];
    const [model] = versions;
    if (!model) throw new Error(`The fake has no key ${name}`);
    const version = randomBytes(16).toString("hex");
    versions.push({ ...model, ...change, version });
    return `${name}/${version}`;
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#answer(message).catch(() => ({ status: 500 }));
    const { status, headers, body, raw }: FakeAnswer = answer;
    if (response.destroyed) return;
    response.writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers });
    response.end(raw ?? (body === undefined ? "" : JSON.stringify(body)));
  }

  async #answer(message: IncomingMessage): Promise<FakeAnswer> {
    const url = new URL(message.url ?? "", ORIGIN);
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(Buffer.from(chunk));
    const text = Buffer.concat(chunks).toString();
    const [, , name, third] = url.pathname.split("/");
    const operation = operationOf(message.method ?? "", url.pathname);
    const request: FakeRequest = {
      method: message.method ?? "",
      operation,
      path: url.pathname,
      authorization: message.headers.authorization,
      body: Object(text === "" ? {} : JSON.parse(text)),
    };
    this.requests.push(request);
    if (message.headers.host !== HOST || url.searchParams.get("api-version") !== API_VERSION)
      return refusal(400, "BadParameter");
    if (request.authorization !== `Bearer ${this.token}`)
      return { ...refusal(401, "Unauthorized"), headers: { "www-authenticate": this.challenge } };
    const faulty = await this.fault.before?.(request);
    if (faulty) return faulty;
    const answer = this.#do(request, name, third, url);
    return this.fault.after?.(request, answer) ?? answer;
  }

  #do({ operation, body }: FakeRequest, name = "", version = "", url: URL): FakeAnswer {
    switch (operation) {
      case "POST create":
        return this.#create(name, body);
      case "GET keys":
        return this.#page(url, [...this.keys.keys()], (key) => this.#item(key));
      case "GET versions":
        return this.#page(url, this.keys.get(name) ?? [], (v) => this.#item(name, v));
      case "GET deleted":
        return refusal(404, "KeyNotFound");
      default:
        return this.#onVersion(operation, name, version, body);
    }
  }

  #onVersion(operation: string, name: string, version: string, body: Fields): FakeAnswer {
    const versions = this.keys.get(name);
    if (this.deleted.has(name) && operation === "DELETE key")
      return refusal(409, "Conflict", "ObjectIsBeingDeleted");
    if (!versions) return refusal(404, "KeyNotFound");
    if (operation === "DELETE key") {
      this.keys.delete(name);
      this.deleted.add(name);
      const recoveryId = `${ORIGIN}/deletedkeys/${name}`;
      const [first] = versions;
      return { status: 200, body: { ...(first && this.#bundle(name, first)), recoveryId } };
    }
    const found = versions.find((candidate) => candidate.version === version);
    if (!found) return refusal(404, "KeyNotFound");
    if (operation === "PATCH version") Object.assign(found.attributes, body.attributes);
    if (operation === "POST sign") return this.#sign(name, found, body);
    return { status: 200, body: this.#bundle(name, found) };
  }

  #create(name: string, { kty, crv, key_size, key_ops, tags, attributes }: Fields): FakeAnswer {
    const { privateKey } =
      crv === "P-256"
        ? generateKeyPairSync("ec", { namedCurve: "P-256" })
        : generateKeyPairSync("rsa", { modulusLength: Number(key_size) });
    const made: FakeVersion = {
      version: randomBytes(16).toString("hex"),
      privateKey,
      kty: String(kty),
      keyOps: Array.isArray(key_ops) ? key_ops.map(String) : [],
      tags: { ...Object(tags) },
      attributes: { ...Object(attributes) },
    };
    this.keys.set(name, [...(this.keys.get(name) ?? []), made]);
    return { status: 200, body: this.#bundle(name, made) };
  }

  #bundle(
    name: string,
    { version, privateKey, kty, keyOps, tags, attributes }: FakeVersion,
  ): Fields {
    const { crv, x, y, n, e } = privateKey.export({ format: "jwk" });
    const key = { kid: `${ORIGIN}/keys/${name}/${version}`, kty, key_ops: keyOps, crv, x, y, n, e };
    return { key, attributes, tags };
  }

  #item(name: string, found?: FakeVersion): Fields {
    const [latest] = this.keys.get(name)?.toReversed() ?? [];
    const { tags, attributes } = found ?? latest ?? {};
    const kid = `${ORIGIN}/keys/${name}${found ? `/${found.version}` : ""}`;
    return { kid, tags, attributes };
  }

  #page<T>(url: URL, all: readonly T[], item: (of: T) => Fields): FakeAnswer {
    const from = Number(url.searchParams.get("skip") ?? 0);
    const to = from + this.pageSize;
    const next = `${ORIGIN}${url.pathname}?api-version=${API_VERSION}&skip=${to}`;
    const nextLink = to < all.length ? next : null;
    return { status: 200, body: { value: all.slice(from, to).map(item), nextLink } };
  }

  #sign(name: string, found: FakeVersion, { alg, value }: Fields): FakeAnswer {
    if (found.attributes.enabled !== true) return refusal(403, "Forbidden", "KeyDisabled");
    const digest = Buffer.from(String(value), "base64url");
    const signature = fakeSignature(String(alg), digest, found.privateKey);
    if (digest.length !== 32 || !signature) return refusal(400, "BadParameter");
    const kid = `${ORIGIN}/keys/${name}/${found.version}`;
    return { status: 200, body: { kid, value: signature.toString("base64url") } };
  }
}

export function fakeSignature(alg: string, digest: Buffer, key: KeyObject): Buffer | undefined {
  if (alg === "ES256" && key.asymmetricKeyType === "ec") return ecdsaOfDigest(digest, key);
  if (key.asymmetricKeyType !== "rsa") return undefined;
  if (alg === "RS256") return pkcs1OfDigest(digest, key);
  return alg === "PS256" ? pssOfDigest(digest, key) : undefined;
}

function operationOf(method: string, path: string): string {
  if (path.startsWith("/deletedkeys/")) return `${method} deleted`;
  const [, , name, third, fourth] = path.split("/");
  if (name === undefined || name === "") return `${method} keys`;
  if (third === undefined || third === "") return `${method} key`;
  if (third === "create" || third === "versions") return `${method} ${third}`;
  return `${method} ${fourth ?? "version"}`;
}

/** Every name of Azure leads to the fake. */
function makeAgent(port: number, ca: string): Agent {
  return new Agent({
    keepAlive: true,
    ca,
    port,
    lookup: (_host, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
  });
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === "object" && address !== null ? address.port : 0;
}
