import { createRequire } from "node:module";
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerUnaryCall,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { crc32c } from "../crc32c.ts";
import { isRecord } from "../sdk.ts";
import { fakeSignature, fakeVersion, type FakeKey, type FakeVersion } from "./fake-keys.ts";

type Fields = Readonly<Record<string, unknown>>;
type Handler = (request: Fields) => Fields;

/** What happens to a call instead of, or after, what the service would do; undefined leaves it as it is. */
export interface Fault {
  /** Before anything is done. */
  before?: (method: string, request: Fields, metadata: Metadata) => Promise<void> | void;
  /** With the right answer in hand. */
  after?: (method: string, answer: Fields) => Fields;
}

export class GrpcFailure extends Error {
  readonly code: status;
  constructor(code: status, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Cloud KMS on the wire: the protocol of the SDK's own definitions, keys in node:crypto. It keeps the rules that
 * the adapter relies on, and can be told to break each.
 */
export class FakeGoogleKms implements AsyncDisposable {
  readonly keys = new Map<string, FakeKey>();
  readonly calls: { method: string; request: Fields; metadata: Metadata }[] = [];
  fault: Fault = {};
  pendingLooks = 0;
  pageSize = 100;
  port = 0;
  readonly #server = new Server({ "grpc.max_receive_message_length": 1 << 20 });

  static async start(credentials = ServerCredentials.createInsecure()): Promise<FakeGoogleKms> {
    const fake = new FakeGoogleKms();
    fake.#server.addService(serviceDefinition(), fake.#implementation());
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    fake.#server.bindAsync("127.0.0.1:0", credentials, (error, port) =>
      error ? reject(error) : resolve(port),
    );
    fake.port = await promise;
    return fake;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
  }

  countOf(method: string): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  /** The version of this id, wherever its key ring. */
  version(id: string): FakeVersion {
    const [key = "", version = ""] = id.split("/");
    for (const { versions } of this.keys.values())
      for (const found of versions)
        if (found.name.endsWith(`/cryptoKeys/${key}/cryptoKeyVersions/${version}`)) return found;
    throw new Error(`The fake has no version ${id}`);
  }

  #implementation(): UntypedServiceImplementation {
    const handlers: Readonly<Record<string, Handler>> = {
      createCryptoKey: (request) => this.#createCryptoKey(request),
      getCryptoKey: ({ name }) => publicPart(this.#key(name)),
      getCryptoKeyVersion: ({ name }) => this.#getVersion(name),
      getPublicKey: ({ name }) => publicKeyOf(this.#enabled(name)),
      asymmetricSign: (request) => signWith(this.#enabled(request.name), request),
      destroyCryptoKeyVersion: ({ name }) => this.#destroy(name),
      listCryptoKeys: (request) => this.#listKeys(request),
      listCryptoKeyVersions: (request) => this.#listVersions(request),
    };
    return Object.fromEntries(
      Object.entries(handlers).map(([method, handler]) => [
        method,
        (call: ServerUnaryCall<unknown, unknown>, reply: sendUnaryData<unknown>): void => {
          void this.#answer(method, handler, call).then(
            (answer) => reply(null, answer),
            (error: unknown) => reply(statusOf(error)),
          );
        },
      ]),
    );
  }

  async #answer(
    method: string,
    handler: Handler,
    { request, metadata }: ServerUnaryCall<unknown, unknown>,
  ): Promise<Fields> {
    if (!isRecord(request)) throw new GrpcFailure(status.INVALID_ARGUMENT, "no request");
    this.calls.push({ method, request, metadata });
    await this.fault.before?.(method, request, metadata);
    const answer = handler(request);
    return this.fault.after?.(method, answer) ?? answer;
  }

  #createCryptoKey({ parent, cryptoKeyId, cryptoKey }: Fields): Fields {
    const name = `${String(parent)}/cryptoKeys/${String(cryptoKeyId)}`;
    if (this.keys.has(name)) throw new GrpcFailure(status.ALREADY_EXISTS, "exists");
    if (!isRecord(cryptoKey) || !isRecord(cryptoKey.versionTemplate) || !isRecord(cryptoKey.labels))
      throw new GrpcFailure(status.INVALID_ARGUMENT, "no key");
    const { algorithm, protectionLevel } = cryptoKey.versionTemplate;
    const version = fakeVersion(
      `${name}/cryptoKeyVersions/1`,
      String(algorithm),
      String(protectionLevel),
      this.pendingLooks,
    );
    const labels = Object.fromEntries(
      Object.entries(cryptoKey.labels).map(([label, value]) => [label, String(value)]),
    );
    const key = { name, purpose: String(cryptoKey.purpose), labels, versions: [version] };
    this.keys.set(name, key);
    return publicPart(key);
  }

  #key(name: unknown): FakeKey {
    const key = this.keys.get(String(name));
    if (!key) throw new GrpcFailure(status.NOT_FOUND, "no such key");
    return key;
  }

  #find(name: unknown): FakeVersion {
    const [key] = String(name).split("/cryptoKeyVersions/");
    const version = this.#key(key).versions.find((found) => found.name === name);
    if (!version) throw new GrpcFailure(status.NOT_FOUND, "no such version");
    return version;
  }

  #enabled(name: unknown): FakeVersion {
    const version = this.#find(name);
    if (version.state !== "ENABLED")
      throw new GrpcFailure(status.FAILED_PRECONDITION, `is not enabled: ${version.state}`);
    return version;
  }

  #getVersion(name: unknown): Fields {
    const version = this.#find(name);
    if (version.state === "PENDING_GENERATION" && version.pendingLooks-- <= 0)
      version.state = "ENABLED";
    return versionPart(version);
  }

  #destroy(name: unknown): Fields {
    const version = this.#find(name);
    if (version.state !== "ENABLED" && version.state !== "DISABLED")
      throw new GrpcFailure(status.FAILED_PRECONDITION, `cannot be destroyed: ${version.state}`);
    version.state = "DESTROY_SCHEDULED";
    return versionPart(version);
  }

  #listKeys({ parent, filter, pageToken }: Fields): Fields {
    const [, label = "", value = ""] =
      /^labels\.([a-z-]+)=([a-z0-9-]+)$/.exec(String(filter)) ?? [];
    const keys = [...this.keys.values()].filter(
      (key) => key.name.startsWith(`${String(parent)}/`) && key.labels[label] === value,
    );
    const { items, nextPageToken } = this.#page(keys, pageToken);
    return { cryptoKeys: items.map(publicPart), nextPageToken };
  }

  #listVersions({ parent, pageToken }: Fields): Fields {
    const { items, nextPageToken } = this.#page(this.#key(parent).versions, pageToken);
    return { cryptoKeyVersions: items.map(versionPart), nextPageToken };
  }

  #page<T>(all: readonly T[], pageToken: unknown): { items: T[]; nextPageToken: string } {
    const from = Number(pageToken === "" ? 0 : pageToken);
    const to = from + this.pageSize;
    return { items: all.slice(from, to), nextPageToken: to < all.length ? String(to) : "" };
  }
}

function publicPart({ name, purpose, labels }: FakeKey): Fields {
  return { name, purpose, labels };
}

function versionPart({ name, algorithm, protectionLevel, state, importJob }: FakeVersion): Fields {
  return { name, algorithm, protectionLevel, state, importJob };
}

function publicKeyOf(version: FakeVersion): Fields {
  const { name, algorithm, protectionLevel, publicKey } = version;
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  return { pem, pemCrc32c: checksum(Buffer.from(pem)), name, algorithm, protectionLevel };
}

function signWith(version: FakeVersion, request: Fields): Fields {
  const { name, protectionLevel } = version;
  const isData = version.algorithm === "EC_SIGN_ED25519";
  const signed = isData ? request.data : isRecord(request.digest) && request.digest.sha256;
  const sum = isData ? request.dataCrc32c : request.digestCrc32c;
  if (!(signed instanceof Uint8Array) || signed.length === 0)
    throw new GrpcFailure(status.INVALID_ARGUMENT, "nothing to sign");
  const isVerified = isRecord(sum) && String(sum.value) === String(crc32c(signed));
  const signature = fakeSignature(version, signed);
  return {
    name,
    protectionLevel,
    signature,
    signatureCrc32c: checksum(signature),
    verifiedDigestCrc32c: !isData && isVerified,
    verifiedDataCrc32c: isData && isVerified,
  };
}

export function checksum(bytes: Uint8Array): Fields {
  return { value: String(crc32c(bytes)) };
}

function statusOf(error: unknown): { code: status; details: string; metadata: Metadata } {
  const code = error instanceof GrpcFailure ? error.code : status.INTERNAL;
  const details = error instanceof Error ? error.message : "not an error";
  return { code, details, metadata: new Metadata() };
}

/** The service as the installed SDK defines it. */
function serviceDefinition() {
  const fromSdk = createRequire(import.meta.resolve("@google-cloud/kms"));
  const gax: unknown = fromSdk("google-gax");
  const protos: unknown = fromSdk("@google-cloud/kms/build/protos/protos.json");
  if (!isGaxLoader(gax)) throw new Error("google-gax has no loader of definitions");
  return new gax.GrpcClient().loadProtoJSON(protos).google.cloud.kms.v1.KeyManagementService
    .service;
}

interface GaxLoader {
  readonly GrpcClient: new () => {
    loadProtoJSON(json: unknown): {
      google: {
        cloud: {
          kms: { v1: { KeyManagementService: { service: Parameters<Server["addService"]>[0] } } };
        };
      };
    };
  };
}

function isGaxLoader(value: unknown): value is GaxLoader {
  return isRecord(value) && typeof value.GrpcClient === "function";
}
