import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeStatement, type OpenedStatement } from "@redoubt/presence";
import { SoftAuthenticator, TestClock, type SoftOverrides } from "@redoubt/testkit";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  ask,
  createSocketPlace,
  PRESENCE,
  SocketClient,
  socketPlace,
  type Answered,
  type Asked,
} from "@redoubt/wire";
import type { PresenceConfig } from "../config.ts";
import { openPresence, type Presence } from "../context.ts";

export const RP_ID = "localhost";
export const ORIGIN = "http://localhost:7405";
export const LOGIN_ORIGIN = "http://localhost:7402";
const CALLERS = ["operator", "issuer-enterprise", "issuer-consumer"];
const CONFIG: PresenceConfig = {
  http: { port: 0, proxies: null, public: null },
  rpId: RP_ID,
  origin: ORIGIN,
  callers: CALLERS,
};

type Body = Extract<Parameters<typeof makeStatement>[0], { readonly action: "person.pass" }>;
export type Opened = Answered<typeof PRESENCE.open>;
export interface Said {
  readonly status: number;
  readonly message: string;
  readonly isOver: boolean;
}

/** A ceremony page on real sockets and real HTTP, whose time a test owns. */
export class TestPresence implements AsyncDisposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "presence-"));
  readonly clock = new TestClock();
  readonly events: { readonly name: string; readonly fields: Readonly<Record<string, unknown>> }[] =
    [];
  #presence: Presence | undefined;

  static async open(): Promise<TestPresence> {
    const test = new TestPresence();
    mkdirSync(join(test.root, "presence"), { mode: 0o700 });
    for (const caller of CALLERS) createSocketPlace(socketPlace(test.root, "presence", caller));
    test.#presence = await openPresence({
      config: CONFIG,
      folder: join(test.root, "presence"),
      root: test.root,
      clock: test.clock,
      sink: (name, fields = {}) => void test.events.push({ name, fields }),
    });
    return test;
  }

  get presence(): Presence {
    if (!this.#presence) throw new TypeError("Not open");
    return this.#presence;
  }

  connect(caller = "operator"): SocketClient {
    return connectTo(this.root, caller);
  }

  statement(change: Partial<Body> = {}, nonce: Uint8Array = Buffer.alloc(16, 7)): OpenedStatement {
    return statementAt(this.clock.seconds, change, nonce);
  }

  get(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.presence.port}${path}`, init);
  }

  /** As the page's script does it. */
  async post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Said> {
    const answer = await this.get(path, {
      method: "POST",
      headers: { "content-type": "application/json", origin: ORIGIN, ...headers },
      body: JSON.stringify(body),
    });
    const { message = "", isOver = false, code = "" } = await readObject(answer);
    return {
      status: answer.status,
      message: String(code === "" ? message : code),
      isOver: isOver === true,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#presence?.[Symbol.asyncDispose]();
    rmSync(this.root, { recursive: true, force: true });
  }
}

export function connectTo(root: string, caller: string): SocketClient {
  const place = socketPlace(root, "presence", caller);
  return new SocketClient({ path: place.path, secret: createSocketPlace(place) });
}

/** A pass for somebody, asked for at a time; good for five minutes. */
export function statementAt(
  seconds: number,
  change: Partial<Body> = {},
  nonce: Uint8Array = Buffer.alloc(16, 7),
): OpenedStatement {
  return makeStatement(
    {
      realm: "enterprise",
      issuedAt: seconds,
      expiresAt: seconds + 300,
      rpId: RP_ID,
      origin: ORIGIN,
      action: "person.pass",
      subject: {
        person: "p-7",
        userName: "Ännä <script>alert(1)</script>",
        tenant: "aaaaaaaa-0000-4000-8000-000000000001",
        purpose: "onboarding",
        minutes: 30,
      },
      ...change,
    },
    nonce,
  );
}

export function show(
  client: SocketClient,
  { bytes }: Pick<OpenedStatement, "bytes">,
  change: Partial<Asked<typeof PRESENCE.open>> = {},
): Promise<Opened> {
  return ask(client, PRESENCE.open, { statement: bytes, approvers: 1, ...change });
}

export function collect(client: SocketClient, id: string, waitMs = 0) {
  return ask(client, PRESENCE.collect, { id, waitMs });
}

/** What the page's script posts. */
export function assertionOf(
  key: SoftAuthenticator,
  { challenge }: Pick<OpenedStatement, "challenge">,
  overrides: SoftOverrides = {},
  origin: string = ORIGIN,
) {
  const { id, response } = key.authenticate(
    { challenge: encodeBase64url(challenge) },
    { origin, overrides },
  );
  const { clientDataJSON, authenticatorData, signature } = response;
  return { credentialId: id, clientDataJSON, authenticatorData, signature };
}

export function passkey(rpId: string = RP_ID): SoftAuthenticator {
  return new SoftAuthenticator({ rpId });
}

async function readObject(answer: Response): Promise<Readonly<Record<string, unknown>>> {
  const value: unknown = await answer.json();
  return typeof value === "object" && value !== null ? { ...value } : {};
}
