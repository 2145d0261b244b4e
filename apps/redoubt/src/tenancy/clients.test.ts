import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { TestRegistry } from "../testing/registry.ts";
import { parseClientJwk, type ClientCredentials } from "@redoubt/registry";
import { generateKeyPair, publicJwk } from "@redoubt/keys";
import { Operator } from "../operator.ts";
import { FakeSystem } from "../testing/fake-system.ts";
import { clientTable } from "./client-view.ts";
import {
  addClient,
  listClients,
  planClient,
  rotateClient,
  setClientStatus,
  showClient,
} from "./clients.ts";
import { succeed } from "./credentials.ts";

const TENANT = "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001";
const SECOND = "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0002";

function fixture() {
  const fixed = new TestRegistry();
  fixed.tenant("enterprise", TENANT, ["api://orders"]);
  fixed.tenant("enterprise", SECOND, ["api://a", "api://b"]);
  fixed.state({
    type: "client",
    realm: "enterprise",
    tenant: TENANT,
    client: "billing",
    status: "disabled",
    audiences: ["api://orders"],
    scopes: ["orders.read"],
  });
  return fixed.registry;
}

test("a client of a tenant with one audience needs none named", () => {
  const plan = planClient(fixture(), { tenant: TENANT, client: "robot", scope: ["x"] });
  assert.deepEqual(plan.audiences, ["api://orders"]);
  assert.deepEqual(plan.scopes, ["x"]);
  assert.deepEqual([plan.known, plan.isChanged], [undefined, true]);
  assert.equal(plan.status, "active");
});

test("with several audiences one must be named, and it must be the tenant's", () => {
  const registry = fixture();
  assert.throws(() => planClient(registry, { tenant: SECOND, client: "robot" }), {
    code: "ERR_OPTION",
    message: /tenant has api:\/\/a, api:\/\/b/,
  });
  const named = planClient(registry, { tenant: SECOND, client: "robot", audience: ["api://b"] });
  assert.deepEqual(named.audiences, ["api://b"]);
  for (const audience of ["api://orders", "urn:redoubt:drill"])
    assert.throws(
      () => planClient(registry, { tenant: SECOND, client: "robot", audience: [audience] }),
      {
        code: "ERR_OPTION",
        message: /not one of the tenant/,
      },
    );
});

test("a repetition changes nothing, an addition adds, and neither restores a disabled client", () => {
  const registry = fixture();
  const same = {
    tenant: TENANT,
    client: "billing",
    audience: ["api://orders"],
    scope: ["orders.read"],
  };
  assert.equal(planClient(registry, same).isChanged, false);
  assert.equal(planClient(registry, { tenant: TENANT, client: "billing" }).isChanged, false);
  const more = planClient(registry, { ...same, scope: ["orders.write"] });
  assert.equal(more.isChanged, true);
  assert.deepEqual(more.scopes, ["orders.read", "orders.write"]);
  assert.equal(more.status, "disabled");
});

test("RFC 6749 §2.3.1: an id that Basic would carry in two spellings is refused, with the reason", () => {
  for (const client of ["a:b", "a b", "a/b", "a%3Ab", "", "a".repeat(129)])
    assert.throws(() => planClient(fixture(), { tenant: TENANT, client }), {
      code: "ERR_OPTION",
      message: /RFC 6749 §2\.3\.1/,
    });
});

async function running() {
  const { system, operator } = await FakeSystem.start();
  const audiences = ["api://orders"];
  await operator.state({ type: "tenant", ...NAME, status: "active", audiences });
  return { system, operator };
}

const NAME = { realm: "enterprise", tenant: TENANT } as const;
const BILLING = { ...NAME, client: "billing" };

function jwk(kid: string) {
  return { ...publicJwk(generateKeyPair("ES256").publicKey), kid, alg: "ES256" };
}

test("a client comes with a fresh secret of 256 bits, of which the registry has the hash", async () => {
  const { system, operator } = await running();
  await using _ = system;
  const [one, two] = [
    await addClient(operator, BILLING),
    await addClient(operator, { ...BILLING, client: "other" }),
  ];
  assert.ok(one.secret !== undefined && one.secret !== two.secret);
  assert.match(one.secret, /^[\w-]{43}$/);
  assert.equal([one.created, one.changed].join(), "true,true");
  const known = operator.registry.clients.get(`enterprise/${TENANT}/billing`);
  const hashed = hash("sha256", one.secret, "base64url");
  assert.deepEqual(
    known?.credentials?.secrets.map(({ hash: found }) => found),
    [hashed],
  );
  assert.deepEqual(
    one.credentials?.map(({ kind, id }) => [kind, id]),
    [["secret", hashed.slice(0, 8)]],
  );
  const said = system.registry.items.map(({ statement }) => statement?.toString()).join();
  assert.ok(!said.includes(one.secret) && !said.includes(hashed));
  const again = await addClient(operator, BILLING);
  assert.deepEqual([again.created, again.changed, again.secret], [false, false, undefined]);
});

test("a scope is added without another secret, and a client of keys has none", async () => {
  const { system, operator } = await running();
  await using _ = system;
  const { credentials } = await addClient(operator, BILLING);
  const more = await addClient(operator, { ...BILLING, scope: ["orders.read"] });
  assert.deepEqual([more.changed, more.secret], [true, undefined]);
  assert.deepEqual(more.credentials, credentials);
  assert.deepEqual((await showClient(operator, BILLING)).credentials, credentials);
  const robot = { ...NAME, client: "robot", jwks: [jwk("one")] };
  const added = await addClient(operator, robot);
  assert.equal(added.secret, undefined);
  assert.deepEqual(
    added.credentials?.map(({ kind, id }) => [kind, id]),
    [["key", "one"]],
  );
  await assert.rejects(addClient(operator, robot), {
    code: "ERR_OPTION",
    message: /clients rotate/,
  });
  const ed = publicJwk(generateKeyPair("Ed25519").publicKey);
  const older = { ...NAME, client: "older", jwks: [{ ...ed, kid: "ed", alg: "EdDSA" }] };
  await addClient(operator, older);
  const known = operator.registry.clients.get(`enterprise/${TENANT}/older`);
  assert.equal(known?.credentials?.keys[0]?.alg, "Ed25519");
  const bad = [{ ...jwk("two"), d: "x" }];
  await assert.rejects(addClient(operator, { ...NAME, client: "bad", jwks: bad }), {
    code: "ERR_OPTION",
    message: /public members/,
  });
});

test("the token endpoint as audience is an option of a client with keys, kept and shown until it is taken back", async () => {
  const { system, operator } = await running();
  await using _ = system;
  const robot = { ...NAME, client: "robot" };
  const unsafe = { ...robot, unsafeTokenEndpointAudience: true };
  await assert.rejects(addClient(operator, unsafe), { code: "ERR_OPTION", message: /--jwks/ });
  const added = await addClient(operator, { ...unsafe, jwks: [jwk("one")] });
  assert.equal(added.unsafeTokenEndpointAudience, true);
  assert.match(clientTable([added]), / private_key_jwt unsafe-token-endpoint-audience /);
  assert.equal((await addClient(operator, unsafe)).changed, false);
  const more = await addClient(operator, { ...robot, scope: ["orders.read"] });
  const rotated = await rotateClient(operator, { ...robot, jwks: [jwk("2")], overlapSeconds: 60 });
  const disabled = await setClientStatus(operator, robot, "disabled");
  for (const view of [more, rotated, disabled, await showClient(operator, robot)])
    assert.equal(view.unsafeTokenEndpointAudience, true);
  const safe = { ...robot, unsafeTokenEndpointAudience: false };
  const back = await addClient(operator, safe);
  assert.deepEqual([back.changed, back.unsafeTokenEndpointAudience], [true, false]);
  assert.doesNotMatch(clientTable([await showClient(operator, robot)]), /unsafe/);
  assert.equal((await addClient(operator, safe)).changed, false);
});

test("a rotated secret is taken beside the new one until the overlap ends", async () => {
  const { system, operator } = await running();
  await using _ = system;
  await addClient(operator, BILLING);
  const rotated = await rotateClient(operator, { ...BILLING, overlapSeconds: 600 });
  assert.ok(rotated.secret !== undefined);
  const [old, next] = rotated.credentials ?? [];
  assert.ok(old?.until && next);
  const now = Date.now() / 1000;
  assert.ok(old.until > now + 590 && old.until <= now + 600);
  assert.equal(next.until, null);
  const stolen = await rotateClient(operator, { ...BILLING, overlapSeconds: 0 });
  assert.equal(stolen.credentials?.length, 1);
  const keys = await rotateClient(operator, { ...BILLING, jwks: [jwk("k")], overlapSeconds: 60 });
  assert.deepEqual(
    keys.credentials?.map(({ kind }) => kind),
    ["secret", "key"],
  );
});

function secret(first: string, until?: number) {
  return { hash: `${first}${"A".repeat(42)}`, added: 1, ...(until !== undefined && { until }) };
}

function key(kid: string) {
  return { ...parseClientJwk(jwk(kid)), added: 1 };
}

function of(...secrets: readonly ReturnType<typeof secret>[]): ClientCredentials {
  return { secrets, keys: [] };
}

test("what follows what: ends, bounds and keys that stay", () => {
  const before = of(secret("A"), secret("B", 150), secret("C", 90), secret("D", 500));
  const { secrets } = succeed(before, of(secret("E")), 100, 200);
  assert.deepEqual(
    secrets.map((one) => [one.hash[0], one.until]),
    [
      ["A", 200],
      ["B", 150],
      ["D", 200],
      ["E", undefined],
    ],
  );
  assert.deepEqual(succeed(before, of(secret("E")), 100, 100).secrets, [secret("E")]);
  const [kept, gone] = [key("kept"), key("gone")];
  const next = succeed(
    { secrets: [], keys: [kept, gone] },
    { secrets: [], keys: [kept] },
    100,
    200,
  );
  assert.deepEqual(next.keys, [{ ...gone, until: 200 }, kept]);
  const clash = () =>
    succeed({ secrets: [], keys: [kept] }, { secrets: [], keys: [key("kept")] }, 1, 2);
  assert.throws(clash, { code: "ERR_OPTION", message: /kid/ });
  const many = of(...Array.from("ABCDEFGH").map((first) => secret(first)));
  assert.throws(() => succeed(many, of(secret("I")), 100, 200), {
    code: "ERR_OPTION",
    message: /--overlap 0/,
  });
  assert.equal(succeed(many, of(secret("I")), 100, 100).secrets.length, 1);
});

test("a client is disabled and enabled with what it has, and removed with nothing left", async () => {
  const { system, operator } = await running();
  await using _ = system;
  const { credentials } = await addClient(operator, { ...BILLING, scope: ["orders.read"] });
  for (const status of ["disabled", "active"] as const) {
    const view = await setClientStatus(operator, BILLING, status);
    assert.deepEqual([view.status, view.credentials], [status, credentials]);
    const { size } = operator.registry;
    await setClientStatus(operator, BILLING, status);
    assert.equal(operator.registry.size, size);
  }
  const removed = await setClientStatus(operator, BILLING, "removed");
  assert.deepEqual([removed.audiences, removed.scopes, removed.credentials], [[], [], []]);
  assert.deepEqual(await listClients(operator), []);
  const unknown = { code: "ERR_CLIENT_UNKNOWN" } as const;
  await assert.rejects(setClientStatus(operator, BILLING, "active"), unknown);
  await assert.rejects(showClient(operator, BILLING), unknown);
  await assert.rejects(showClient(operator, { ...BILLING, client: "Billing" }), unknown);
  await assert.rejects(rotateClient(operator, { ...BILLING, overlapSeconds: 0 }), unknown);
  // Its name is free again, and nothing of before comes back with it.
  const again = await addClient(operator, BILLING);
  assert.deepEqual([again.created, again.scopes, again.credentials?.length], [true, [], 1]);
  assert.ok(again.secret !== undefined);
});

test("credentials that nobody has any more are said, and never dropped in silence", async () => {
  const { system, operator } = await running();
  await using _ = system;
  await addClient(operator, BILLING);
  const { ledger, registry, root, settings } = system;
  ledger.misbehave = async ({ op, head }, honest) => {
    const answer = await honest();
    if (op !== "registry") return answer;
    const items = registry.items
      .slice(Number(head["from"]))
      .map(({ credentials: _lost, ...item }) => ({
        entry: item.entry.toString("base64url"),
        statement: item.statement?.toString("base64url"),
        envelope: item.envelope?.toString("base64url"),
      }));
    return { head: { ...answer.head, items: JSON.parse(JSON.stringify(items)) } };
  };
  await using after = new Operator(root, settings);
  assert.equal((await showClient(after, BILLING)).credentials, null);
  const lost = { code: "ERR_CLIENT_CREDENTIALS", message: /clients rotate/ } as const;
  await assert.rejects(addClient(after, { ...BILLING, scope: ["x"] }), lost);
  assert.equal((await setClientStatus(after, BILLING, "disabled")).status, "disabled");
});
