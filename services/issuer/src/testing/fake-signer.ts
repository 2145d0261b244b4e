import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import { FakeService } from "@redoubt/testkit";
import {
  isJsonObject,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "@redoubt/verify/json";
import {
  route,
  routesByName,
  SIGNER,
  type Handler,
  type IssuedToken,
  type IssueRequest,
  type SignerMetadata,
} from "@redoubt/wire";

const KID = "key-of-the-fake-signer".padEnd(43, "-");
const LOG = "redoubt.test/fake";
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** A signer that signs whatever it is asked to; what the real one refuses is set by the test. */
export class FakeSigner extends FakeService {
  readonly publicJwk = { ...publicKey.export({ format: "jwk" }), kty: "EC", kid: KID };
  readonly asked: JsonObject[] = [];
  readonly tokens: string[] = [];
  metadataAsked = 0;
  metadata: SignerMetadata = {
    realm: "enterprise",
    instance: "fake",
    log: LOG,
    maxTtlSeconds: 3600,
    custody: "plain-file",
    isolation: "none",
    ready: true,
    problem: null,
    size: 0,
    registrySize: 0,
    issuerStatements: 0,
    pending: 0,
    cosigned: null,
    labels: [],
  };
  /** Entries of the registry that it has read. */
  registrySize = (): number => 0;
  /** Of the first so many entries, those that this realm's issuer is shown. */
  issuerStatements = (size: number): number => size;
  /** Takes the place of the usual answer. */
  issue: (request: IssueRequest) => JsonObject | Promise<JsonObject> = (request) =>
    this.sign(request);
  readonly #routes = routesByName([
    route(SIGNER.metadata, () => {
      this.metadataAsked += 1;
      const registrySize = this.registrySize();
      const issuerStatements = this.issuerStatements(registrySize);
      return { ...this.metadata, registrySize, issuerStatements };
    }),
    // Not as the definition says it where a test lies.
    { op: SIGNER.issue.op, handle: async ({ head }) => ({ head: await this.#issue(head) }) },
    route(SIGNER.issueBatch, async ({ items }) => ({
      results: await Promise.all(items.map((item) => this.#result(item))),
    })),
  ]);

  readonly handler: Handler = (call) => {
    const found = this.#routes.get(call.op);
    if (!found) throw new ServiceError("ERR_SIGNER_OP", "No such call here");
    return found.handle(call);
  };

  async #issue(head: JsonObject): Promise<JsonObject> {
    const request = SIGNER.issue.request.read(head);
    this.asked.push(head);
    return this.issue(request);
  }

  async #result(item: JsonValue): Promise<JsonObject> {
    try {
      return await this.#issue(isJsonObject(item) ? item : {});
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const { code, message, fields } = error;
      return parseJsonObject(JSON.stringify({ ...fields, code, message }));
    }
  }

  sign({ handle, client, sub, audience, scope, ttl = 3600 }: IssueRequest): IssuedToken {
    const iat = Math.floor(Date.now() / 1000);
    const jti = randomBytes(16).toString("base64url");
    const claims = {
      iss: `https://issuer.example/${handle.tenant}/v2.0`,
      sub,
      aud: audience,
      exp: iat + ttl,
      nbf: iat,
      iat,
      jti,
      tid: handle.tenant,
      ver: "2.0",
      client_id: client,
      ...(scope === undefined ? {} : { scope }),
    };
    const header = { alg: "ES256", kid: KID, typ: "at+jwt" };
    const input = `${base64urlJson(header)}.${base64urlJson(claims)}`;
    const signature = sign("sha256", Buffer.from(input), {
      key: privateKey,
      dsaEncoding: "ieee-p1363",
    });
    const token = `${input}.${signature.toString("base64url")}`;
    this.tokens.push(token);
    return { token, kid: KID, jti, expiresIn: ttl, log: LOG, index: this.tokens.length };
  }
}

function base64urlJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
