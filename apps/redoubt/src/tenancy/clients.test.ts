import assert from "node:assert/strict";
import { test } from "node:test";
import { TestRegistry } from "../testing/registry.ts";
import { chooseAuth, planClient } from "./clients.ts";

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
  assert.equal(plan.isNew && plan.isChanged, true);
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

test("a client that the issuer does not know gets a fresh secret of 256 bits", () => {
  const secrets = [1, 2].map(() => {
    const auth = chooseAuth({ client: "c", isChanged: true }, {}, undefined);
    assert.ok(auth && "secret" in auth);
    return auth.secret;
  });
  assert.notEqual(secrets[0], secrets[1]);
  for (const secret of secrets) assert.match(secret, /^[\w-]{43}$/);
  // Also where a crash came between the registry and the issuer.
  assert.ok(chooseAuth({ client: "c", isChanged: false }, {}, undefined));
});

test("a credential that exists is kept, unless a new one is asked for", () => {
  const method = "client_secret_basic";
  assert.equal(chooseAuth({ client: "c", isChanged: false }, {}, method), undefined);
  assert.ok(chooseAuth({ client: "c", isChanged: false }, { newSecret: true }, method));
  const jwks = { keys: [{ kty: "OKP" }] };
  assert.deepEqual(chooseAuth({ client: "c", isChanged: true }, { jwks }, method), { jwks });
  assert.throws(() => chooseAuth({ client: "c", isChanged: true }, {}, method), {
    code: "ERR_OPTION",
    message: /--new-secret or --jwks/,
  });
  assert.throws(
    () => chooseAuth({ client: "c", isChanged: true }, { jwks, newSecret: true }, method),
    {
      code: "ERR_OPTION",
    },
  );
});
