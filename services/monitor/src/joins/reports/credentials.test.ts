import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { reporterPublicKey } from "@redoubt/registry";
import { reporterKey, signatureBase } from "@redoubt/verify";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { secretOf, signedAs, START_SECONDS } from "../../testing/deployment.ts";
import { MonitorWorld, type Answered } from "../../testing/monitor-world.ts";
import { ACCEPT_SIGNATURE, authenticate } from "./credentials.ts";

const BODY = bodyOf(1);
const UNKNOWN = JSON.stringify({ status: 401, code: "ERR_MONITOR_CREDENTIAL" });
const INPUT = ';created=1795000000;keyid="shop";alg="ed25519";tag="redoubt-report"';

function bodyOf(seq: number, more: JsonObject = {}): string {
  const session = encodeBase64url(Buffer.alloc(16, 1));
  return JSON.stringify({ v: 1, session, seq, items: [], ...more });
}

/** Reporters `shop` and `other`; `gone` is disabled. The clock shows START_SECONDS. */
async function open(): Promise<MonitorWorld> {
  const world = await MonitorWorld.open({}, ({ deployment }) => {
    deployment.addReporter("shop", "secret of shop");
    deployment.addReporter("other", "secret of other");
    deployment.addReporter("gone", "secret of gone", "disabled");
  });
  // What opening took.
  world.clock.advance(START_SECONDS * 1000 - world.clock.now());
  return world;
}

function signedNow(world: MonitorWorld, path = "/reports"): Record<string, string> {
  return signedAs("shop", path, BODY, world.clock.now());
}

/** Signed as it should be, but for the parameters or the covered components. */
function signedOver(
  { "content-type": type = "", "content-digest": digest = "" }: Record<string, string>,
  parameters: string,
  names = ["@method", "@path", "content-type", "content-digest"],
): Record<string, string> {
  const values = new Map(
    Object.entries({
      "@method": "POST",
      "@path": "/reports",
      "content-type": type,
      "content-digest": digest,
    }),
  );
  const covered = Object.fromEntries(names.map((name) => [name, values.get(name) ?? ""]));
  const { base, input } = signatureBase(covered, parameters);
  const signature = sign(null, base, reporterKey(secretOf("secret of shop"))).toString("base64");
  return {
    "content-type": type,
    "content-digest": digest,
    "signature-input": `sig1=${input}`,
    signature: `sig1=:${signature}:`,
  };
}

function refusedAsUnknown(answer: Answered, what: string): void {
  assert.deepEqual([answer.status, answer.body], [401, UNKNOWN], what);
  // RFC 9421 §5; a challenge of another scheme would ask for a secret.
  assert.equal(answer.headers["accept-signature"], ACCEPT_SIGNATURE, what);
  assert.equal(answer.headers["www-authenticate"], undefined, what);
}

function codeOf({ body }: Answered): unknown {
  return parseJsonObject(body)["code"];
}

describe("THREAT-31: who reports is who signed", () => {
  it("takes what the registered key signed", async () => {
    await using world = await open();
    const headers = signedNow(world);
    assert.deepEqual(signedOver(headers, INPUT), headers);
    assert.equal((await world.post("/reports", BODY, headers)).status, 200);
    const evidence = JSON.stringify({ v: 1, items: [] });
    assert.equal((await world.postAs("shop", "/evidence", evidence)).status, 200);
  });

  it("refuses every single change of a signed request", async () => {
    await using world = await open();
    const good = signedNow(world);
    const { "signature-input": input = "", signature = "", "content-digest": digest = "" } = good;
    const change = (name: string, from: string, to: string): [string, Record<string, string>] => {
      const value = good[name] ?? "";
      assert.ok(value.includes(from), `${name} ${from}`);
      return [`${name}: ${from} → ${to}`, { ...good, [name]: value.replace(from, to) }];
    };
    const without = (name: string): [string, Record<string, string>] => [
      `no ${name}`,
      Object.fromEntries(Object.entries(good).filter(([one]) => one !== name)),
    ];
    const cases: readonly (readonly [string, Record<string, string>])[] = [
      change("content-type", "json", "jsonx"),
      change("content-type", "json", "json;charset=utf-8"),
      ["content-digest of another body", { ...good, "content-digest": otherDigest(world) }],
      change("content-digest", "sha-256", "sha-512"),
      change("content-digest", "sha-256", "SHA-256"),
      change("content-digest", "=:", "="),
      ["content-digest and another", { ...good, "content-digest": `${digest}, md5=:AA==:` }],
      change("signature-input", "1795000000", "1795000001"),
      change("signature-input", "1795000000", "01795000000"),
      change("signature-input", "1795000000", '"1795000000"'),
      change("signature-input", "created=1795000000;", ""),
      change("signature-input", "shop", "other"),
      change("signature-input", "shop", "gone"),
      change("signature-input", "shop", "nobody"),
      change("signature-input", "shop", ""),
      change("signature-input", "shop", 'sh\\"op'),
      change("signature-input", "shop", "s".repeat(65)),
      change("signature-input", "shop", "__proto__"),
      change("signature-input", "ed25519", "rsa-pss-sha512"),
      change("signature-input", ';alg="ed25519"', ""),
      change("signature-input", "redoubt-report", "redoubt-reports"),
      change("signature-input", ';tag="redoubt-report"', ""),
      change("signature-input", "sig1", "sig2"),
      change("signature-input", '"@method" "@path"', '"@path" "@method"'),
      change("signature-input", '"@method" ', ""),
      change("signature-input", ' "content-digest"', ""),
      change("signature-input", ");", ") ;"),
      ["an input and another", { ...good, "signature-input": `${input}, sig2=()` }],
      ["an input with more", { ...good, "signature-input": `${input};expires=1` }],
      ["a long input", { ...good, "signature-input": input + "x".repeat(4000) }],
      change("signature", "sig1", "sig2"),
      ["a bit of the signature", { ...good, signature: flipped(signature, 10) }],
      ["the last bit of the signature", { ...good, signature: flipped(signature, 90) }],
      ["spare bits of the signature", { ...good, signature: withSpareBits(signature) }],
      change("signature", "==:", "=:"),
      ["a short signature", { ...good, signature: "sig1=:AAAA:" }],
      ["a signature and another", { ...good, signature: `${signature}, sig2=:AAAA:` }],
      ...["content-type", "content-digest", "signature-input", "signature"].map(without),
      ["nothing", {}],
      ["what it was before", { ...good, ...basic("shop", "secret of shop"), signature: "" }],
    ];
    for (const [what, headers] of cases)
      refusedAsUnknown(await world.post("/reports", BODY, headers), what);
    // The path, the method, and what stands behind the path.
    refusedAsUnknown(await world.post("/evidence", BODY, good), "path");
    refusedAsUnknown(await world.post("/reports?x", BODY, good), "query");
    assert.equal((await world.post("/reports", BODY, good, "PUT")).status, 405);
    assert.equal((await world.post("/reports", BODY, good)).status, 200);
  });

  it("refuses another method than the signed one, whatever a route thinks of it", async () => {
    await using world = await open();
    const publicKey = reporterPublicKey(secretOf("secret of shop"));
    const shop = { type: "reporter", reporter: "shop", publicKey, status: "active" } as const;
    const reporters = new Map([["shop", { ...shop, at: 0, nonce: "" }]]);
    const rawHeaders = Object.entries(signedNow(world)).flat();
    const head = { path: "/reports", query: "", rawHeaders };
    const signed = authenticate({ ...head, method: "POST" }, reporters);
    assert.deepEqual([signed?.reporter, signed?.createdSeconds], ["shop", START_SECONDS]);
    for (const method of ["PUT", "post", ""])
      assert.equal(authenticate({ ...head, method }, reporters), undefined);
  });

  it("refuses what is signed, but not in the one form", async () => {
    await using world = await open();
    const good = signedNow(world);
    for (const parameters of [
      ';created=1795000000;keyid="shop";alg="ed25519"',
      ';created=1795000000;keyid="shop";tag="redoubt-report"',
      ';created=1795000000;keyid="shop";alg="ed25519";tag="another"',
      ';keyid="shop";alg="ed25519";tag="redoubt-report"',
      ';created=1795000000;keyid="shop";tag="redoubt-report";alg="ed25519"',
      `${INPUT};nonce="x"`,
      INPUT.replace("1795000000", "01795000000"),
      INPUT.replace("1795000000", "179500000000"),
    ])
      refusedAsUnknown(
        await world.post("/reports", BODY, signedOver(good, parameters)),
        parameters,
      );
    for (const names of [
      [],
      ["@method", "@path", "content-type"],
      ["@method", "content-type", "content-digest"],
      ["content-digest", "content-type", "@path", "@method"],
    ])
      refusedAsUnknown(
        await world.post("/reports", BODY, signedOver(good, INPUT, names)),
        names.join(),
      );
  });

  it("a header that stands there twice is refused, whichever of them was signed", async () => {
    await using world = await open();
    for (const name of ["content-type", "content-digest", "signature-input", "signature"]) {
      const good = signedNow(world);
      const twice = Object.entries(good).map(([one, value]) =>
        one === name ? `${one}: ${value}\r\n${one}: ${value}` : `${one}: ${value}`,
      );
      const socket = connect({ host: "127.0.0.1", port: world.monitor.port });
      const length = `content-length: ${BODY.length}`;
      const head = ["POST /reports HTTP/1.1", "host: x", "connection: close", length, ...twice];
      socket.write(`${head.join("\r\n")}\r\n\r\n${BODY}`);
      const [answer] = await once(socket, "data");
      assert.match(String(answer), /^HTTP\/1\.1 400 /, name);
      assert.match(String(answer), /ERR_HTTP_HEADER/, name);
      socket.destroy();
    }
  });

  it("unknown, disabled and falsely signed reporters look alike", async () => {
    await using world = await open();
    const now = world.clock.now();
    const headers = {
      unknown: signedAs("nobody", "/reports", BODY, now),
      disabled: signedAs("gone", "/reports", BODY, now),
      "another's key": signedAs("shop", "/reports", BODY, now, "secret of other"),
      "unknown, at a wrong time": signedAs("nobody", "/reports", BODY, now - 1e9),
      "disabled, at a wrong time": signedAs("gone", "/reports", BODY, now - 1e9),
      "another's key, at a wrong time": signedAs("shop", "/reports", BODY, 1e12, "secret of other"),
    };
    for (const [what, one] of Object.entries(headers))
      refusedAsUnknown(await world.post("/reports", BODY, one), what);
  });

  it("a new secret ends the old one at once; disabled is at once, too", async () => {
    await using world = await open();
    world.deployment.addReporter("shop", "new");
    await world.tick();
    refusedAsUnknown(await world.postAs("shop", "/reports", BODY), "old");
    assert.equal((await world.postAs("shop", "/reports", BODY, "new")).status, 200);
    world.deployment.addReporter("shop", "new", "disabled");
    await world.tick();
    refusedAsUnknown(await world.postAs("shop", "/reports", bodyOf(2), "new"), "disabled");
  });

  for (const [what, secret, status] of [
    ["was disabled", "secret of shop", "disabled"],
    ["has another key", "new", "active"],
  ] as const)
    it(`who ${what} while the body came is nobody any more`, async () => {
      await using world = await open();
      const { port } = world.monitor;
      const how = { host: "127.0.0.1", port, path: "/reports", method: "POST", agent: false };
      // Its answer says that the head was read, and found good.
      const expected = { "content-length": BODY.length, expect: "100-continue" };
      const request = httpRequest({ ...how, headers: { ...signedNow(world), ...expected } });
      request.flushHeaders();
      await once(request, "continue");
      request.write(BODY.slice(0, 5));
      world.deployment.addReporter("shop", secret, status);
      await world.tick();
      const answered = once(request, "response");
      request.end(BODY.slice(5));
      const [response] = await answered;
      assert.equal(response.statusCode, 401);
      response.resume();
    });

  it("300 s are between the clocks at most, and the one who signed learns it", async () => {
    await using world = await open();
    const at = (seconds: number): Promise<Answered> => {
      const headers = signedAs("shop", "/reports", BODY, world.clock.now() + seconds * 1000);
      return world.post("/reports", BODY, headers);
    };
    for (const seconds of [-300, 300]) assert.equal((await at(seconds)).status, 200);
    for (const seconds of [-301, 301, -1e9, 1e9]) {
      const answer = await at(seconds);
      assert.deepEqual([answer.status, codeOf(answer)], [401, "ERR_MONITOR_SIGNATURE_TIME"]);
    }
  });

  it("a body that is not the signed one is refused, and charged to nobody", async () => {
    await using world = await open();
    for (const body of [bodyOf(2), `${BODY} `, "", "{"]) {
      const answer = await world.post("/reports", body, signedNow(world));
      assert.deepEqual([answer.status, codeOf(answer)], [400, "ERR_MONITOR_CONTENT_DIGEST"], body);
    }
    assert.deepEqual(await world.alarms("bad-report"), []);
    assert.equal((await world.postAs("shop", "/reports", BODY)).status, 200);
  });

  it("another content type, signed, is refused by its name", async () => {
    await using world = await open();
    const headers = signedNow(world);
    const text = signedOver({ ...headers, "content-type": "text/plain" }, INPUT);
    const answer = await world.post("/reports", BODY, text);
    assert.deepEqual([answer.status, codeOf(answer)], [415, "ERR_MONITOR_CONTENT_TYPE"]);
    const charset = { ...headers, "content-type": "application/json; charset=utf-8" };
    const other = await world.post("/reports", BODY, signedOver(charset, INPUT));
    assert.equal(other.status, 200);
    const long = { ...headers, "content-type": `application/json;${"x".repeat(200)}` };
    refusedAsUnknown(await world.post("/reports", BODY, signedOver(long, INPUT)), "long");
  });

  it("replay: for 300 s the stored answer or 409, then nothing; another's session is not reached", async () => {
    await using world = await open();
    const digest = encodeBase64url(Buffer.alloc(32, 7));
    const first = bodyOf(1, { items: [{ digest, kid: "k", at: 5, count: 1 }] });
    const captured = signedAs("shop", "/reports", first, world.clock.now());
    const answer = parseJsonObject((await world.post("/reports", first, captured)).body);
    await world.tickFor(100);
    const before = await world.alarms();
    const again = parseJsonObject((await world.post("/reports", first, captured)).body);
    const { at: _, ...ack } = Object(answer["ack"]);
    const { at: __, ...repeated } = Object(again["ack"]);
    assert.deepEqual(repeated, { ...ack, auditAgeSeconds: repeated.auditAgeSeconds });
    assert.equal((await world.postAs("shop", "/reports", bodyOf(2))).status, 200);
    const late = await world.post("/reports", first, captured);
    assert.deepEqual([late.status, codeOf(late)], [409, "ERR_MONITOR_SEQUENCE"]);
    assert.deepEqual(await world.alarms(), before);
    await world.tickFor(201);
    const old = await world.post("/reports", first, captured);
    assert.deepEqual([old.status, codeOf(old)], [401, "ERR_MONITOR_SIGNATURE_TIME"]);
  });
});

describe("THREAT-36: a stranger is turned away by the headers", () => {
  for (const [what, change, status] of [
    ["a false signature", { signature: `sig1=:${"A".repeat(86)}==:` }, 401],
    ["no signature", { signature: "" }, 401],
  ] as const)
    it(`${what}: answered before a byte of the body came`, async () => {
      await using world = await open();
      const { port } = world.monitor;
      const headers = { ...signedNow(world), ...change, "content-length": 1000 };
      const how = { host: "127.0.0.1", port, path: "/reports", method: "POST", agent: false };
      const request = httpRequest({ ...how, headers });
      request.on("error", () => undefined);
      const answered = once(request, "response");
      request.flushHeaders();
      const [response] = await answered;
      assert.equal(response.statusCode, status);
      request.destroy();
    });
});

function otherDigest(world: MonitorWorld): string {
  return signedAs("shop", "/reports", bodyOf(2), world.clock.now())["content-digest"] ?? "";
}

/** Another text of the same bytes. */
function withSpareBits(signature: string): string {
  const other = signature.replace(/[AQgw](?===:$)/, (last) =>
    String.fromCharCode(last.charCodeAt(0) + 1),
  );
  assert.notEqual(other, signature);
  const [found, expected] = [other, signature].map((text) => Buffer.from(text.slice(6), "base64"));
  assert.deepEqual(found, expected);
  return other;
}

function flipped(text: string, at: number): string {
  const other = text[at] === "A" ? "Q" : "A";
  return text.slice(0, at) + other + text.slice(at + 1);
}

function basic(name: string, secret: string): Record<string, string> {
  return {
    authorization: `Basic ${Buffer.from(`${name}:${secretOf(secret)}`).toString("base64")}`,
  };
}
