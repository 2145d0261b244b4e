import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { JsonObject } from "@redoubt/verify/json";
import { readSocketSecret, socketPlace, type SocketClient } from "@redoubt/wire";
import { refusalsOf, text } from "../testing/answers.ts";
import {
  CONSUMER_TENANT,
  Deployment,
  DISABLED_CLIENT,
  OTHER_TENANT,
  refusalOf,
  SUSPENDED_TENANT,
  TENANT,
  WANTED,
  type TestCaller,
} from "../testing/deployment.ts";
import { RawPeer } from "../testing/raw-peer.ts";

const { handle } = WANTED;
const RESERVED = "iss tid iat nbf exp jti ver typ kid alg aud client_id".split(" ");
const DRILL = { ...WANTED, client: "redoubt-drill", audience: "urn:redoubt:drill" };
const NEVER = "00000000-0000-4000-8000-000000000000";

interface Case {
  readonly name: string;
  readonly change: JsonObject;
  readonly code: string;
  readonly from?: JsonObject;
  readonly caller?: TestCaller;
}

const withHandle = (change: JsonObject): JsonObject => ({ handle: { ...handle, ...change } });

const CASES: readonly Case[] = [
  ...RESERVED.flatMap((name): Case[] => [
    { name: `sets ${name}`, change: { [name]: "x" }, code: "ERR_SIGNER_RESERVED" },
    {
      name: `sets ${name} in its handle`,
      change: withHandle({ [name]: "x" }),
      code: "ERR_SIGNER_RESERVED",
    },
    {
      name: `sets ${name} deep in its context`,
      change: { context: { a: [{ b: { [name]: 1 } }] } },
      code: "ERR_SIGNER_RESERVED",
    },
  ]),
  { name: "another realm", change: withHandle({ realm: "consumer" }), code: "ERR_SIGNER_HANDLE" },
  {
    name: "another realm's tenant",
    change: withHandle({ tenant: CONSUMER_TENANT }),
    code: "ERR_SIGNER_HANDLE",
  },
  { name: "a tenant of nobody", change: withHandle({ tenant: NEVER }), code: "ERR_SIGNER_HANDLE" },
  {
    name: "a suspended tenant",
    change: withHandle({ tenant: SUSPENDED_TENANT }),
    code: "ERR_SIGNER_HANDLE",
  },
  {
    name: "a tenant in upper case",
    change: withHandle({ tenant: OTHER_TENANT.toUpperCase() }),
    code: "ERR_SIGNER_HANDLE",
  },
  {
    name: "a path as tenant",
    change: withHandle({ tenant: `${TENANT}/x` }),
    code: "ERR_REQUEST_MEMBER",
  },
  { name: "another class", change: withHandle({ class: "oidc" }), code: "ERR_SIGNER_HANDLE" },
  {
    name: "no class",
    change: { handle: { realm: "enterprise", tenant: TENANT } },
    code: "ERR_REQUEST_MEMBER",
  },
  { name: "an unknown client", change: { client: "app-2" }, code: "ERR_SIGNER_CLIENT" },
  { name: "a disabled client", change: { client: DISABLED_CLIENT }, code: "ERR_SIGNER_CLIENT" },
  { name: "the drill's client", change: { client: "redoubt-drill" }, code: "ERR_SIGNER_CLIENT" },
  {
    name: "an audience of the tenant only",
    change: { audience: "api://two" },
    code: "ERR_SIGNER_AUDIENCE",
  },
  { name: "an audience of nobody", change: { audience: "api://x" }, code: "ERR_SIGNER_AUDIENCE" },
  {
    name: "the drill audience",
    change: { audience: "urn:redoubt:drill" },
    code: "ERR_SIGNER_AUDIENCE",
  },
  { name: "two audiences", change: { audience: ["api://one"] }, code: "ERR_REQUEST_MEMBER" },
  { name: "another scope", change: { scope: "read admin" }, code: "ERR_SIGNER_SCOPE" },
  { name: "a scope with two spaces", change: { scope: "read  write" }, code: "ERR_REQUEST_MEMBER" },
  { name: "an empty scope", change: { scope: "" }, code: "ERR_REQUEST_MEMBER" },
  { name: "one second too much", change: { ttl: 3601 }, code: "ERR_SIGNER_TTL" },
  {
    name: "all the time there is",
    change: { ttl: Number.MAX_SAFE_INTEGER },
    code: "ERR_SIGNER_TTL",
  },
  { name: "no time", change: { ttl: 0 }, code: "ERR_REQUEST_MEMBER" },
  { name: "time backwards", change: { ttl: -1 }, code: "ERR_REQUEST_MEMBER" },
  { name: "half a second", change: { ttl: 1.5 }, code: "ERR_REQUEST_MEMBER" },
  { name: "time as text", change: { ttl: "600" }, code: "ERR_REQUEST_MEMBER" },
  { name: "an unknown member", change: { digest: "x" }, code: "ERR_REQUEST_MEMBER" },
  {
    name: "an unknown member of its handle",
    change: withHandle({ key: "x" }),
    code: "ERR_REQUEST_MEMBER",
  },
  { name: "no subject", change: { sub: "" }, code: "ERR_REQUEST_MEMBER" },
  { name: "a long subject", change: { sub: "x".repeat(257) }, code: "ERR_REQUEST_MEMBER" },
  {
    name: "a large context",
    change: { context: { a: "x".repeat(2048) } },
    code: "ERR_REQUEST_MEMBER",
  },
  {
    name: "a fraction in its context",
    change: { context: { a: 0.5 } },
    code: "ERR_REQUEST_MEMBER",
  },
  { name: "a context that is no object", change: { context: [] }, code: "ERR_REQUEST_MEMBER" },
  { name: "an unknown call", change: { op: "sign" }, code: "ERR_SIGNER_OP" },
  { name: "the drill's call", change: { op: "drillKey" }, code: "ERR_SIGNER_OP" },
  { name: "metadata with more", change: { op: "metadata" }, code: "ERR_REQUEST_MEMBER" },
  { name: "keys with more", change: { op: "fetchKeys" }, code: "ERR_REQUEST_MEMBER" },
  { name: "an operator issues", change: {}, code: "ERR_SIGNER_OP", caller: "operator" },
  {
    name: "an operator issues a batch",
    change: { op: "issueBatch" },
    code: "ERR_SIGNER_OP",
    caller: "operator",
  },
  {
    name: "a drill for an API",
    from: DRILL,
    change: { audience: "api://one" },
    code: "ERR_SIGNER_AUDIENCE",
    caller: "drill",
  },
  {
    name: "a drill as a client",
    from: DRILL,
    change: { client: "app-1" },
    code: "ERR_SIGNER_CLIENT",
    caller: "drill",
  },
  {
    name: "a drill in a suspended tenant",
    from: DRILL,
    change: withHandle({ tenant: SUSPENDED_TENANT }),
    code: "ERR_SIGNER_HANDLE",
    caller: "drill",
  },
];

describe("THREAT-04: a compromised issuer on the raw socket", () => {
  let deployment: Deployment;
  const clients = new Map<TestCaller, SocketClient>();
  const client = (caller: TestCaller = "issuer"): SocketClient => {
    const open = clients.get(caller) ?? deployment.client(caller);
    clients.set(caller, open);
    return open;
  };

  before(async () => {
    deployment = await Deployment.start();
    await deployment.openReady();
  });
  after(() => deployment[Symbol.asyncDispose]());

  it("control: what it may have is issued", async () => {
    for (const change of [{}, { ttl: 3600 }, { scope: "read write" }, { context: { why: "test" } }])
      assert.match(text((await client().request({ ...WANTED, ...change })).head, "token"), /^ey/);
    const drill = await client("drill").request(DRILL);
    assert.match(text(drill.head, "token"), /^ey/);
  });

  it("the longest lifetime when none is named", async () => {
    const { ttl: _, ...wanted } = WANTED;
    const { head } = await client().request(wanted);
    assert.equal(head["expiresIn"], 3600);
  });

  for (const { name, change, code, from = WANTED, caller = "issuer" } of CASES)
    it(`${name}: ${code}, and nothing is signed or committed`, async () => {
      const { signed } = deployment.custodian;
      const commits = deployment.ledger.commits().length;
      const asked = client(caller).request({ ...from, ...change });
      assert.equal(await refusalOf(asked), code);
      assert.equal(deployment.custodian.signed, signed);
      assert.equal(deployment.ledger.commits().length, commits);
    });

  it("a batch of good and bad: each is answered for itself, the bad are told", async () => {
    const signed = deployment.custodian.signed;
    const items: readonly (JsonObject | string)[] = [
      request({}),
      request({ kid: "x" }),
      "no object",
      request({ ttl: 3601 }),
      request({ scope: "write" }),
      request({ op: "issue" }),
    ];
    const { head } = await client().request({ op: "issueBatch", items });
    assert.deepEqual(refusalsOf(head), [
      "token",
      "ERR_SIGNER_RESERVED",
      "ERR_REQUEST_MEMBER",
      "ERR_SIGNER_TTL",
      "token",
      "ERR_REQUEST_MEMBER",
    ]);
    assert.equal(deployment.custodian.signed, signed + 2);
  });

  for (const [name, head, code] of [
    ["empty", { items: [] }, "ERR_REQUEST_MEMBER"],
    ["too many", { items: Array.from({ length: 257 }, () => 0) }, "ERR_REQUEST_MEMBER"],
    ["a kid beside the items", { items: [request({})], kid: "x" }, "ERR_SIGNER_RESERVED"],
    ["a member beside the items", { items: [request({})], x: 1 }, "ERR_REQUEST_MEMBER"],
  ] as const)
    it(`issueBatch, ${name}: ${code}`, async () => {
      assert.equal(await refusalOf(client().request({ op: "issueBatch", ...head })), code);
    });

  it("a batch whose tokens no frame could carry back is cut before anything is signed", async () => {
    const { signed } = deployment.custodian;
    const items = Array.from({ length: 200 }, () => request({ sub: '"'.repeat(256) }));
    const { head } = await client().request({ op: "issueBatch", items });
    const results = refusalsOf(head);
    const tokens = results.filter((result) => result === "token").length;
    assert.ok(tokens > 50 && tokens < 200, `${tokens} tokens`);
    assert.equal(results.filter((result) => result === "ERR_SIGNER_BUSY").length, 200 - tokens);
    assert.equal(deployment.custodian.signed, signed + tokens);
  });

  for (const [name, head] of [
    ["a duplicate member", `${JSON.stringify(WANTED).slice(0, -1)},"ttl":900}`],
    ["an escaped member name", JSON.stringify(WANTED).replace('"ttl"', '"\\u0074tl"')],
    ["__proto__", `${JSON.stringify(WANTED).slice(0, -1)},"__proto__":{}}`],
    ["no JSON", "{"],
  ] as const)
    it(`${name}: the connection ends, nothing is signed, the monitor hears of it`, async () => {
      const { signed } = deployment.custodian;
      await using peer = await deployment.rawPeer();
      peer.send(1, head);
      const frame = await peer.frame();
      assert.equal(frame?.head["code"], "ERR_WIRE_FRAME");
      assert.equal(await peer.frame(), undefined);
      assert.equal(deployment.custodian.signed, signed);
      assert.equal((await deployment.monitor.refusal("ERR_WIRE_FRAME")).caller, "issuer");
    });

  it("another caller's secret opens nothing", async () => {
    const { signed } = deployment.custodian;
    await using peer = new RawPeer(deployment.place("issuer").path);
    const secret = readSocketSecret(socketPlace(deployment.root, deployment.service, "drill"));
    peer.send(0, JSON.stringify({ op: "hello", v: 1, secret: secret.reveal() }));
    peer.send(1, JSON.stringify(WANTED));
    assert.equal((await peer.frame())?.head["code"], "ERR_WIRE_HELLO");
    assert.equal(await peer.frame(), undefined);
    assert.equal(deployment.custodian.signed, signed);
    assert.equal((await deployment.monitor.refusal("ERR_WIRE_HELLO")).caller, "issuer");
  });

  it("THREAT-26: a frame that is larger than any call is not even read", async () => {
    await using peer = await deployment.rawPeer();
    peer.send(1, JSON.stringify({ ...WANTED, sub: "x".repeat(300 * 1024) }));
    // The answer may be lost with the connection, on which more bytes are still coming.
    await peer.closed();
    assert.equal((await deployment.monitor.refusal("ERR_WIRE_TOO_LARGE")).caller, "issuer");
  });

  it("nothing before the greeting", async () => {
    await using peer = new RawPeer(deployment.place("issuer").path);
    peer.send(1, JSON.stringify(WANTED));
    assert.equal((await peer.frame())?.head["code"], "ERR_WIRE_HELLO");
  });

  it("one request id used twice ends the connection", async () => {
    await using peer = await deployment.rawPeer();
    peer.send(7, JSON.stringify(WANTED));
    peer.send(7, JSON.stringify(WANTED));
    const codes: unknown[] = [];
    for (let frame = await peer.frame(); frame; frame = await peer.frame())
      if (frame.kind === 3) codes.push(frame.head["code"]);
    assert.deepEqual(codes, ["ERR_WIRE_FRAME"]);
  });

  it("every single refusal was told, the repeated ones as counts", async () => {
    // Those of the batches above, beside the cases.
    const expected = new Map([
      ["issuer ERR_SIGNER_RESERVED", 2],
      ["issuer ERR_REQUEST_MEMBER", 5],
      ["issuer ERR_SIGNER_TTL", 1],
    ]);
    for (const { code, caller = "issuer" } of CASES) {
      const kind = `${caller} ${code}`;
      expected.set(kind, (expected.get(kind) ?? 0) + 1);
    }
    const { told } = deployment.monitor;
    for (const [kind, least] of expected) await told.first(() => countOf(told.all, kind) >= least);
  });
});

function request(change: JsonObject): JsonObject {
  const { op: _, ...wanted } = WANTED;
  return { ...wanted, ...change };
}

/** How many refusals of one kind the monitor was told of. */
function countOf(told: Deployment["monitor"]["told"]["all"], kind: string): number {
  return told
    .filter(({ op, caller, code }) => op === "refusal" && `${caller} ${code}` === kind)
    .reduce((sum, { detail }) => sum + Number(/\((\d+) times\)$/.exec(detail)?.[1] ?? 1), 0);
}
