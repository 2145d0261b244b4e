import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import { sqlite, STORE_KINDS, type StoreKind, type StoreMaker } from "../testing/people-stores.ts";
import { idOf, MOUNT, ORIGIN, ScimService } from "../testing/scim-service.ts";
import { OTHER_TENANT } from "../testing/system.ts";

const ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/** What Entra sends for a new person. */
const ENTRA_NEW = {
  schemas: ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
  externalId: "entra-1",
  userName: "Ada@Acme.test",
  active: true,
  displayName: "Ada",
  emails: [{ primary: true, type: "work", value: "ada@acme.test" }],
  meta: { resourceType: "User" },
  name: { formatted: "Ada L", familyName: "L", givenName: "Ada" },
  roles: [],
  [ENTERPRISE]: { employeeNumber: "7" },
};

/** What Okta sends: a random password, always. */
const OKTA_NEW = {
  schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"],
  userName: "bob@acme.test",
  name: { givenName: "Bob", familyName: "B" },
  emails: [{ primary: true, value: "bob@acme.test", type: "work" }],
  displayName: "Bob B",
  locale: "en-US",
  externalId: "00u1",
  groups: [],
  password: "1mz050nq",
  active: true,
};

function known({ body }: { readonly body: JsonObject }): JsonObject {
  const { id: _id, meta: _meta, schemas: _schemas, ...rest } = body;
  return rest;
}

function contract(kind: StoreKind): void {
  describe(`SCIM on ${kind.name}`, { skip: kind.skip }, () => {
    let maker: StoreMaker;
    before(async () => {
      maker = await kind.start();
    });
    after(() => maker[Symbol.asyncDispose]());

    async function open(): Promise<ScimService> {
      const { store, clock } = await maker.open();
      return ScimService.open(store, clock);
    }

    it("takes Entra's cycle: test, create, change, disable, enable, delete", async () => {
      const scim = await open();
      const empty = await scim.ask("GET", "/Users?filter=userName%20eq%20%22no-such%22");
      assert.equal(empty.status, 200);
      assert.deepEqual(empty.body["Resources"], []);
      const added = await scim.ask("POST", "/Users", ENTRA_NEW);
      assert.equal(added.status, 201);
      const id = idOf(added);
      const location = `${ORIGIN}${MOUNT}/scim/v2/Users/${id}`;
      assert.ok(added.headers.includes(location));
      const state = {
        externalId: "entra-1",
        userName: "Ada@Acme.test",
        displayName: "Ada",
        name: { givenName: "Ada", familyName: "L" },
        emails: [{ primary: true, type: "work", value: "ada@acme.test" }],
        active: true,
      };
      assert.deepEqual(known(added), state);
      for (const filter of [
        'userName eq "aDA@aCME.TEST"',
        'externalId eq "entra-1"',
        'emails[type eq "work"].value eq "ADA@acme.test"',
        'userName eq "ada@acme.test" and externalId eq "entra-1"',
      ]) {
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        const found = await scim.ask("GET", `/Users?filter=${encodeURIComponent(filter)}`);
        assert.equal(found.body["totalResults"], 1, filter);
      }
      const steps: readonly (readonly [JsonObject, JsonObject])[] = [
        [{ op: "Replace", path: "displayName", value: "A" }, { displayName: "A" }],
        [
          {
            op: "replace",
            value: {
              displayName: "AA",
              "name.givenName": "B",
              [`${ENTERPRISE}:employeeNumber`]: "8",
            },
          },
          { displayName: "AA", name: { givenName: "B", familyName: "L" } },
        ],
        [
          { op: "Add", path: 'emails[type eq "home"].value', value: "a@home.test" },
          {
            emails: [
              { primary: true, type: "work", value: "ada@acme.test" },
              { type: "home", value: "a@home.test" },
            ],
          },
        ],
        [
          { op: "Replace", path: 'emails[type eq "work"].value', value: "ada@new.test" },
          {
            emails: [
              { primary: true, type: "work", value: "ada@new.test" },
              { type: "home", value: "a@home.test" },
            ],
          },
        ],
        [
          { op: "Remove", path: 'emails[type eq "home"]' },
          { emails: [{ primary: true, type: "work", value: "ada@new.test" }] },
        ],
        [{ op: "Add", path: 'addresses[type eq "work"].locality', value: "x" }, {}],
        [{ op: "Replace", path: `${ENTERPRISE}:department`, value: "x" }, {}],
        [{ op: "Replace", path: "active", value: "False" }, { active: false }],
        [{ op: "Replace", path: "active", value: "False" }, {}],
        [{ op: "Replace", path: "active", value: "True" }, { active: true }],
        [{ op: "replace", path: "active", value: false }, { active: false }],
        [{ op: "replace", path: "active", value: true }, { active: true }],
        [{ op: "Replace", path: "userName", value: "ada@new.test" }, { userName: "ada@new.test" }],
      ];
      let expected: JsonObject = state;
      for (const [operation, change] of steps) {
        expected = { ...expected, ...change };
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        const told = await scim.patch(id, operation);
        assert.equal(told.status, 200, told.text);
        assert.deepEqual(known(told), expected, JSON.stringify(operation));
      }
      assert.equal((await scim.ask("DELETE", `/Users/${id}`)).status, 204);
      assert.equal((await scim.ask("DELETE", `/Users/${id}`)).status, 204);
      const shown = await scim.ask("GET", `/Users/${id}`);
      assert.deepEqual(known(shown), { ...expected, active: false });
    });

    it("takes Okta's cycle: a password that is dropped, an object of changes, a PUT of everything", async () => {
      const scim = await open();
      const filter = encodeURIComponent('userName eq "bob@acme.test"');
      const none = await scim.ask("GET", `/Users?filter=${filter}&startIndex=1&count=100`);
      assert.deepEqual([none.body["totalResults"], none.body["startIndex"]], [0, 1]);
      const added = await scim.ask("POST", "/Users", OKTA_NEW, { contentType: "application/json" });
      assert.equal(added.status, 201);
      assert.equal(added.text.includes("1mz050nq"), false);
      const id = idOf(added);
      const off = await scim.patch(id, { op: "replace", value: { active: false } });
      assert.equal(off.body["active"], false);
      const on = await scim.patch(id, { op: "replace", value: { active: true } });
      assert.equal(on.body["active"], true);
      const { password: _, ...everything } = OKTA_NEW;
      const put = { ...everything, id, name: { givenName: "Robert" }, active: false };
      const told = await scim.ask("PUT", `/Users/${id}`, put);
      assert.equal(told.status, 200, told.text);
      assert.deepEqual(told.body["name"], { givenName: "Robert" });
      assert.equal(told.body["active"], false);
      // What a PUT does not say brings nobody back, and breaks no link.
      const bare = await scim.ask("PUT", `/Users/${id}`, { userName: "bob@acme.test" });
      assert.deepEqual(known(bare), {
        userName: "bob@acme.test",
        externalId: "00u1",
        emails: [],
        active: false,
      });
    });

    it("has one spelling of a name: 409 in any case, also of somebody who is disabled", async () => {
      const scim = await open();
      const id = await scim.add({ userName: "Ada@x.test", externalId: "1" });
      const other = await scim.add({ userName: "b@x.test" });
      await scim.ask("DELETE", `/Users/${id}`);
      for (const told of [
        await scim.ask("POST", "/Users", { userName: "aDA@X.test" }),
        await scim.ask("POST", "/Users", { userName: "c@x.test", externalId: "1" }),
        await scim.patch(other, { op: "replace", path: "userName", value: "ADA@x.test" }),
        await scim.patch(other, { op: "add", path: "externalId", value: "1" }),
      ]) {
        assert.equal(told.status, 409, told.text);
        assert.equal(told.body["scimType"], "uniqueness");
        assert.equal(scim.refused.at(-1)?.code, "ERR_SCIM_TAKEN");
      }
      const all = await scim.ask("GET", "/Users");
      assert.equal(all.body["totalResults"], 2);
    });

    it("pages through everybody once, in every size", async () => {
      const scim = await open();
      for (let i = 0; i < 25; i += 1)
        // oxlint-disable-next-line no-await-in-loop -- in an order
        await scim.add({ userName: `p${i}@x.test` });
      for (const count of [1, 3, 7, 24, 25, 26, 200]) {
        const seen: unknown[] = [];
        for (let startIndex = 1; startIndex <= 25;) {
          const path = `/Users?startIndex=${startIndex}&count=${count}`;
          // oxlint-disable-next-line no-await-in-loop -- each page says how long it is
          const { body } = await scim.ask("GET", path);
          const { Resources: resources, itemsPerPage, totalResults } = body;
          assert.ok(Array.isArray(resources) && resources.length > 0);
          assert.deepEqual([itemsPerPage, totalResults], [resources.length, 25]);
          seen.push(...resources.map((one) => Object(one).userName));
          startIndex += resources.length;
        }
        assert.deepEqual(
          seen,
          Array.from({ length: 25 }, (_, i) => `p${i}@x.test`).toSorted(byOrder(seen)),
        );
        assert.equal(new Set(seen).size, 25);
      }
      const none = await scim.ask("GET", "/Users?count=0");
      assert.deepEqual([none.body["totalResults"], none.body["itemsPerPage"]], [25, 0]);
      for (const odd of ["startIndex=-5&count=2", "startIndex=0&count=2"])
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        assert.equal((await scim.ask("GET", `/Users?${odd}`)).body["startIndex"], 1);
      assert.equal((await scim.ask("GET", "/Users?startIndex=9999999999")).status, 200);
      assert.equal((await scim.ask("GET", "/Users?count=x")).status, 400);
    });

    it("cannot touch an administrator, nor lead another directory's person to an account", async () => {
      const scim = await open();
      const root = {
        userName: "root@x.test",
        externalId: null,
        displayName: null,
        givenName: null,
        familyName: null,
        emails: [],
      };
      const tenant = MOUNT.slice(1, 37);
      const { person } = await scim.accounts.addFirstAdministrator(tenant, root, 5);
      for (const told of [
        await scim.patch(person.id, { op: "replace", path: "active", value: false }),
        await scim.patch(person.id, { op: "replace", path: "active", value: true }),
        await scim.ask("PUT", `/Users/${person.id}`, { userName: "root@x.test" }),
        await scim.ask("DELETE", `/Users/${person.id}`),
      ])
        assert.equal(told.status, 403, told.text);
      assert.equal(scim.refused.at(-1)?.code, "ERR_SCIM_FORBIDDEN");
      assert.equal((await scim.ask("GET", `/Users/${person.id}`)).body["active"], true);
      const id = await scim.add({ userName: "a@x.test" });
      const link = (value: string) => scim.patch(id, { op: "replace", path: "externalId", value });
      assert.equal((await link("one")).status, 200);
      assert.equal((await link("one")).status, 200);
      const moved = await link("two");
      assert.deepEqual([moved.status, moved.body["scimType"]], [400, "mutability"]);
      assert.equal(scim.refused.at(-1)?.code, "ERR_SCIM_MUTABILITY");
      const dropped = await scim.patch(id, { op: "remove", path: "externalId" });
      assert.equal(dropped.status, 400);
    });

    it("answers bad input with a SCIM error, never with a failure: THREAT-26", async () => {
      const scim = await open();
      const id = await scim.add({ userName: "a@x.test" });
      const many = Array.from({ length: 101 }, () => ({ op: "add", path: "title", value: "x" }));
      const filters = [
        "userName",
        'userName co "a"',
        'userName eq "a" or userName eq "b"',
        "userName eq true",
        'active eq "true"',
        'userName eq "a" and userName eq "b"',
        `userName eq "${"a".repeat(1024)}"`,
        'userName eq "\\q"',
        Array.from({ length: 9 }, () => 'id eq "a"').join(" and "),
      ];
      const bad: readonly (readonly [
        number,
        Promise<{ status: number; body: JsonObject; text: string }>,
      ])[] = [
        [400, scim.ask("POST", "/Users", "{")],
        [400, scim.ask("POST", "/Users", "[]")],
        [400, scim.ask("POST", "/Users", {})],
        [400, scim.ask("POST", "/Users", { userName: 7 })],
        [400, scim.ask("POST", "/Users", { userName: "a\0b" })],
        [400, scim.ask("POST", "/Users", { userName: "a".repeat(257) })],
        [400, scim.ask("POST", "/Users", { userName: "z", active: "no" })],
        [400, scim.ask("POST", "/Users", { userName: "z", emails: [{}] })],
        [400, scim.ask("POST", "/Users", { userName: "z", emails: [{ value: "v", type: 1 }] })],
        [400, scim.ask("POST", "/Users", { userName: "z", name: "n" })],
        [415, scim.ask("POST", "/Users", { userName: "z" }, { contentType: "text/plain" })],
        [405, scim.ask("DELETE", "/Users")],
        [405, scim.ask("POST", `/Users/${id}`, {})],
        [405, scim.ask("POST", "/Groups", {})],
        [404, scim.ask("GET", "/Users/ada")],
        [404, scim.ask("GET", `/Users/${OTHER_TENANT}`)],
        [404, scim.ask("DELETE", `/Users/${OTHER_TENANT}`)],
        [404, scim.ask("GET", `/Users/${id}/passkeys`)],
        [404, scim.ask("GET", "/Me")],
        [400, scim.ask("PATCH", `/Users/${id}`, { Operations: [] })],
        [400, scim.ask("PATCH", `/Users/${id}`, { Operations: many })],
        [400, scim.patch(id, { op: "move", path: "active", value: true })],
        [400, scim.patch(id, { op: "replace", path: "active", value: "yes" })],
        [400, scim.patch(id, { op: "replace", path: "active", value: 0 })],
        [400, scim.patch(id, { op: "remove", path: "active" })],
        [400, scim.patch(id, { op: "remove", path: "userName" })],
        [400, scim.patch(id, { op: "remove" })],
        [400, scim.patch(id, { op: "replace", value: "x" })],
        [400, scim.patch(id, { op: "replace", path: "a b", value: "x" })],
        [400, scim.patch(id, { op: "replace", path: "p".repeat(513), value: "x" })],
        [400, scim.patch(id, { op: "replace", path: 7, value: "x" })],
        [400, scim.patch(id, { op: "replace", path: "emails[type ne 1].value", value: "x" })],
        [400, scim.patch(id, { op: "replace", path: 'emails[type eq "w"].value', value: 1 })],
        [400, scim.ask("PUT", `/Users/${id}`, { displayName: "x" })],
        ...filters.map(
          (filter) =>
            [400, scim.ask("GET", `/Users?filter=${encodeURIComponent(filter)}`)] as const,
        ),
      ];
      for (const [index, [status, asked]] of bad.entries()) {
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        const told = await asked;
        assert.equal(told.status, status, `${index}: ${told.text}`);
        assert.equal(told.body["status"], String(status));
      }
      const shown = await scim.ask("GET", `/Users/${id}`);
      assert.deepEqual(known(shown), { userName: "a@x.test", emails: [], active: true });
      for (const code of [
        "ERR_SCIM_SYNTAX",
        "ERR_SCIM_PATH",
        "ERR_SCIM_VALUE",
        "ERR_SCIM_FILTER",
        "ERR_SCIM_UNKNOWN",
        "ERR_SCIM_METHOD",
      ])
        assert.ok(
          scim.refused.some((one) => one.code === code),
          code,
        );
    });
  });
}

/** Those of one second are in the order of their ids. */
function byOrder(seen: readonly unknown[]): (a: string, b: string) => number {
  return (a, b) => seen.indexOf(a) - seen.indexOf(b);
}

for (const kind of STORE_KINDS) contract(kind);

describe("SCIM", () => {
  let maker: StoreMaker;
  before(() => {
    maker = sqlite();
  });
  after(() => maker[Symbol.asyncDispose]());

  it("takes a token of this tenant until it ends, and no other: THREAT-34", async () => {
    const { store, clock } = await maker.open();
    const scim = await ScimService.open(store, clock);
    const { token } = await scim.accounts.addScimToken(OTHER_TENANT, "other", 30);
    const asked = (authorization: string | null, tenant?: string) =>
      scim.ask("GET", "/Users", undefined, {
        authorization,
        ...(tenant !== undefined && { tenant }),
      });
    assert.equal((await scim.ask("GET", "/Users")).status, 200);
    assert.equal((await asked(`bearer ${token}`, OTHER_TENANT)).status, 200);
    const refused = [
      await asked(null),
      await asked(""),
      await asked(`Basic ${token}`),
      await asked(`Bearer ${token}`),
      await asked(`Bearer ${token.slice(0, -1)}A`, OTHER_TENANT),
      await asked(`Bearer ${"a".repeat(200)}`),
      await scim.ask("GET", "/Users", undefined, { tenant: OTHER_TENANT }),
    ];
    for (const told of refused) {
      assert.equal(told.status, 401);
      assert.equal(told.text, refused[0]?.text);
      assert.ok(told.headers.includes("www-authenticate"));
    }
    assert.ok(scim.refused.every(({ code }) => code === "ERR_SCIM_TOKEN"));
    clock.forward(86_400);
    assert.equal((await scim.ask("GET", "/Users")).status, 401);
  });

  it("says what it can: no versions, no groups, no password", async () => {
    const { store, clock } = await maker.open();
    const scim = await ScimService.open(store, clock);
    const config = await scim.ask("GET", "/ServiceProviderConfig");
    assert.deepEqual(config.body["etag"], { supported: false });
    assert.deepEqual(config.body["changePassword"], { supported: false });
    for (const path of ["/ResourceTypes", "/Schemas"])
      // oxlint-disable-next-line no-await-in-loop -- each by itself
      assert.equal((await scim.ask("GET", path)).body["totalResults"], 1);
    const schema = await scim.ask("GET", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User");
    assert.equal(schema.body["name"], "User");
    assert.equal((await scim.ask("GET", "/ResourceTypes/User")).status, 200);
    const filter = encodeURIComponent('displayName eq "G"');
    const groups = await scim.ask("GET", `/Groups?excludedAttributes=members&filter=${filter}`);
    assert.deepEqual([groups.status, groups.body["totalResults"]], [200, 0]);
  });

  it("changes somebody whom two change at once, or says that it did not", async () => {
    const { store, clock } = await maker.open();
    const scim = await ScimService.open(store, clock);
    const id = await scim.add({ userName: "a@x.test" });
    const { people } = store;
    const conflicts = { left: 4 };
    const update = people.update.bind(people);
    Object.assign(people, {
      update: async (...args: Parameters<typeof update>) => {
        conflicts.left -= 1;
        const [tenant, person, version, changes] = args;
        const stale = conflicts.left >= 0 ? version - 1 : version;
        return update(tenant, person, stale, changes);
      },
    });
    const change = { op: "replace", path: "displayName", value: "A" };
    assert.equal((await scim.patch(id, change)).body["displayName"], "A");
    conflicts.left = 5;
    const told = await scim.patch(id, { ...change, value: "B" });
    assert.equal(told.status, 409);
    assert.equal(scim.refused.at(-1)?.code, "ERR_SCIM_CHANGED");
  });

  it("never fails, whatever a directory sends", async () => {
    const { store, clock } = await maker.open();
    const scim = await ScimService.open(store, clock);
    const id = await scim.add({ userName: "a@x.test" });
    const path = fc.oneof(
      fc.constantFrom("active", "emails", "name", "userName", "externalId", "name.givenName"),
      fc.constantFrom(
        'emails[type eq "work"].value',
        "emails[primary eq true].value",
        "emails.value",
      ),
      fc.string({ unit: "binary", maxLength: 40 }),
    );
    const operation = fc.record({
      op: fc.constantFrom("add", "Replace", "REMOVE", "x"),
      path: fc.option(path, { nil: null }),
      value: fc.jsonValue({ maxDepth: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 4 }), async (operations) => {
        const body: JsonValue = JSON.parse(JSON.stringify({ Operations: operations }));
        const { status } = await scim.ask("PATCH", `/Users/${id}`, body);
        assert.ok(status < 500);
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (filter) => {
        const { status } = await scim.ask(
          "GET",
          `/Users?filter=${encodeURIComponent(filter.toWellFormed())}`,
        );
        assert.ok(status < 500);
      }),
    );
  });
});
