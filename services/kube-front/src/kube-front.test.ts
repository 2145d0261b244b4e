import assert from "node:assert/strict";
import { createPublicKey, hash } from "node:crypto";
import { createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { compactVerify, jwtVerify } from "jose";
import { ServiceError } from "@redoubt/base";
import { until } from "@redoubt/testkit";
import type { JsonObject } from "@redoubt/verify/json";
import { readToken, text } from "@redoubt/signer/testing/answers";
import {
  clusterDeployment,
  ISSUER,
  OIDC_RING,
  podClaims,
  segment,
  setTenant,
} from "@redoubt/signer/testing/cluster";
import { Deployment, TIMES } from "@redoubt/signer/testing/deployment";
import { encodeFrame, FRAME_KIND, readMetrics } from "@redoubt/wire";
import { call, Cluster, PATHS, statusOf } from "./testing/cluster.ts";
import { decodeMessage, encodeMessage } from "./testing/proto.ts";

interface FetchedKey {
  readonly key_id: string;
  readonly key: Buffer;
  readonly exclude_from_oidc_discovery: boolean;
}

function keysOf(answer: Record<string, unknown>): readonly FetchedKey[] {
  const { keys } = answer;
  if (!Array.isArray(keys)) throw new TypeError("No keys");
  return keys;
}

/** Verified as kube-apiserver would: by the keys that it was given, and by nothing else. */
async function verifyWith(keys: readonly FetchedKey[], token: string): Promise<JsonObject> {
  const kid = text(readToken(token).header, "kid");
  const found = keys.find(({ key_id: id }) => id === kid);
  assert.ok(found, "kid is among the fetched keys");
  const key = createPublicKey({ key: found.key, format: "der", type: "spki" });
  await compactVerify(token, key, { algorithms: ["ES256", "RS256"] });
  return readToken(token).payload;
}

describe("ExternalJWTSigner, as kube-apiserver calls it", () => {
  it("signs exactly the claims that it was given, under a header of its own", async () => {
    await using cluster = await Cluster.ready();
    const payload = segment(cluster.claims());
    const token = await cluster.sign(payload);
    const keys = keysOf(await cluster.fetchKeys());
    assert.deepEqual({ ...(await verifyWith(keys, token)) }, { ...cluster.claims() });
    assert.equal(token.split(".")[1], payload);
    const { header } = readToken(token);
    assert.deepEqual(Object.keys(header).toSorted(), ["alg", "kid", "typ"]);
    assert.deepEqual([header["alg"], header["typ"]], ["ES256", "JWT"]);
  });

  it("a stock verifier takes the token by issuer, audience and time", async () => {
    await using cluster = await Cluster.ready();
    const token = await cluster.sign(segment(cluster.claims({ aud: ["vault", ISSUER] })));
    const keys = keysOf(await cluster.fetchKeys());
    const { kid } = readToken(token).header;
    const { key = Buffer.alloc(0) } = keys.find(({ key_id: id }) => id === kid) ?? {};
    const publicKey = createPublicKey({ key, format: "der", type: "spki" });
    const { payload } = await jwtVerify(token, publicKey, {
      issuer: ISSUER,
      audience: "vault",
      algorithms: ["ES256"],
      currentDate: new Date(cluster.deployment.clock.now()),
    });
    assert.equal(payload.sub, "system:serviceaccount:payments:ledger");
  });

  it("P3: its entry is in the log before the signature is made", async () => {
    await using cluster = await Cluster.ready();
    const { custodian, ledger } = cluster.deployment;
    const { signed } = custodian;
    ledger.misbehave = (asked, honest) => {
      if (asked.op === "commit") assert.equal(custodian.signed, signed);
      return honest();
    };
    const token = await cluster.sign(segment(cluster.claims()));
    assert.equal(custodian.signed, signed + 1);
    const [entry] = ledger.issuance.entries;
    const digest = hash("sha256", readToken(token).signingInput, "buffer");
    assert.deepEqual(entry?.subarray(0, 33), Buffer.concat([Buffer.of(1), digest]));
  });

  it("tells a supervisor whether it has a signer", async () => {
    await using cluster = await Cluster.ready();
    await cluster.fetchKeys();
    const samples = readMetrics("kube-front", JSON.stringify({ samples: cluster.metrics() }));
    assert.deepEqual(samples, [
      { name: "redoubt_kube_signer_connected", value: 1 },
      { name: "redoubt_kube_calls_under_way", value: 0 },
    ]);
  });

  it("THREAT-28: each token that kube-apiserver got is reported to the monitor, and no other", async () => {
    await using cluster = await Cluster.ready();
    const { monitor } = cluster;
    const token = await cluster.sign(segment(cluster.claims()));
    await statusOf(cluster.sign(segment(cluster.claims({ aud: ["api://one"] }))));
    const second = await cluster.sign(segment(cluster.claims({ aud: ["vault"] })));
    const digests = [token, second].map((one) =>
      hash("sha256", readToken(one).signingInput, "base64url"),
    );
    await until(() => monitor.digests.length === 2);
    assert.deepEqual(monitor.digests, digests);
    assert.deepEqual(
      cluster.deployment.ledger.issuance.entries.map((entry) =>
        entry.subarray(1, 33).toString("base64url"),
      ),
      digests,
    );
  });

  it("THREAT-28: what was under way when the signer's connection broke is told as lost", async () => {
    await using cluster = new Cluster(clusterDeployment());
    const { path } = cluster.deployment.place("kube-front");
    // It greets, takes a request and is gone.
    const signer = createServer((socket) => {
      socket.once("data", () => {
        socket.write(encodeFrame(FRAME_KIND.response, 0, {}));
        socket.once("data", () => socket.destroy());
      });
    });
    await new Promise<void>((resolve) => {
      signer.listen(path, resolve);
    });
    await cluster.openFront();
    const asked = statusOf(cluster.sign(segment(cluster.claims())));
    assert.equal(await asked, "14 ERR_WIRE_CLOSED");
    const lost = (): number => cluster.monitor.reports.reduce((sum, said) => sum + said.lost, 0);
    await until(() => lost() > 0);
    assert.equal(lost(), 1);
    signer.close();
  });

  it("RS256: what a cluster needs whose relying parties know nothing else", async () => {
    await using cluster = await Cluster.ready({ rings: [{ ...OIDC_RING, alg: "RS256" }] });
    const token = await cluster.sign(segment(cluster.claims()));
    assert.equal(readToken(token).header["alg"], "RS256");
    await verifyWith(keysOf(await cluster.fetchKeys()), token);
  });

  it("64 at once: each gets its own token", async () => {
    await using cluster = await Cluster.ready();
    const tokens = await Promise.all(
      Array.from({ length: 64 }, async (_, i) => {
        const jti = `0b1c2d3e-4f50-4617-8a9b-${String(i).padStart(12, "0")}`;
        const token = await cluster.sign(segment(cluster.claims({ jti })));
        return readToken(token).payload["jti"] === jti ? token : "";
      }),
    );
    assert.equal(new Set(tokens).size, 64);
    assert.equal(tokens.includes(""), false);
    assert.equal(cluster.deployment.ledger.issuance.size, 64);
    const keys = keysOf(await cluster.fetchKeys());
    for (const token of tokens) await verifyWith(keys, token);
  });

  it("FetchKeys: the key that signs and its standby, as of the witness's time", async () => {
    await using cluster = await Cluster.ready();
    const { deployment } = cluster;
    const answer = await cluster.fetchKeys();
    assert.equal(answer["refresh_hint_seconds"], 300);
    assert.deepEqual(answer["data_timestamp"], { seconds: deployment.clock.seconds, nanos: 0 });
    const keys = keysOf(answer);
    assert.equal(keys.length, 2);
    for (const { key_id: id, exclude_from_oidc_discovery: isExcluded } of keys)
      assert.deepEqual([id.length, isExcluded], [43, false]);
  });

  it("P6: a cluster that fetched before the take-over knows the key that signs after it", async () => {
    await using cluster = await Cluster.start();
    const signer = await cluster.open();
    await signer.ready;
    const { clock } = cluster.deployment;
    const fetched = keysOf(await cluster.fetchKeys());
    const old = text(readToken(await cluster.sign(segment(cluster.claims()))).header, "kid");
    clock.forward(TIMES.activeSeconds);
    await signer.tick();
    const token = await cluster.sign(segment(cluster.claims()));
    assert.notEqual(readToken(token).header["kid"], old);
    await verifyWith(fetched, token);
    const now = keysOf(await cluster.fetchKeys()).map(({ key_id: id }) => id);
    assert.equal(now.length, 3);
    assert.equal(now.includes(old), true);
  });

  it("THREAT-12: a tainted key signs nothing and is in no answer", async () => {
    await using cluster = await Cluster.start();
    const signer = await cluster.open();
    await signer.ready;
    const { deployment } = cluster;
    const kid = text(readToken(await cluster.sign(segment(cluster.claims()))).header, "kid");
    const { realm } = deployment;
    deployment.stateAsRing({ type: "key-state", realm, kid, state: "tainted", reason: "test" });
    await signer.tick();
    const fetched = keysOf(await cluster.fetchKeys()).map(({ key_id: id }) => id);
    assert.equal(fetched.includes(kid), false);
    assert.equal(await statusOf(cluster.sign(segment(cluster.claims()))), "14 ERR_SIGNER_NO_KEY");
    deployment.clock.forward(TIMES.prepublishSeconds);
    await signer.tick();
    const token = await cluster.sign(segment(cluster.claims()));
    assert.notEqual(readToken(token).header["kid"], kid);
  });

  it("Metadata: the longest lifetime that every published key can sign", async () => {
    await using cluster = await Cluster.ready();
    assert.deepEqual(await cluster.metadata(), { max_token_expiration_seconds: 3600 });
  });

  it("Metadata: a cluster's tokens may live as long as kube-apiserver asks for pods, so that it warns nobody", async () => {
    await using cluster = await Cluster.ready({
      rings: [{ ...OIDC_RING, maxLifetimeSeconds: 3660 }],
    });
    assert.deepEqual(await cluster.metadata(), { max_token_expiration_seconds: 3660 });
    // WarnOnlyBoundTokenExpirationSeconds: what the kubelet asks for where nobody says more.
    const { seconds } = cluster.deployment.clock;
    const token = await cluster.sign(segment(cluster.claims({ exp: seconds + 3607 })));
    await verifyWith(keysOf(await cluster.fetchKeys()), token);
    assert.equal(
      await statusOf(cluster.sign(segment(cluster.claims({ exp: seconds + 3661 })))),
      TTL,
    );
  });

  it("Metadata: a key made under an older policy counts, and so does what it can sign", async () => {
    await using cluster = await Cluster.start();
    const older = { ...OIDC_RING, maxLifetimeSeconds: 900 };
    const first = await cluster.open({ rings: [older] });
    await first.ready;
    await first[Symbol.asyncDispose]();
    const second = await cluster.open();
    await second.ready;
    assert.deepEqual(await cluster.metadata(), { max_token_expiration_seconds: 900 });
    const now = cluster.deployment.clock.seconds;
    assert.equal(
      await statusOf(cluster.sign(segment(cluster.claims({ exp: now + 901 })))),
      "7 ERR_SIGNER_TTL",
    );
    await cluster.sign(segment(cluster.claims({ exp: now + 900 })));
  });

  it("Metadata: less than kube-apiserver takes is not promised to it", async () => {
    await using cluster = await Cluster.start();
    const rings = [{ ...OIDC_RING, maxLifetimeSeconds: 599 }];
    const first = await cluster.deployment.open({}, { callers: ["operator"], rings });
    await first.ready;
    await first[Symbol.asyncDispose]();
    const second = await cluster.open();
    await second.ready;
    assert.equal(await statusOf(cluster.metadata()), "9 ERR_FRONT_LIFETIME");
    await cluster.deployment.events.named("call_refused");
  });

  it("a signer that ended: 14 at once, and its calls again when it is back", async () => {
    await using cluster = await Cluster.start();
    const first = await cluster.open();
    await first.ready;
    await cluster.sign(segment(cluster.claims()));
    await first[Symbol.asyncDispose]();
    assert.equal(await statusOf(cluster.metadata()), "14 ERR_WIRE_CLOSED");
    const second = await cluster.open();
    await second.ready;
    assert.match(await cluster.sign(segment(cluster.claims())), /^ey/);
  });

  it("a call finds a signer that was away for long as soon as it is back", async () => {
    await using cluster = await Cluster.start();
    const first = await cluster.open();
    await first.ready;
    await cluster.sign(segment(cluster.claims()));
    await first[Symbol.asyncDispose]();
    // Long enough for a back-off that doubles to have become a second.
    await sleep(1300);
    const second = await cluster.open();
    await second.ready;
    const start = performance.now();
    await cluster.sign(segment(cluster.claims()));
    assert.ok(performance.now() - start < 500);
  });

  it("a signer that knows nothing yet says so, and an ordinary one has no such socket", async () => {
    await using cluster = new Cluster(clusterDeployment());
    await cluster.openFront();
    await cluster.deployment.ledger.start();
    await cluster.deployment.monitor.start();
    await cluster.open();
    const starting = "14 ERR_SIGNER_STARTING";
    assert.equal(await statusOf(cluster.sign(segment(cluster.claims()))), starting);
    assert.equal(await statusOf(cluster.fetchKeys()), starting);
    assert.equal(await statusOf(cluster.metadata()), starting);
    await using ordinary = new Cluster(await Deployment.start());
    await ordinary.openFront();
    await ordinary.deployment.openReady();
    assert.equal(await statusOf(ordinary.metadata()), "14 ERR_WIRE_CLOSED");
  });

  it("labels say what does not hold", async () => {
    await using cluster = await Cluster.ready();
    const { head } = await cluster.deployment.client("operator").request({ op: "metadata" });
    assert.deepEqual(head["labels"], [
      "roots: demo",
      "kubernetes: caller known by folder only",
      "kubernetes: tokens are not reported (no P4)",
    ]);
  });
});

const NOW = 0;
const BASE = podClaims(NOW);
const BOUND = Object(BASE["kubernetes.io"]);

/** One member of `kubernetes.io` changed; undefined takes it out. */
function bound(change: Record<string, unknown>): JsonObject {
  return JSON.parse(JSON.stringify({ "kubernetes.io": { ...BOUND, ...change } }));
}

function without(name: string): string {
  const { [name]: _, ...rest } = BASE;
  return JSON.stringify(rest);
}

const MEMBER = "3 ERR_REQUEST_MEMBER";
const CLAIMS = "7 ERR_SIGNER_CLAIMS";
const HANDLE = "7 ERR_SIGNER_HANDLE";
const AUDIENCE = "7 ERR_SIGNER_AUDIENCE";
const TTL = "7 ERR_SIGNER_TTL";
const TIME = "7 ERR_SIGNER_TIME";
const LATE = "14 ERR_SIGNER_LATE";

/** Offsets of iat, nbf and exp are from the moment of asking. */
interface Refused {
  readonly name: string;
  readonly change: JsonObject | string;
  readonly status: string;
}
const REF = { name: "x", uid: "7d0c1f1e-88a1-4ad9-8c7e-6f30a4b7c009" };
const REFUSED: readonly Refused[] = [
  { name: "another issuer", change: { iss: "https://login.test" }, status: HANDLE },
  { name: "the issuer with a slash", change: { iss: `${ISSUER}/` }, status: HANDLE },
  { name: "the issuer in capitals", change: { iss: ISSUER.toUpperCase() }, status: HANDLE },
  { name: "another audience", change: { aud: ["api://one"] }, status: AUDIENCE },
  { name: "one audience too many", change: { aud: [ISSUER, "api://one"] }, status: AUDIENCE },
  { name: "the drill's audience", change: { aud: ["urn:redoubt:drill"] }, status: AUDIENCE },
  { name: "no audience", change: { aud: [] }, status: MEMBER },
  { name: "an audience twice", change: { aud: [ISSUER, "vault", ISSUER] }, status: MEMBER },
  { name: "an audience as text", change: { aud: ISSUER }, status: MEMBER },
  { name: "an empty audience", change: { aud: [""] }, status: MEMBER },
  { name: "an audience with a space", change: { aud: [`${ISSUER} vault`] }, status: MEMBER },
  {
    name: "17 audiences",
    change: { aud: Array.from({ length: 17 }, () => ISSUER) },
    status: MEMBER,
  },
  { name: "a second too long", change: { exp: 3601 }, status: TTL },
  { name: "a year", change: { exp: 31_536_000 }, status: TTL },
  { name: "no life", change: { exp: 0 }, status: TTL },
  { name: "exp before iat", change: { exp: -1 }, status: TTL },
  // As long as kube-apiserver and the front wait for a signer: its claims were honest when they were made.
  { name: "dated 6 s back", change: { iat: -6, nbf: -6, exp: 600 }, status: LATE },
  { name: "dated 90 s back", change: { iat: -90, nbf: -90, exp: 600 }, status: LATE },
  { name: "dated 91 s back", change: { iat: -91, nbf: -91, exp: 600 }, status: TIME },
  { name: "late, and too long", change: { iat: -6, nbf: -6, exp: 3595 }, status: TTL },
  { name: "late, and ended", change: { iat: -6, nbf: -6, exp: -6 }, status: TTL },
  { name: "late, and of another issuer", change: { iat: -6, nbf: -6, iss: "x" }, status: HANDLE },
  { name: "late, and for others", change: { iat: -6, nbf: -6, aud: ["x"] }, status: AUDIENCE },
  { name: "late, and valid earlier", change: { iat: -6, nbf: -7, exp: 600 }, status: TIME },
  { name: "dated 6 s forward", change: { iat: 6, nbf: 6 }, status: TIME },
  { name: "valid later", change: { nbf: 1 }, status: TIME },
  { name: "valid earlier", change: { nbf: -1 }, status: TIME },
  { name: "a person", change: { sub: "system:admin" }, status: CLAIMS },
  { name: "a node", change: { sub: "system:node:payments:ledger" }, status: CLAIMS },
  { name: "another account", change: { sub: "system:serviceaccount:payments:x" }, status: CLAIMS },
  {
    name: "another namespace",
    change: { sub: "system:serviceaccount:kube-system:ledger" },
    status: CLAIMS,
  },
  { name: "sub with more", change: { sub: `${text(BASE, "sub")}:x` }, status: CLAIMS },
  { name: "namespace changed alone", change: bound({ namespace: "kube-system" }), status: CLAIMS },
  { name: "account changed alone", change: bound({ serviceaccount: REF }), status: CLAIMS },
  { name: "namespace with a colon", change: bound({ namespace: "payments:x" }), status: MEMBER },
  { name: "namespace too long", change: bound({ namespace: "x".repeat(64) }), status: MEMBER },
  { name: "no namespace", change: bound({ namespace: undefined }), status: MEMBER },
  { name: "no account", change: bound({ serviceaccount: undefined }), status: MEMBER },
  { name: "no account uid", change: bound({ serviceaccount: { name: "ledger" } }), status: MEMBER },
  { name: "no pod uid", change: bound({ pod: { name: "x" } }), status: MEMBER },
  {
    name: "node uid missing without a pod",
    change: bound({ pod: undefined, node: { name: "x" } }),
    status: MEMBER,
  },
  { name: "pod with more", change: bound({ pod: { ...REF, kind: "Pod" } }), status: MEMBER },
  { name: "pod name in capitals", change: bound({ pod: { ...REF, name: "X" } }), status: MEMBER },
  {
    name: "pod name of two dots",
    change: bound({ pod: { ...REF, name: "a..b" } }),
    status: MEMBER,
  },
  { name: "uid with a slash", change: bound({ pod: { ...REF, uid: "a/b" } }), status: MEMBER },
  { name: "pod and secret", change: bound({ secret: REF }), status: CLAIMS },
  { name: "node and secret", change: bound({ pod: undefined, secret: REF }), status: CLAIMS },
  { name: "a member of kubernetes.io more", change: bound({ cluster: "x" }), status: MEMBER },
  { name: "warnafter as text", change: bound({ warnafter: "1" }), status: MEMBER },
  { name: "kubernetes.io as text", change: { "kubernetes.io": "x" }, status: MEMBER },
  { name: "a jti that is no uuid", change: { jti: "1" }, status: MEMBER },
  { name: "a jti in capitals", change: { jti: text(BASE, "jti").toUpperCase() }, status: MEMBER },
  { name: "a fraction of a second", change: { exp: 3599.5 }, status: MEMBER },
  { name: "exp as text", change: { exp: "3600" }, status: MEMBER },
  { name: "a tid", change: { tid: "9188040d-6c67-4c5b-b112-36a304b66dad" }, status: MEMBER },
  { name: "groups", change: { groups: ["system:masters"] }, status: MEMBER },
  { name: "ISS beside iss", change: { ISS: "https://evil.test" }, status: MEMBER },
  { name: "cnf", change: { cnf: {} }, status: MEMBER },
  ...["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "kubernetes.io"].map((name) => ({
    name: `without ${name}`,
    change: without(name),
    status: MEMBER,
  })),
];

/** Times as offsets from now become times. */
function dated(change: JsonObject, nowSeconds: number): JsonObject {
  const moved = Object.entries({ ...BASE, ...change }).map(([name, value]) => [
    name,
    ["exp", "iat", "nbf"].includes(name) && typeof value === "number" ? value + nowSeconds : value,
  ]);
  return Object.fromEntries(moved);
}

describe("THREAT-04: a compromised kube-apiserver", () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.ready();
    // Away from the edge of the key's own time, which has tests of its own.
    cluster.deployment.clock.forward(120);
  });
  after(() => cluster[Symbol.asyncDispose]());

  const payloadOf = (change: JsonObject | string): string => {
    const { seconds } = cluster.deployment.clock;
    return segment(dated(typeof change === "string" ? JSON.parse(change) : change, seconds));
  };

  async function assertRefused(payload: string, status: string): Promise<void> {
    const { custodian, ledger } = cluster.deployment;
    const { signed } = custodian;
    const commits = ledger.commits().length;
    assert.equal(await statusOf(cluster.sign(payload)), status);
    assert.equal(custodian.signed, signed);
    assert.equal(ledger.commits().length, commits);
  }

  async function signedParts(request: Buffer): Promise<readonly string[]> {
    const answer = await call(cluster.client(), PATHS.sign, request);
    const { header, signature } = decodeMessage("SignJWTResponse", answer);
    return [String(header), String(signature)];
  }

  const granted: readonly (readonly [string, JsonObject])[] = [
    ["a token of a pod", {}],
    ["the other audience", { aud: ["vault"] }],
    ["both audiences", { aud: ["vault", ISSUER] }],
    ["dated 5 s back", { iat: -5, nbf: -5, exp: 600 }],
    ["dated 5 s forward", { iat: 5, nbf: 5, exp: 3605 }],
    ["a life of one second", { exp: 1 }],
    ["no bound object", bound({ pod: undefined, node: undefined })],
    ["a secret", bound({ pod: undefined, node: undefined, secret: REF })],
    ["a node", bound({ pod: undefined })],
    ["a node that is gone", bound({ node: { name: "node-1.test" } })],
  ];
  for (const [name, change] of granted)
    it(`control: ${name} is signed`, async () => {
      assert.match(await cluster.sign(payloadOf(change)), /^ey/);
    });

  for (const { name, change, status } of REFUSED)
    it(`${name}: ${status}, and nothing is signed or committed`, async () => {
      if (typeof change !== "string") return assertRefused(payloadOf(change), status);
      const { seconds } = cluster.deployment.clock;
      const fields: JsonObject = JSON.parse(change);
      const moved = Object.entries(dated(fields, seconds)).filter(([key]) => key in fields);
      await assertRefused(segment(Object.fromEntries(moved)), status);
    });

  it("warnafter within the token's life, and not beyond", async () => {
    const { seconds } = cluster.deployment.clock;
    const at = (offset: number): string => payloadOf(bound({ warnafter: seconds + offset }));
    for (const offset of [1, 3600]) assert.match(await cluster.sign(at(offset)), /^ey/);
    for (const offset of [0, 3601]) await assertRefused(at(offset), CLAIMS);
  });

  it("bytes that two readers could read differently", async () => {
    const good = JSON.stringify(dated({}, cluster.deployment.clock.seconds));
    const payloads = [
      segment(`${good.slice(0, -1)},"iss":"${ISSUER}"}`),
      segment(good.replace('"iss"', '"\\u0069ss"')),
      segment(`${good.slice(0, -1)},"__proto__":{}}`),
      segment(`\u{feff}${good}`),
      segment(`[${good}]`),
      segment("{"),
      segment(""),
      `${segment(good)}=`,
      `${segment(good)} `,
      `${segment(good)}.x`,
      Buffer.from(good).toString("base64").replaceAll("=", "").replace(/[A-Z]/, "+"),
      Buffer.from(`${good.slice(0, -2)}\xff"}`, "latin1").toString("base64url"),
      segment(good.replace("[", "[".repeat(9))),
    ];
    for (const payload of payloads) await assertRefused(payload, MEMBER);
  });

  it("spare bits of the last character are zero, or it is another text for the same claims", async () => {
    const good = dated({}, cluster.deployment.clock.seconds);
    const lengths = [0, 1, 2].map((extra) => JSON.stringify(good).length + extra);
    const extra = lengths.findIndex((length) => length % 3 === 1);
    const payload = segment(JSON.stringify(good) + " ".repeat(extra));
    assert.match(await cluster.sign(payload), /^ey/);
    const last = payload.at(-1) ?? "";
    const next = String.fromCodePoint((last.codePointAt(0) ?? 0) + 1);
    await assertRefused(payload.slice(0, -1) + next, MEMBER);
  });

  it("THREAT-26: claims over the bound, on both sides of it", async () => {
    const good = JSON.stringify(dated({}, cluster.deployment.clock.seconds));
    assert.match(await cluster.sign(segment(good.padEnd(6144))), /^ey/);
    await assertRefused(segment(good.padEnd(6145)), MEMBER);
  });

  it("no call but the three is known, and none can ask for a digest, a key or an algorithm", async () => {
    const client = cluster.client();
    for (const path of [
      "/v1.ExternalJWTSigner/SignDigest",
      "/v1alpha1.ExternalJWTSigner/Sign",
      "/",
    ])
      assert.match(await statusOf(call(client, path, Buffer.alloc(0))), /^12 /);
    await assertRefused("", MEMBER);
  });

  it("bytes that are no message are refused, here or by the signer", async () => {
    const client = cluster.client();
    // Wire type 7; field number 0; a varint without end.
    for (const hex of ["0f", "0261", "08ff"])
      assert.match(await statusOf(call(client, PATHS.sign, Buffer.from(hex, "hex"))), /^13 /);
    const good = segment(dated({}, cluster.deployment.clock.seconds));
    const whole = encodeMessage("SignJWTRequest", { claims: good });
    const other = encodeMessage("SignJWTRequest", { claims: good.slice(4) });
    // What the library takes from them is one text that the signer judges: cut short, no text, the last of two.
    const texts = [
      whole.subarray(0, -1),
      Buffer.from("0a02c328", "hex"),
      Buffer.concat([whole, other]),
    ];
    for (const request of texts)
      assert.equal(await statusOf(call(client, PATHS.sign, request)), MEMBER);
    const [header = "", signature = ""] = await signedParts(Buffer.concat([other, whole]));
    assert.match(`${header}.${good}.${signature}`, /^ey/);
    const keys = keysOf(await cluster.fetchKeys());
    await verifyWith(keys, `${header}.${good}.${signature}`);
  });

  it("THREAT-26: a message over 16 KiB is refused, one within it is the signer's to refuse", async () => {
    const within = encodeMessage("SignJWTRequest", { claims: "x".repeat(16_381) });
    assert.equal(within.length, 16_384);
    assert.equal(await statusOf(call(cluster.client(), PATHS.sign, within)), MEMBER);
    const large = encodeMessage("SignJWTRequest", { claims: "x".repeat(16_382) });
    assert.match(await statusOf(call(cluster.client(), PATHS.sign, large)), /^8 /);
  });

  it("every kind of refusal was told to the monitor, under the socket's caller", async () => {
    const codes = [MEMBER, CLAIMS, HANDLE, AUDIENCE, TTL, TIME].map((status) => status.slice(2));
    for (const code of codes)
      assert.equal((await cluster.deployment.monitor.refusal(code)).caller, "kube-front");
  });

  it("what only waited for too long was told to nobody: an outage is no attack", async () => {
    const late = segment(dated({ iat: -60, nbf: -60, exp: 600 }, cluster.deployment.clock.seconds));
    assert.equal(await statusOf(cluster.sign(late)), LATE);
    // Told after it, and so after all that was told before.
    await statusOf(cluster.sign(segment({ kubernetes: 1 })));
    await cluster.deployment.monitor.refusal(MEMBER.slice(2));
    const told = cluster.deployment.monitor.told.all.map(({ code }) => code);
    assert.equal(told.includes(LATE.slice(3)), false);
  });
});

describe("what stops a cluster's tokens", () => {
  it("a suspended tenant, and an audience that was withdrawn", async () => {
    await using cluster = await Cluster.start();
    const signer = await cluster.open();
    await signer.ready;
    const vault = (): string => segment(cluster.claims({ aud: ["vault"] }));
    assert.match(await cluster.sign(vault()), /^ey/);
    cluster.deployment.clock.forward(1);
    setTenant(cluster.deployment, "active", [ISSUER]);
    await signer.tick();
    assert.equal(await statusOf(cluster.sign(vault())), AUDIENCE);
    assert.match(await cluster.sign(segment(cluster.claims())), /^ey/);
    cluster.deployment.clock.forward(1);
    setTenant(cluster.deployment, "suspended");
    await signer.tick();
    assert.equal(await statusOf(cluster.sign(segment(cluster.claims()))), HANDLE);
  });

  it("any audience only where it was said aloud, and then it is a label; the drill's never", async () => {
    const kubernetes = { tenant: "55555555-2222-4333-8444-555555555555", audiences: "any" };
    await using cluster = await Cluster.ready({ kubernetes });
    assert.match(await cluster.sign(segment(cluster.claims({ aud: ["sts.test"] }))), /^ey/);
    const drill = segment(cluster.claims({ aud: ["sts.test", "urn:redoubt:drill"] }));
    assert.equal(await statusOf(cluster.sign(drill)), AUDIENCE);
    const { head } = await cluster.deployment.client("operator").request({ op: "metadata" });
    assert.match(JSON.stringify(head["labels"]), /kubernetes: any audience/);
  });

  it("a budget that is used up: 8, and no alarm, since a busy cluster is no attacker", async () => {
    await using cluster = await Cluster.ready({ budget: { perSecond: 1, burst: 2 } });
    const payload = segment(cluster.claims());
    await cluster.sign(payload);
    await cluster.sign(payload);
    assert.equal(await statusOf(cluster.sign(payload)), "8 ERR_SIGNER_BUDGET");
    cluster.deployment.clock.forward(1);
    assert.match(await cluster.sign(segment(cluster.claims())), /^ey/);
    assert.deepEqual(cluster.deployment.monitor.told.all, []);
  });

  it("THREAT-05: a ledger that cannot commit: 14, nothing is signed until it can", async () => {
    await using cluster = await Cluster.ready();
    const { ledger, custodian, events } = cluster.deployment;
    const { signed } = custodian;
    let isFull = true;
    ledger.misbehave = (asked, honest) => {
      if (asked.op === "commit" && isFull) throw new ServiceError("ERR_LEDGER_FULL", "Full");
      return honest();
    };
    const asked = statusOf(cluster.sign(segment(cluster.claims())));
    await events.named("log_lost");
    assert.equal(await statusOf(cluster.sign(segment(cluster.claims()))), "14 ERR_SIGNER_LOG");
    assert.equal(custodian.signed, signed);
    isFull = false;
    assert.equal(await asked, "answered");
    assert.equal(custodian.signed, signed + 1);
  });

  it("THREAT-29: a clock that the witness contradicts: 14, and no alarm over honest claims", async () => {
    await using cluster = await Cluster.ready();
    await cluster.sign(segment(cluster.claims()));
    const payload = segment(cluster.claims());
    cluster.deployment.clock.set(-86_400);
    assert.equal(await statusOf(cluster.sign(payload)), "14 ERR_SIGNER_CLOCK");
  });
});
