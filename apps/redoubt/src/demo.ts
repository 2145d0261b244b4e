import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { canonicalBytes, MemberReader, readPrivateFile, Secret, writeDurable } from "@redoubt/base";
import { reporterPublicKey, type StatementBody } from "@redoubt/registry";
import { isJsonObject, parseJsonObject, type JsonValue } from "@redoubt/verify/json";
import { CONSUMER_TENANT, REALMS, type Realm } from "./layout.ts";

/** A client that exists in the one-machine profile only, so that a newcomer has a token to look at. */
export interface DemoClient {
  readonly realm: Realm;
  readonly tenant: string;
  readonly client: string;
  readonly secret: string;
  readonly audience: string;
}
export interface ReporterCredential {
  readonly reporter: string;
  readonly secret: string;
}
export interface Demo {
  readonly clients: readonly DemoClient[];
  readonly reporters: readonly ReporterCredential[];
}

/** People sign in through it on this machine, at the status page's `/try` (RFC 8252 §7.3: the port is not registered). */
export const TRY_CLIENT = "try";
export const TRY_LOGIN = {
  redirectUris: ["http://127.0.0.1/try/callback"],
  logoutUris: [],
} as const;
export const DEMO_SCOPES = ["orders.read", "orders.write"] as const;
const DEMO_FILE = "up/demo.json";

export function makeDemo(): Demo {
  return {
    clients: REALMS.map((realm) => ({
      realm,
      tenant: realm === "consumer" ? CONSUMER_TENANT : randomUUID(),
      client: `demo-${realm}`,
      secret: Secret.random().reveal(),
      audience: `api://demo-${realm}`,
    })),
    reporters: ["demo-api", "drill"].map((reporter) => ({
      reporter,
      secret: Secret.random().reveal(),
    })),
  };
}

/** What the registry must say before the demo clients are registered and the reporters are believed. */
export function demoStatements({ clients, reporters }: Demo): StatementBody[] {
  return [
    ...reporters.map(({ reporter, secret }): StatementBody => ({
      type: "reporter",
      reporter,
      publicKey: reporterPublicKey(secret),
      status: "active",
    })),
    ...clients.map(({ realm, tenant, audience }): StatementBody => ({
      type: "tenant",
      realm,
      tenant,
      status: "active",
      audiences: [audience],
    })),
  ];
}

export function writeDemo(folder: string, { clients, reporters }: Demo): void {
  const value: JsonValue = {
    v: 1,
    clients: clients.map((client) => ({ ...client })),
    reporters: reporters.map((reporter) => ({ ...reporter })),
  };
  writeDurable(join(folder, DEMO_FILE), canonicalBytes(value));
}

export function readDemo(folder: string): Demo {
  const reader = new MemberReader(
    parseJsonObject(readPrivateFile(join(folder, DEMO_FILE))),
    "demo clients",
  );
  reader.integer("v", 1, 1);
  const demo = {
    clients: reader.array("clients", 16).map(readClient),
    reporters: reader.array("reporters", 16).map(readReporter),
  };
  reader.done();
  return demo;
}

function readClient(value: JsonValue): DemoClient {
  const reader = new MemberReader(isJsonObject(value) ? value : {}, "demo client");
  return {
    realm: reader.oneOf("realm", REALMS),
    tenant: reader.string("tenant", 36),
    client: reader.string("client", 128),
    secret: reader.string("secret", 128),
    audience: reader.string("audience"),
  };
}

function readReporter(value: JsonValue): ReporterCredential {
  const reader = new MemberReader(isJsonObject(value) ? value : {}, "reporter");
  return { reporter: reader.string("reporter", 64), secret: reader.string("secret", 128) };
}
