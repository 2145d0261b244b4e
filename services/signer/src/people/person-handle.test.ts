import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { ServiceError } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { SIGNER, type SocketClient } from "@redoubt/wire";
import { isSignedBy, readToken, text } from "../testing/answers.ts";
import { OIDC_RING, segment } from "../testing/cluster.ts";
import {
  CLIENT,
  CONSUMER_TENANT,
  Deployment,
  OTHER_TENANT,
  refusalOf,
  RING,
  SUSPENDED_TENANT,
  TENANT,
} from "../testing/deployment.ts";
import { parsePersonClaims, type PersonToken } from "./person-claims.ts";
import { encodeLibraryHeader } from "./person-handle.ts";

const { op: OP } = SIGNER.signExactFor;
const PORTAL = "portal";
const DISABLED = "portal-off";
const PERSON = "0b8c1d2e-3f40-4a51-8b62-7c738495a6b7";
const LOGIN = { redirectUris: ["https://portal.test/callback"], logoutUris: [] };
const LOGOUT = "http://schemas.openid.net/event/backchannel-logout";

const SIGN_IN = { acr: "urn:redoubt:acr:passkey", amr: ["hwk", "user", "pop"] };

/** What an honest issuer asks for, and one change that nobody may have. */
interface Case {
  readonly name: string;
  readonly kind?: PersonToken;
  readonly claims?: JsonObject;
  readonly without?: string;
  readonly ask?: JsonObject;
  readonly code: string;
}

const now = (deployment: Deployment): number => deployment.clock.seconds;

function claimsOf(kind: PersonToken, seconds: number, tenant = TENANT): JsonObject {
  const common = {
    iss: `https://login.test/${tenant}/v2.0`,
    sub: PERSON,
    tid: tenant,
    iat: seconds,
    jti: "j".repeat(43),
  };
  switch (kind) {
    case "access":
      return {
        ...common,
        ...SIGN_IN,
        aud: "api://one",
        exp: seconds + 600,
        nbf: seconds,
        ver: "2.0",
        client_id: PORTAL,
        scope: "read",
        auth_time: seconds - 60,
        sid: "s".repeat(21),
      };
    case "id":
      return {
        ...common,
        ...SIGN_IN,
        aud: PORTAL,
        exp: seconds + 3600,
        nonce: "n-0S6",
        at_hash: "h".repeat(22),
        auth_time: seconds,
        sid: "s".repeat(21),
      };
    case "logout":
      return {
        ...common,
        aud: PORTAL,
        exp: seconds + 120,
        sid: "s".repeat(21),
        events: { [LOGOUT]: {} },
      };
  }
}

const TYP = { access: "at+jwt", id: undefined, logout: "logout+jwt" } as const;

const CASES: readonly Case[] = [
  {
    name: "another realm",
    ask: { handle: { realm: "consumer", tenant: TENANT, class: "at" } },
    code: "ERR_SIGNER_HANDLE",
  },
  {
    name: "THREAT-01: the consumer tenant",
    ask: { handle: { realm: "enterprise", tenant: CONSUMER_TENANT, class: "at" } },
    code: "ERR_SIGNER_CLIENT",
  },
  {
    name: "a suspended tenant",
    ask: { handle: { realm: "enterprise", tenant: SUSPENDED_TENANT, class: "at" } },
    claims: { tid: SUSPENDED_TENANT, iss: `https://login.test/${SUSPENDED_TENANT}/v2.0` },
    code: "ERR_SIGNER_HANDLE",
  },
  {
    name: "a handle of one tenant, claims of another",
    claims: { tid: OTHER_TENANT },
    code: "ERR_SIGNER_HANDLE",
  },
  {
    name: "another tenant's issuer",
    claims: { iss: `https://login.test/${OTHER_TENANT}/v2.0` },
    code: "ERR_SIGNER_HANDLE",
  },
  {
    name: "a client that is no client of people",
    ask: { client: CLIENT },
    code: "ERR_SIGNER_CLIENT",
  },
  {
    name: "a disabled client",
    ask: { client: DISABLED },
    claims: { client_id: DISABLED },
    code: "ERR_SIGNER_CLIENT",
  },
  { name: "an unknown client", ask: { client: "nobody" }, code: "ERR_SIGNER_CLIENT" },
  {
    name: "a client beside the claims' client",
    claims: { client_id: CLIENT },
    code: "ERR_SIGNER_CLIENT",
  },
  {
    name: "class oidc for an access token",
    ask: { handle: { realm: "enterprise", tenant: TENANT, class: "oidc" } },
    code: "ERR_SIGNER_HANDLE",
  },
  {
    name: "class at for an ID token",
    kind: "id",
    ask: { handle: { realm: "enterprise", tenant: TENANT, class: "at" } },
    code: "ERR_SIGNER_HANDLE",
  },
  {
    name: "an audience of the tenant only",
    claims: { aud: "api://two" },
    code: "ERR_SIGNER_AUDIENCE",
  },
  {
    name: "an access token for the client itself",
    claims: { aud: PORTAL },
    code: "ERR_SIGNER_AUDIENCE",
  },
  { name: "the drill audience", claims: { aud: "urn:redoubt:drill" }, code: "ERR_SIGNER_AUDIENCE" },
  {
    name: "two audiences",
    claims: { aud: ["api://one", "api://two"] },
    code: "ERR_REQUEST_MEMBER",
  },
  {
    name: "an ID token for an API",
    kind: "id",
    claims: { aud: "api://one" },
    code: "ERR_SIGNER_AUDIENCE",
  },
  {
    name: "an ID token for another client",
    kind: "id",
    claims: { aud: CLIENT },
    code: "ERR_SIGNER_AUDIENCE",
  },
  {
    name: "a logout token for another client",
    kind: "logout",
    claims: { aud: CLIENT },
    code: "ERR_SIGNER_AUDIENCE",
  },
  { name: "another scope", claims: { scope: "read admin" }, code: "ERR_SIGNER_SCOPE" },
  {
    name: "a client in the place of a person",
    claims: { sub: CLIENT },
    code: "ERR_REQUEST_MEMBER",
  },
  { name: "one second too long", claims: { exp: 3601 }, code: "ERR_SIGNER_TTL" },
  {
    name: "a logout token of more than two minutes",
    kind: "logout",
    claims: { exp: 121 },
    code: "ERR_SIGNER_TTL",
  },
  { name: "dated ahead", claims: { iat: 6, nbf: 6 }, code: "ERR_SIGNER_TIME" },
  { name: "dated back", claims: { iat: -91, nbf: -91, auth_time: -91 }, code: "ERR_SIGNER_TIME" },
  {
    name: "waited for 6 s, which is no alarm",
    claims: { iat: -6, nbf: -6 },
    code: "ERR_SIGNER_LATE",
  },
  { name: "valid from another time", claims: { nbf: 1 }, code: "ERR_SIGNER_TIME" },
  { name: "signed in after it was issued", claims: { auth_time: 1 }, code: "ERR_SIGNER_CLAIMS" },
  { name: "THREAT-18: a password", claims: { amr: ["pwd"] }, code: "ERR_SIGNER_CLAIMS" },
  {
    name: "THREAT-18: a password beside a passkey",
    claims: { amr: ["hwk", "user", "pwd"] },
    code: "ERR_SIGNER_CLAIMS",
  },
  {
    name: "THREAT-18: no user verification",
    claims: { amr: ["hwk", "pop"] },
    code: "ERR_SIGNER_CLAIMS",
  },
  { name: "THREAT-18: no method", claims: { amr: [] }, code: "ERR_SIGNER_CLAIMS" },
  {
    name: "THREAT-18: another acr",
    claims: { acr: "urn:mace:incommon:iap:silver" },
    code: "ERR_REQUEST_MEMBER",
  },
  { name: "a short jti", claims: { jti: "j".repeat(21) }, code: "ERR_REQUEST_MEMBER" },
  {
    name: "two bindings",
    claims: { cnf: { jkt: "k".repeat(43), "x5t#S256": "k".repeat(43) } },
    code: "ERR_REQUEST_MEMBER",
  },
  { name: "an unknown claim", claims: { roles: ["admin"] }, code: "ERR_REQUEST_MEMBER" },
  {
    name: "another spelling of a claim",
    claims: { ISS: "https://evil.test" },
    code: "ERR_REQUEST_MEMBER",
  },
  {
    name: "a logout token with a nonce",
    kind: "logout",
    claims: { nonce: "x" },
    code: "ERR_REQUEST_MEMBER",
  },
  {
    name: "a logout token for another event",
    kind: "logout",
    claims: { events: {} },
    code: "ERR_REQUEST_MEMBER",
  },
  ...[
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "jti",
    "tid",
    "nbf",
    "ver",
    "client_id",
    "auth_time",
    "acr",
    "amr",
  ].map((without): Case => ({ name: `without ${without}`, without, code: "ERR_REQUEST_MEMBER" })),
  ...["auth_time", "acr", "amr", "tid", "jti"].map((without): Case => ({
    name: `an ID token without ${without}`,
    kind: "id",
    without,
    code: "ERR_REQUEST_MEMBER",
  })),
];

/** Times in a case are relative to now. */
const TIMES: readonly string[] = ["exp", "iat", "nbf", "auth_time"];

describe("THREAT-04: a compromised issuer asks for tokens of people", () => {
  let deployment: Deployment;
  let client: SocketClient;
  const kids = new Map<string, string>();

  before(async () => {
    deployment = await Deployment.start();
    const { realm } = deployment;
    for (const [name, status] of [
      [PORTAL, "active"],
      [DISABLED, "disabled"],
    ] as const)
      deployment.state({
        type: "client",
        realm,
        tenant: TENANT,
        client: name,
        status,
        audiences: ["api://one"],
        scopes: ["read"],
        login: LOGIN,
      });
    deployment.state({
      type: "client",
      realm,
      tenant: SUSPENDED_TENANT,
      client: PORTAL,
      status: "active",
      audiences: ["api://one"],
      scopes: ["read"],
      login: LOGIN,
    });
    await deployment.openReady({}, { rings: [RING, OIDC_RING] });
    // The keys are older than what a case dates back.
    deployment.clock.forward(120);
    client = deployment.client();
    for (const { record, state } of deployment.foldRegistry().keys.values())
      if (state === "active") kids.set(record.class, record.kid);
  });
  after(() => deployment[Symbol.asyncDispose]());

  function asked(kind: PersonToken, change: Partial<Case> = {}): JsonObject {
    const seconds = now(deployment);
    const tokenClass = kind === "access" ? "at" : "oidc";
    const moved = Object.fromEntries(
      Object.entries(change.claims ?? {}).map(([name, value]) =>
        TIMES.includes(name) && typeof value === "number" ? [name, seconds + value] : [name, value],
      ),
    );
    const { [change.without ?? ""]: _, ...claims } = { ...claimsOf(kind, seconds), ...moved };
    return {
      handle: { realm: "enterprise", tenant: TENANT, class: tokenClass },
      client: PORTAL,
      header: encodeLibraryHeader("ES256", kids.get(tokenClass) ?? "", TYP[kind]),
      payload: segment(claims),
      ...change.ask,
    };
  }

  for (const kind of ["access", "id", "logout"] as const)
    it(`control: an ${kind} token is signed as it came, with the key of its class`, async () => {
      const wanted = asked(kind);
      const { head } = await client.request({ op: OP, ...wanted });
      const token = readToken(text(head, "token"));
      assert.equal(token.signingInput, `${text(wanted, "header")}.${text(wanted, "payload")}`);
      assert.equal(isSignedBy(deployment.foldRegistry(), token), true);
    });

  it("control: a bound access token, and one without scope or session", async () => {
    for (const claims of [
      { cnf: { jkt: "k".repeat(43) } },
      { cnf: { "x5t#S256": "k".repeat(43) } },
      { iat: -5, nbf: -5 },
      { iat: 5, nbf: 5 },
      { exp: 3600 },
    ])
      assert.ok((await client.request({ op: OP, ...asked("access", { claims }) })).head["token"]);
    for (const without of ["scope", "sid"])
      assert.ok((await client.request({ op: OP, ...asked("access", { without }) })).head["token"]);
  });

  for (const { name, kind = "access", code, ...change } of CASES)
    it(`${name}: ${code}, and nothing is signed or committed`, async () => {
      const { signed } = deployment.custodian;
      const commits = deployment.ledger.commits().length;
      const request = client.request({ op: OP, ...asked(kind, { ...change, code }) });
      assert.equal(await refusalOf(request), code);
      assert.equal(deployment.custodian.signed, signed);
      assert.equal(deployment.ledger.commits().length, commits);
    });

  for (const [name, header, code] of [
    ["another key", encodeLibraryHeader("ES256", "k".repeat(43), "at+jwt"), "ERR_SIGNER_NO_KEY"],
    ["no algorithm", segment({ alg: "none", typ: "at+jwt" }), "ERR_SIGNER_NO_KEY"],
    ["typ of nobody", segment({ alg: "ES256", typ: "jwt" }), "ERR_SIGNER_HANDLE"],
    ["no JSON", segment("x"), "ERR_REQUEST_MEMBER"],
    ["a deep one", segment({ typ: { a: 1 } }), "ERR_REQUEST_MEMBER"],
  ] as const)
    it(`a header with ${name}: ${code}`, async () => {
      const request = client.request({ op: OP, ...asked("access"), header });
      assert.equal(await refusalOf(request), code);
    });

  it("a header with a jwk beside what it must have is another key's", async () => {
    const header = segment({ alg: "ES256", typ: "at+jwt", kid: kids.get("at") ?? "", jwk: "x" });
    const request = client.request({ op: OP, ...asked("access"), header });
    assert.equal(await refusalOf(request), "ERR_SIGNER_NO_KEY");
  });

  for (const caller of ["drill", "operator"] as const)
    it(`${caller} has no people`, async () => {
      const request = deployment.client(caller).request({ op: OP, ...asked("access") });
      assert.equal(await refusalOf(request), "ERR_SIGNER_OP");
    });
});

describe("parsePersonClaims", () => {
  const rights = { tenant: TENANT, client: PORTAL, scopes: ["read"] };

  it("throws nothing but coded refusals, whatever the claims", () => {
    for (const kind of ["access", "id", "logout"] as const) {
      const whole = claimsOf(kind, 1_795_435_200);
      fc.assert(
        fc.property(fc.constantFrom(...Object.keys(whole)), fc.jsonValue(), (name, value) => {
          const encoded = JSON.stringify({ ...whole, [name]: value });
          const payload: JsonObject = JSON.parse(encoded);
          try {
            parsePersonClaims(kind, payload, rights);
          } catch (error) {
            assert.ok(error instanceof ServiceError, String(error));
          }
        }),
        { numRuns: 300 },
      );
    }
  });
});
