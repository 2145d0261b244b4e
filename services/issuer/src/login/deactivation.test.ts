import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SoftAuthenticator, type TestClock } from "@redoubt/testkit";
import type { PeopleStore } from "@redoubt/store";
import { STORE_KINDS, type StoreKind, type StoreMaker } from "../testing/people-stores.ts";
import { ScimService } from "../testing/scim-service.ts";
import { TENANT } from "../testing/system.ts";
import { Ceremonies } from "./ceremonies.ts";
import { PasskeyRegistration } from "./flows/passkey-registration.ts";
import { PasskeySignIn } from "./flows/passkey-sign-in.ts";
import { hashPass } from "./pass.ts";
import { OPEN_POLICY } from "./passkeys/testing/ceremony.ts";
import { peopleRoutes } from "./people-operator.ts";

const ORIGIN = "http://localhost";
const KINDS = ["Session", "RefreshToken", "AuthorizationCode", "Interaction", "Grant", "Account"];

interface Person {
  readonly scim: ScimService;
  readonly store: PeopleStore;
  readonly id: string;
}

/** Every way in, by which somebody may say that a person is to go. */
const WAYS: Readonly<Record<string, (person: Person) => Promise<unknown>>> = {
  "the operator, and an import": ({ scim, store, id }) => {
    const { accounts, approvals } = scim;
    const routes = peopleRoutes({ accounts, approvals, store, hasTenant: () => true });
    const found = routes.find(({ op }) => op === "disablePerson");
    assert.ok(found);
    const head = { tenant: TENANT, person: id };
    return found.handle({ op: found.op, head, attachment: Buffer.alloc(0), caller: "operator" });
  },
  "SCIM DELETE": ({ scim, id }) => scim.ask("DELETE", `/Users/${id}`),
  "SCIM PATCH of Entra": ({ scim, id }) =>
    scim.patch(id, { op: "Replace", path: "active", value: "False" }),
  "SCIM PATCH of Okta": ({ scim, id }) =>
    scim.patch(id, { op: "replace", value: { active: false } }),
  "SCIM PUT": ({ scim, id }) =>
    scim.ask("PUT", `/Users/${id}`, { userName: "ada@x.test", active: false }),
  "SCIM PATCH with a name that is taken": async ({ scim, id }) => {
    const told = await scim.patch(
      id,
      { op: "replace", path: "active", value: false },
      { op: "replace", path: "userName", value: "taken@x.test" },
    );
    assert.equal(told.status, 409);
  },
};

function passkeys(store: PeopleStore, clock: TestClock) {
  const place = {
    rp: { id: "localhost", name: "Test" },
    origin: ORIGIN,
    policy: OPEN_POLICY,
    metadata: () => null,
  };
  const parts = { store, clock, place, ceremonies: new Ceremonies(store, clock) };
  return {
    registration: new PasskeyRegistration({ ...parts, required: 1 }),
    signIn: new PasskeySignIn(parts),
  };
}

function contract(kind: StoreKind): void {
  describe(`who is deactivated on ${kind.name}`, { skip: kind.skip }, () => {
    let maker: StoreMaker;
    before(async () => {
      maker = await kind.start();
    });
    after(() => maker[Symbol.asyncDispose]());

    for (const [way, deactivate] of Object.entries(WAYS))
      it(`by ${way}: session, tokens, code, interaction, pass and passkey are dead, and it is told once`, async () => {
        const { store, clock } = await maker.open();
        const scim = await ScimService.open(store, clock);
        await scim.add({ userName: "taken@x.test" });
        const id = await scim.add({ userName: "ada@x.test" });
        const bystander = await scim.add({ userName: "bob@x.test" });
        const { registration, signIn } = passkeys(store, clock);
        const key = new SoftAuthenticator({ rpId: "localhost" });
        const person = await scim.accounts.find(TENANT, { id });
        const options = await registration.options(person);
        const response = key.register(options, { origin: ORIGIN });
        await registration.verify(person, "pass", { response, name: "Key" });
        const enter = async () => {
          const asked = await signIn.options("test");
          return signIn.verify(TENANT, "test", key.authenticate(asked, { origin: ORIGIN }));
        };
        assert.equal((await enter()).person.id, id);
        const expires = clock.seconds + 3600;
        for (const owner of [id, bystander])
          for (const name of KINDS)
            // oxlint-disable-next-line no-await-in-loop -- a handful
            await store.protocol.upsert({
              kind: name,
              id: `${name}-${owner}`,
              payload: "{}",
              expires,
              accountId: owner,
            });
        const asked = { purpose: "onboarding", minutes: 60 } as const;
        const { pass } = await scim.accounts.issuePass(TENANT, id, asked);

        await deactivate({ scim, store, id });
        await deactivate({ scim, store, id });

        for (const name of KINDS) {
          // oxlint-disable-next-line no-await-in-loop -- a handful
          assert.equal(await store.protocol.find(name, `${name}-${id}`), undefined, name);
          // oxlint-disable-next-line no-await-in-loop -- a handful
          assert.ok(await store.protocol.find(name, `${name}-${bystander}`), name);
        }
        assert.deepEqual(await store.passes.consume(hashPass(pass)), { refusal: "void" });
        await assert.rejects(enter(), { code: "ERR_PASSKEY_CREDENTIAL" });
        const told = await store.outbox.lease(30, 10);
        assert.deepEqual(
          told.map((message) => [message.kind, JSON.parse(message.payload)]),
          [["deactivated", { tenant: TENANT, sub: id }]],
        );
        // Back again: what ended stays ended, and the passkey is the person's.
        await scim.accounts.reactivate(TENANT, id);
        assert.equal(await store.protocol.find("Session", `Session-${id}`), undefined);
        assert.equal((await enter()).person.id, id);
      });
  });
}

for (const kind of STORE_KINDS) contract(kind);
