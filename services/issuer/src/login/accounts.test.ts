import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { STORE_KINDS, type StoreKind, type StoreMaker } from "../testing/people-stores.ts";
import { Enrolled } from "../testing/approving.ts";
import { Accounts } from "./accounts.ts";
import { hashPass, newPass } from "./pass.ts";
import { checkOperatorAlone } from "./pass-authority.ts";
import { peopleRoutes } from "./people-operator.ts";
import type { SaidDetails } from "./person-details.ts";

const TENANT = "11111111-1111-4111-8111-111111111111";
const OTHER = "22222222-2222-4222-8222-222222222222";
const NOBODY = "33333333-3333-4333-8333-333333333333";

function hasTenant(tenant: string): boolean {
  return tenant !== NOBODY;
}

function details(userName: string, more: Partial<SaidDetails> = {}): SaidDetails {
  const names = { displayName: null, givenName: null, familyName: null };
  return { userName, externalId: null, ...names, emails: [], ...more };
}

function contract(kind: StoreKind): void {
  describe(`accounts on ${kind.name}`, { skip: kind.skip }, () => {
    let maker: StoreMaker;
    before(async () => {
      maker = await kind.start();
    });
    after(() => maker[Symbol.asyncDispose]());

    async function open() {
      const { store, clock } = await maker.open();
      const approvers: { problem: string | undefined; hasEnrolment: boolean } = {
        problem: undefined,
        hasEnrolment: false,
      };
      const removed: object[] = [];
      const approvals = new Enrolled().approvals(store, clock);
      const accounts = new Accounts({
        store,
        clock,
        approvals,
        approvers: () => approvers,
        passkeyRemoved: (fields) => removed.push(fields),
      });
      const routes = new Map(
        peopleRoutes({ accounts, approvals, store, hasTenant }).map((one) => [one.op, one]),
      );
      /** As over the operator's socket. */
      const operate = async (
        op: string,
        head: object,
      ): Promise<Readonly<Record<string, unknown>>> => {
        const found = routes.get(op);
        assert.ok(found, op);
        const call = { op, head: { ...head }, attachment: Buffer.alloc(0), caller: "operator" };
        return { ...(await found.handle(call)).head };
      };
      return { store, clock, accounts, approvers, removed, operate };
    }

    async function addPasskey(
      { store }: Awaited<ReturnType<typeof open>>,
      personId: string,
      given: { readonly id: number; readonly trust?: string; readonly backupEligible?: boolean },
    ): Promise<Buffer> {
      const credentialId = Buffer.alloc(16, given.id);
      await store.passkeys.add({
        credentialId,
        personId,
        rpId: "localhost",
        publicKey: Buffer.alloc(77, given.id),
        algorithm: -7,
        counter: 0,
        trust: given.trust ?? "none",
        format: "packed",
        aaguid: "",
        backupEligible: given.backupEligible ?? false,
        backedUp: false,
        transports: [],
        name: "Key",
        createdBy: "pass",
      });
      return credentialId;
    }

    it("are added once for each name, whatever its case, and found in their tenant alone", async () => {
      const { operate } = await open();
      const asked = { tenant: TENANT, ...details("Ada@Example.org", { externalId: "x" }) };
      const given = { isAdministrator: false, source: "command" };
      const added = await operate("addPerson", { ...asked, ...given });
      assert.equal(added["userName"], "Ada@Example.org");
      assert.equal("handle" in added, false);
      for (const [more, part] of [
        [{ userName: "aDA@eXAMPLE.org", externalId: null }, "userName"],
        [{ userName: "b@example.org" }, "externalId"],
      ] as const)
        await assert.rejects(operate("addPerson", { ...asked, ...given, ...more }), {
          code: "ERR_PERSON_TAKEN",
          fields: { part },
        });
      const shown = await operate("showPerson", { tenant: TENANT, userName: "ADA@example.org" });
      assert.deepEqual(shown, { person: added, passkeys: [] });
      await assert.rejects(operate("showPerson", { tenant: OTHER, userName: "ada@example.org" }), {
        code: "ERR_PERSON_UNKNOWN",
      });
      await assert.rejects(operate("addPerson", { ...asked, ...given, tenant: NOBODY }), {
        code: "ERR_TENANT_UNKNOWN",
      });
    });

    it("have names that people can see: both sides of each bound", async () => {
      const { accounts } = await open();
      const add = (said: SaidDetails) => accounts.add(TENANT, said, { source: "scim" });
      await add(details("a".repeat(256), { emails: [{ value: "b".repeat(320), type: "work" }] }));
      const many = Array.from({ length: 17 }, (_, i) => ({ value: `${i}@x.test` }));
      for (const bad of [
        details("a".repeat(257)),
        details(""),
        details(" a"),
        details("a\n"),
        details("a\u2028b"),
        details("a\0b"),
        details("a\ud800"),
        details("p", { displayName: "" }),
        details("p", { externalId: "e".repeat(257) }),
        details("p", { emails: [{ value: "b".repeat(321) }] }),
        details("p", { emails: [{ value: "b", type: "t".repeat(33) }] }),
        details("p", { emails: many }),
        details("p", {
          emails: [
            { value: "b", primary: true },
            { value: "c", primary: true },
          ],
        }),
      ])
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        await assert.rejects(add(bad), { code: "ERR_PERSON_DETAILS" });
    });

    it("are listed in pages that lead through all of them", async () => {
      const { accounts, operate } = await open();
      for (let i = 0; i < 230; i += 1)
        // oxlint-disable-next-line no-await-in-loop -- their order is what is looked at
        await accounts.add(TENANT, details(`p${i}@x.test`), { source: "import" });
      const names = new Set<unknown>();
      const sizes: number[] = [];
      for (let from: unknown = 1; from !== undefined;) {
        // oxlint-disable-next-line no-await-in-loop -- each page says where the next begins
        const page = await operate("listPeople", { tenant: TENANT, from });
        assert.equal(page["total"], 230);
        const { items } = page;
        assert.ok(Array.isArray(items));
        for (const item of items) names.add(Object(item).userName);
        sizes.push(items.length);
        from = page["next"];
      }
      assert.deepEqual(sizes, [100, 100, 30]);
      assert.equal(names.size, 230);
      assert.deepEqual(await operate("listPeople", { tenant: OTHER, from: 1 }), {
        total: 0,
        items: [],
      });
    });

    it("begin with one administrator, whose pass works once: THREAT-18", async () => {
      const { store, clock, operate } = await open();
      const asked = { tenant: TENANT, ...details("root@x.test"), minutes: 60 };
      const [first, second] = await Promise.allSettled([
        operate("firstAdministrator", asked),
        operate("firstAdministrator", { ...asked, userName: "other@x.test" }),
      ]);
      const done = [first, second].find(({ status }) => status === "fulfilled");
      assert.ok(done?.status === "fulfilled");
      const refused = [first, second].find(({ status }) => status === "rejected");
      assert.ok(refused?.status === "rejected");
      assert.equal(refused.reason.code, "ERR_ADMINISTRATOR_EXISTS");
      const { pass, expires, person } = done.value;
      assert.equal(Object(person).isAdministrator, true);
      assert.equal(expires, clock.seconds + 3600);
      const spent = await store.passes.consume(hashPass(String(pass)));
      assert.ok("pass" in spent);
      assert.equal(spent.pass.purpose, "first-administrator");
      assert.equal(spent.pass.issuedBy, "operator");
      assert.deepEqual(await store.passes.consume(hashPass(String(pass))), { refusal: "used" });
    });

    it("get a pass that ends in time, and voids the one before", async () => {
      const { store, clock, accounts, operate } = await open();
      const { id: person } = await accounts.add(TENANT, details("a@x.test"), { source: "command" });
      const asked = { tenant: TENANT, person, purpose: "onboarding" };
      const one = await operate("issuePass", { ...asked, minutes: 60 });
      const two = await operate("issuePass", { ...asked, minutes: 1 });
      const spend = (pass: unknown) => store.passes.consume(hashPass(String(pass)));
      assert.deepEqual(await spend(one["pass"]), { refusal: "void" });
      clock.forward(60);
      assert.deepEqual(await spend(two["pass"]), { refusal: "expired" });
      const three = await operate("issuePass", { ...asked, minutes: 1 });
      clock.forward(59);
      assert.ok("pass" in (await spend(three["pass"])));
      for (const bad of [{ minutes: 61 }, { minutes: 0 }, { purpose: "recovery-code" }])
        await assert.rejects(operate("issuePass", { ...asked, minutes: 1, ...bad }), {
          code: "ERR_REQUEST_MEMBER",
        });
      for (const bad of [{ tenant: OTHER }, { person: NOBODY }])
        await assert.rejects(operate("issuePass", { ...asked, minutes: 1, ...bad }), {
          code: "ERR_PERSON_UNKNOWN",
        });
      await accounts.deactivate(TENANT, person);
      await assert.rejects(operate("issuePass", { ...asked, minutes: 1 }), {
        code: "ERR_PERSON_UNKNOWN",
      });
    });

    it("get a pass from the operator alone only until somebody can approve: THREAT-18", async () => {
      const { accounts, approvers, operate } = await open();
      const { id: person } = await accounts.add(TENANT, details("a@x.test"), { source: "command" });
      const asked = { tenant: TENANT, person, purpose: "recovery", minutes: 5 };
      assert.ok((await operate("issuePass", asked))["pass"]);
      approvers.hasEnrolment = true;
      await assert.rejects(operate("issuePass", asked), {
        code: "ERR_ISSUER_PRESENCE",
        message: /needs an approval/,
      });
      approvers.problem = "ERR_ISSUER_REGISTRY";
      await assert.rejects(operate("issuePass", asked), {
        code: "ERR_ISSUER_REGISTRY",
      });
      approvers.hasEnrolment = false;
      await assert.rejects(operate("issuePass", asked), {
        code: "ERR_ISSUER_REGISTRY",
      });
    });

    it("count by their weakest passkey", async () => {
      const opened = await open();
      const { accounts, operate } = opened;
      const people = await Promise.all(
        ["none", "synced", "mixed", "bound", "attested", "half", "gone"].map((name) =>
          accounts.add(TENANT, details(`${name}@x.test`), { source: "command" }),
        ),
      );
      const idOf = (name: string): string =>
        people.find(({ userName }) => userName === `${name}@x.test`)?.id ?? "";
      await addPasskey(opened, idOf("synced"), { id: 1, backupEligible: true });
      await addPasskey(opened, idOf("mixed"), { id: 2, trust: "chain" });
      await addPasskey(opened, idOf("mixed"), { id: 3, backupEligible: true });
      await addPasskey(opened, idOf("bound"), { id: 4 });
      await addPasskey(opened, idOf("attested"), { id: 5, trust: "chain" });
      await addPasskey(opened, idOf("attested"), { id: 6, trust: "chain" });
      await addPasskey(opened, idOf("half"), { id: 7, trust: "chain" });
      await addPasskey(opened, idOf("half"), { id: 8, trust: "self" });
      await accounts.deactivate(TENANT, idOf("gone"));
      const expected = { none: 1, synced: 2, deviceBound: 2, attested: 1 };
      assert.deepEqual(await operate("mfaCoverage", {}), expected);
    });

    it("lose a passkey to an administrator who says why, and every session with it", async () => {
      const opened = await open();
      const { store, accounts, operate, removed, clock } = opened;
      const person = await accounts.add(TENANT, details("a@x.test"), { source: "command" });
      const credential = await addPasskey(opened, person.id, { id: 1, backupEligible: true });
      const expires = clock.seconds + 60;
      const row = { kind: "Session", id: "s", payload: "{}", expires, accountId: person.id };
      await store.protocol.upsert(row);
      const shown = await operate("showPerson", { tenant: TENANT, userName: "a@x.test" });
      assert.deepEqual(shown["passkeys"], [
        {
          credential: credential.toString("base64url"),
          name: "Key",
          tier: "synced",
          created: clock.seconds,
          lastUsed: null,
        },
      ]);
      const one = { tenant: TENANT, person: person.id, reason: "stolen" };
      const asked = { ...one, credential: credential.toString("base64url") };
      await assert.rejects(operate("removePasskey", { ...asked, tenant: OTHER }), {
        code: "ERR_PERSON_UNKNOWN",
      });
      assert.ok(await store.protocol.find("Session", "s"));
      assert.deepEqual(await operate("removePasskey", asked), { removed: true });
      assert.deepEqual(await operate("removePasskey", asked), { removed: false });
      assert.equal(await store.protocol.find("Session", "s"), undefined);
      assert.deepEqual(removed, [{ tenant: TENANT, person: person.id, reason: "stolen" }]);
      const told = await store.outbox.lease(30, 10);
      assert.deepEqual(
        told.map((message) => message.kind),
        ["sessions-ended"],
      );
    });

    it("of a tenant have directories with tokens, of which the hash alone is kept: THREAT-34", async () => {
      const { store, operate, accounts } = await open();
      const added = await operate("addScimToken", { tenant: TENANT, name: "entra", days: 1 });
      const found = await store.scimTokens.find(hash("sha256", String(added["token"]), "buffer"));
      assert.equal(found?.tenant, TENANT);
      const { items } = await operate("listScimTokens", { tenant: TENANT });
      assert.ok(Array.isArray(items) && items.length === 1);
      assert.equal(JSON.stringify(items).includes(String(added["token"])), false);
      const id = added["id"];
      assert.deepEqual(await operate("removeScimToken", { tenant: OTHER, id }), { removed: false });
      assert.deepEqual(await operate("removeScimToken", { tenant: TENANT, id }), { removed: true });
      for (let i = 0; i < 64; i += 1)
        // oxlint-disable-next-line no-await-in-loop -- up to the bound
        await accounts.addScimToken(TENANT, "many", 1);
      await assert.rejects(accounts.addScimToken(TENANT, "many", 1), { code: "ERR_SCIM_TOKENS" });
    });

    it("have tallies of sign-ins for so many days at once", async () => {
      const { store, operate, clock } = await open();
      const day = Math.floor(clock.seconds / 86_400);
      await store.tallies.add("attested");
      await store.tallies.add("of another version");
      const asked = { from: day - 399, to: day };
      assert.deepEqual(await operate("signInTallies", asked), {
        items: [
          { day, tier: "attested", count: 1 },
          { day, tier: "synced", count: 1 },
        ],
      });
      await assert.rejects(operate("signInTallies", { from: day - 400, to: day }), {
        code: "ERR_REQUEST_MEMBER",
      });
    });

    it("that somebody else changed meanwhile are not changed", async () => {
      const { accounts } = await open();
      const person = await accounts.add(TENANT, details("a@x.test"), { source: "scim" });
      await accounts.change(person, { displayName: "A" });
      await assert.rejects(accounts.change(person, { displayName: "B" }), {
        code: "ERR_PERSON_CHANGED",
      });
    });
  });
}

for (const kind of STORE_KINDS) contract(kind);

describe("a pass", () => {
  it("has 160 bits in groups, and is the same however it is typed", () => {
    const { text, hash: stored } = newPass();
    assert.match(text, /^(?:[A-Z2-7]{4}-){7}[A-Z2-7]{4}$/);
    for (const typed of [text, text.toLowerCase(), text.replaceAll("-", ""), ` ${text} \n`])
      assert.deepEqual(hashPass(typed), stored);
    assert.notDeepEqual(hashPass(text.slice(0, -1)), stored);
    assert.equal(new Set(Array.from({ length: 100 }, () => newPass().text)).size, 100);
  });

  it("is the operator's alone only where the registry knows nobody who could approve", () => {
    const nobody = { problem: undefined, hasEnrolment: false };
    checkOperatorAlone(nobody);
    for (const [known, code] of [
      [{ ...nobody, hasEnrolment: true }, "ERR_ISSUER_PRESENCE"],
      [{ ...nobody, problem: "ERR_ISSUER_REGISTRY" }, "ERR_ISSUER_REGISTRY"],
    ] as const)
      assert.throws(() => checkOperatorAlone(known), { code });
  });
});
