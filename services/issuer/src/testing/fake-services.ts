import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { MemberReader, ServiceError } from "@redoubt/base";
import { isJsonObject } from "@redoubt/verify/json";
import {
  MONITOR,
  readSocketSecret,
  route,
  routesByName,
  serveSocket,
  socketPlace,
  type Answer,
  type Asked,
  type Call,
  type Handler,
} from "@redoubt/wire";

/** Makes a caller's folder and secret, as the supervisor does. */
export function preparePlace(root: string, service: string, caller: string): void {
  const { folder, secretFile } = socketPlace(root, service, caller);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(secretFile, randomBytes(32).toString("base64url"), { mode: 0o600 });
}

export function serveFake(
  root: string,
  service: string,
  caller: string,
  handler: Handler,
): Promise<AsyncDisposable> {
  const place = socketPlace(root, service, caller);
  const secret = readSocketSecret(place);
  return serveSocket({
    path: place.path,
    caller,
    secret,
    service,
    instance: "fake",
    handler,
    log: ignore,
  });
}

function ignore(): void {
  // What the socket logs is not what these tests are about.
}

const KID = "key-of-the-fake-signer";
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** A signer that signs whatever it is asked to; what the real one refuses is set by the test. */
export class FakeSigner {
  readonly publicJwk = { ...publicKey.export({ format: "jwk" }), kty: "EC", kid: KID };
  readonly asked: Record<string, unknown>[] = [];
  readonly tokens: string[] = [];
  metadata = { realm: "enterprise", maxTtlSeconds: 3600, ready: true };
  /** Takes the place of the usual answer. */
  issue: (head: Call["head"]) => Answer | Promise<Answer> = (head) => this.sign(head);

  readonly handler: Handler = ({ op, head }) => {
    if (op === "metadata") return { head: this.metadata };
    if (op === "issueBatch") return this.#issueBatch(head);
    if (op !== "issue") throw new ServiceError("ERR_REQUEST_OP", "No such operation");
    this.asked.push(head);
    return this.issue(head);
  };

  async #issueBatch(head: Call["head"]): Promise<Answer> {
    const items = new MemberReader(head, "issueBatch").array("items", 256);
    const results = items.map(async (item) => {
      if (!isJsonObject(item)) throw new TypeError("An item is no object");
      this.asked.push(item);
      return (await this.issue(item)).head;
    });
    return { head: { results: await Promise.all(results) } };
  }

  sign(head: Call["head"]): Answer {
    const reader = new MemberReader(head, "issue");
    const tenant = reader.object("handle").string("tenant");
    const iat = Math.floor(Date.now() / 1000);
    const ttl = reader.integer("ttl", 1, 3600);
    const scope = reader.optionalString("scope");
    const claims = {
      iss: `https://issuer.example/${tenant}/v2.0`,
      sub: reader.string("sub"),
      aud: reader.string("audience"),
      exp: iat + ttl,
      nbf: iat,
      iat,
      jti: randomBytes(16).toString("base64url"),
      tid: tenant,
      ver: "2.0",
      client_id: reader.string("client"),
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
    return {
      head: { token, kid: "k", jti: "j", expiresIn: ttl, log: "l", index: this.tokens.length },
    };
  }
}

function base64urlJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

export interface Delivered extends Asked<typeof MONITOR.delivered> {
  readonly lost: number;
  readonly forgotten: number;
}

/** A monitor that keeps what it is told; reads reports as strictly as the contract is written. */
export class FakeMonitor {
  readonly reports: Delivered[] = [];
  readonly events: string[] = [];
  /** Throws where the real one would refuse. */
  before: (report: Delivered) => void = () => undefined;

  get digests(): readonly string[] {
    return this.reports.flatMap(({ digests }) => digests);
  }

  readonly #routes = routesByName([
    route(MONITOR.event, ({ kind, over = false }) => {
      this.events.push(kind, ...(over ? ["(over)"] : []));
      return {};
    }),
    route(MONITOR.delivered, ({ lost = 0, forgotten = 0, ...said }) => {
      const report = { ...said, lost, forgotten };
      this.before(report);
      this.reports.push(report);
      return { seq: report.seq };
    }),
  ]);

  readonly handler: Handler = (call) => {
    const found = this.#routes.get(call.op);
    if (!found) throw new ServiceError("ERR_MONITOR_OP", "No such operation");
    return found.handle(call);
  };
}
