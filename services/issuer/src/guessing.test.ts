import assert from "node:assert/strict";
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { describe, test } from "node:test";
import { until } from "@redoubt/testkit";
import { FailedAttempts } from "./failed-attempts.ts";
import { invalidClient } from "./errors.ts";
import {
  basic,
  CONFIG,
  ISSUER,
  ofKey,
  post,
  SECRET,
  System,
  type TokenResponse,
} from "./testing/system.ts";

const GRANT = { grant_type: "client_credentials" };
const JWT_GRANT = {
  ...GRANT,
  client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
};
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });

type Headers = Readonly<Record<string, string>>;

/** `app` with a secret, `jwt` with a key; behind a proxy on this machine where addresses are to differ. */
async function open(isProxied = false): Promise<System> {
  const proxies = isProxied ? { addresses: ["127.0.0.1"], hops: 1 } : null;
  // However slow the machine is, nothing is forgiven meanwhile.
  const failureLimits = { intervalMs: 600_000 };
  const system = await System.open({
    config: { ...CONFIG, http: { ...CONFIG.http, proxies } },
    failureLimits,
  });
  await system.putTenant();
  await system.putClient();
  await system.putClient(
    { client: "jwt" },
    ofKey({ ...publicKey.export({ format: "jwk" }), alg: "ES256", kid: "es" }),
  );
  return system;
}

function bySecret(system: System, secret: string, headers: Headers = {}, client = "app") {
  return post(system.tokenUrl(), GRANT, { authorization: basic(client, secret), ...headers });
}

function byText(system: System, text: string, headers: Headers = {}) {
  return post(system.tokenUrl(), { ...JWT_GRANT, client_assertion: text }, headers);
}

function assertion(system: System, key: KeyObject, change: object = {}, client = "jwt"): string {
  const now = system.nowSeconds();
  const own = { iss: client, sub: client, aud: ISSUER, exp: now + 60, jti: crypto.randomUUID() };
  const header = { alg: "ES256", kid: "es", typ: "JWT" };
  const parts = [header, { ...own, ...change }].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  const input = parts.join(".");
  const signature = sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

/** One after the other, so many that the last ones are too many. */
async function attempts(one: () => Promise<TokenResponse>): Promise<readonly number[]> {
  const statuses = [];
  // oxlint-disable-next-line no-await-in-loop -- each is to see what the one before it left
  for (let i = 0; i < 25; i++) statuses.push((await one()).status);
  return statuses;
}

/** All that a client is told, too late to be told 401. */
async function seen(one: () => Promise<TokenResponse>): Promise<readonly unknown[]> {
  const statuses = await attempts(one);
  const { body, headers } = await one();
  assert.ok(Number(headers.get("retry-after")) > 0);
  return [statuses, body, [...headers.keys()]];
}

const TOO_MANY = [...Array<number>(20).fill(401), ...Array<number>(5).fill(429)];

function guesses(system: System): readonly object[] {
  return system.events.filter(({ name }) => name === "guessing").map(({ fields }) => fields);
}

function from(address: string, before = ""): Headers {
  return { "x-forwarded-for": `${before}${address}` };
}

describe("THREAT-39: guesses in a client's name never lock it out", () => {
  test("25 wrong secrets from its own address, then the right one", async () => {
    await using system = await open();
    assert.deepEqual(await attempts(() => bySecret(system, "wrong")), TOO_MANY);
    assert.equal((await bySecret(system, SECRET)).status, 200);
    assert.equal((await bySecret(system, "wrong")).status, 429);
    assert.equal((await bySecret(system, SECRET)).status, 200);
  });

  test("the same in the body: one count for both ways to send a secret", async () => {
    await using system = await open();
    const inBody = (secret: string) =>
      post(system.tokenUrl(), { ...GRANT, client_id: "app", client_secret: secret });
    assert.deepEqual(await attempts(() => inBody("wrong")), TOO_MANY);
    assert.equal((await bySecret(system, "wrong")).status, 429);
    assert.equal((await inBody(SECRET)).status, 200);
    assert.deepEqual(guesses(system).length, 1);
  });

  test("25 garbage assertions, 25 that fail cheaply and 25 with wrong signatures, then the right one", async () => {
    await using system = await open();
    const right = (): Promise<TokenResponse> => byText(system, assertion(system, privateKey));
    // Garbage names nobody, so it counts for nobody.
    assert.deepEqual(await attempts(() => byText(system, "a.b.c")), Array<number>(25).fill(401));
    assert.equal((await right()).status, 200);
    const expired = () => byText(system, assertion(system, privateKey, { exp: 1 }));
    assert.deepEqual(await attempts(expired), TOO_MANY);
    assert.equal((await right()).status, 200);
    const forged = () => byText(system, assertion(system, stranger.privateKey));
    assert.ok((await attempts(forged)).every((status) => status === 429));
    assert.equal((await right()).status, 200);
  });

  test("a flood of wrong signatures under way at once, and the right one in the middle of it", async () => {
    await using system = await open();
    const forged = () => byText(system, assertion(system, stranger.privateKey));
    await attempts(forged);
    const flood = Array.from({ length: 100 }, forged);
    const right = byText(system, assertion(system, privateKey));
    const behind = Array.from({ length: 100 }, forged);
    assert.equal((await right).status, 200);
    const answers = await Promise.all([...flood, ...behind]);
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([429]));
  });

  test("a right assertion is used up once, whatever came before it", async () => {
    await using system = await open();
    const text = assertion(system, privateKey, { jti: "one" });
    await attempts(() => byText(system, assertion(system, stranger.privateKey, { jti: "one" })));
    assert.equal((await byText(system, text)).status, 200);
    assert.equal((await byText(system, text)).status, 429);
    assert.equal(system.signer.asked.length, 1);
  });

  test("THREAT-34: a client that does not exist is answered like one that does", async () => {
    await using system = await open();
    const secrets = (client: string) => seen(() => bySecret(system, "wrong", {}, client));
    assert.deepEqual(await secrets("nobody"), await secrets("app"));
    const forged = (client: string) =>
      seen(() => byText(system, assertion(system, stranger.privateKey, {}, client)));
    assert.deepEqual(await forged("no-jwt"), await forged("jwt"));
  });
});

describe("THREAT-39: behind a proxy", () => {
  test("failures from one address do not slow another, and a forged header chooses none", async () => {
    await using system = await open(true);
    assert.deepEqual(await attempts(() => bySecret(system, "wrong", from("192.0.2.1"))), TOO_MANY);
    assert.equal((await bySecret(system, SECRET, from("192.0.2.1"))).status, 200);
    assert.equal((await bySecret(system, "wrong", from("192.0.2.2"))).status, 401);
    // What a client writes itself stands left of the proxy's entry: neither somebody else's limit nor a new one.
    let forged = 0;
    const moving = (): Promise<TokenResponse> => {
      forged += 1;
      return bySecret(system, "wrong", from("192.0.2.3", `198.51.100.${forged}, `));
    };
    assert.deepEqual(await attempts(moving), TOO_MANY);
    const blaming = () => bySecret(system, "wrong", from("192.0.2.4", "203.0.113.9, "));
    assert.deepEqual(await attempts(blaming), TOO_MANY);
    assert.equal((await bySecret(system, "wrong", from("203.0.113.9"))).status, 401);
    assert.deepEqual(
      guesses(system).map((guess) => "address" in guess && guess.address),
      ["192.0.2.1", "192.0.2.3", "192.0.2.4"],
    );
  });

  test("a header that is no use leaves the proxy's own address", async () => {
    await using system = await open(true);
    assert.deepEqual(await attempts(() => bySecret(system, "wrong", from("garbage"))), TOO_MANY);
    assert.equal((await bySecret(system, "wrong")).status, 429);
    assert.equal((await bySecret(system, "wrong", from("192.0.2.1"))).status, 401);
    assert.equal((await bySecret(system, SECRET)).status, 200);
  });

  test("one /64 of IPv6 is one address", async () => {
    await using system = await open(true);
    let host = 0;
    const moving = (): Promise<TokenResponse> => {
      host += 1;
      return bySecret(system, "wrong", from(`2001:db8:1:2::${host.toString(16)}`));
    };
    assert.deepEqual(await attempts(moving), TOO_MANY);
    assert.equal((await bySecret(system, "wrong", from("2001:db8:1:3::1"))).status, 401);
    assert.equal((await bySecret(system, SECRET, from("2001:db8:1:2::1"))).status, 200);
    assert.deepEqual(guesses(system).length, 1);
  });

  test("without declared proxies the header is nobody's word", async () => {
    await using system = await open();
    let forged = 0;
    const moving = (): Promise<TokenResponse> => {
      forged += 1;
      return bySecret(system, "wrong", from(`192.0.2.${forged}`));
    };
    assert.deepEqual(await attempts(moving), TOO_MANY);
  });

  test("scheme and host are the configuration's, whatever a header says", async () => {
    await using system = await open(true);
    const evil = {
      forwarded: "for=192.0.2.1;host=evil.example;proto=http",
      "x-forwarded-host": "evil.example",
      "x-forwarded-proto": "http",
      "x-forwarded-prefix": "/evil",
    };
    const aud = ISSUER.replace("https://issuer.example", "http://evil.example");
    const forged = assertion(system, privateKey, { aud });
    assert.equal((await byText(system, forged, evil)).status, 401);
    const right = assertion(system, privateKey);
    assert.equal((await byText(system, right, evil)).status, 200);
  });
});

describe("THREAT-39: guessing is told", () => {
  test("once for each burst, with client and address, and to the monitor", async () => {
    await using system = await open();
    await attempts(() => bySecret(system, "wrong"));
    await attempts(() => bySecret(system, "wrong"));
    const tenant = system.tokenUrl().split("/").at(3);
    const address = "127.0.0.1";
    assert.deepEqual(guesses(system), [{ tenant, client: "app", address }]);
    await attempts(() => byText(system, assertion(system, stranger.privateKey)));
    // What is no client's name may be anything, a secret too.
    await attempts(() => bySecret(system, "wrong", {}, "a-secret-in-the-wrong-place"));
    assert.deepEqual(guesses(system).slice(1), [
      { tenant, client: "jwt", address },
      { tenant, client: null, address },
    ]);
    assert.doesNotMatch(JSON.stringify(system.events), /wrong-place/);
    await until(() => system.monitor.told.all.length > 0);
    assert.deepEqual(
      system.monitor.told.all.map(({ kind, detail, over }) => ({ kind, detail, over })),
      [
        {
          kind: "guessing",
          detail: `client app of tenant ${tenant}, from ${address}`,
          over: false,
        },
      ],
    );
  });

  test("a right credential is no attempt that failed", async () => {
    await using system = await open();
    for (let i = 0; i < 30; i++) assert.equal((await bySecret(system, SECRET)).status, 200);
    assert.deepEqual([guesses(system), (await bySecret(system, "wrong")).status], [[], 401]);
  });

  test("the monitor hears of bursts once a minute, whatever names strangers choose", () => {
    const clock = { time: 0, monotonic: () => clock.time };
    const alarms: string[] = [];
    let told = 0;
    const failed = new FailedAttempts({
      clock,
      events: { guessing: () => void (told += 1) },
      alarm: (detail) => void alarms.push(detail),
      limits: { burst: 1, slots: 65_536 },
    });
    const burst = (clientId: string): void => {
      const attempt = { tenant: "t", clientId, isKnown: false, address: "a" };
      for (let i = 0; i < 3; i++) failed.answer(attempt, invalidClient("ERR_ISSUER_SECRET"));
    };
    for (let i = 0; i < 50; i++) burst(`name-${i}`);
    // Names may share a slot, so a few may start no burst of their own.
    assert.ok(told >= 45);
    assert.deepEqual(alarms, ["unknown client of tenant t, from a"]);
    clock.time += 59_999;
    burst("next");
    assert.equal(alarms.length, 1);
    clock.time += 1;
    burst("after");
    assert.equal(alarms.length, 2);
  });
});
