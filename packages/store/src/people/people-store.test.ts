import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { StoreError } from "../errors.ts";
import {
  bytes,
  engines,
  newPasskey,
  newPerson,
  openTwice,
  uuid,
  type EngineKind,
  type TestEngine,
} from "../testing/people-engines.ts";
import type { PeopleStore } from "./open-people-store.ts";

const RACERS = 20;

/** Of as many calls as there are racers, half from another process, the answers. */
function race<T>(
  { store, other }: { store: PeopleStore; other: PeopleStore },
  call: (of: PeopleStore, index: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(
    Array.from({ length: RACERS }, (_, index) => call(index % 2 === 0 ? store : other, index)),
  );
}

function count<T>(answers: readonly T[], matches: (answer: T) => boolean): number {
  return answers.filter(matches).length;
}

/** Code and part. */
function reasonOf(error: unknown): string {
  return error instanceof StoreError ? `${error.code} ${error.part}` : String(error);
}

const MESSAGE = { id: "m1", kind: "disabled", payload: "{}" };
const PASS = { issuedBy: "operator", purpose: "onboarding" } as const;

function contract(kind: EngineKind): void {
  describe(`people on ${kind.name}`, { skip: kind.skip }, () => {
    let engine: TestEngine;
    before(async () => {
      engine = await kind.start();
    });
    after(() => engine[Symbol.asyncDispose]());

    test("a person is found by each key, in the own tenant only, whatever the case", async () => {
      await using open = await openTwice(engine);
      const { store, other, clock } = open;
      const asked = newPerson(1, {
        userName: "Ádá@Acme.test",
        externalId: "x1",
        emails: [{ value: "a@acme.test", type: "work", primary: true }],
      });
      const person = await store.people.add(asked);
      const times = { created: clock.seconds, updated: clock.seconds, version: 1 };
      assert.deepEqual(person, { ...asked, ...times });
      for (const key of [{ id: uuid(1) }, { userName: "áDÁ@aCME.test" }, { externalId: "x1" }]) {
        assert.deepEqual(await other.people.find("acme", key), person);
        assert.equal(await other.people.find("globex", key), undefined);
      }
      assert.deepEqual(await other.people.findByHandle(bytes(1)), person);
      assert.equal(await other.people.findByHandle(bytes(2)), undefined);
      assert.equal(await other.people.find("acme", { externalId: "X1" }), undefined);
    });

    test("what is taken is told by name, and nothing is half done", async () => {
      await using open = await openTwice(engine);
      const { people } = open.store;
      await people.add(newPerson(1, { externalId: "x1" }));
      const taken = [
        ["id", { id: uuid(1) }],
        ["userName", { userName: "PERSON-1@acme.test" }],
        ["externalId", { externalId: "x1" }],
        ["handle", { handle: bytes(1) }],
      ] as const;
      for (const [part, changes] of taken)
        await assert.rejects(people.add(newPerson(2, { isAdministrator: true, ...changes })), {
          code: "ERR_STORE_CONFLICT",
          part,
        });
      const tenant = "globex";
      await people.add(newPerson(2, { tenant, userName: "person-1@acme.test", externalId: "x1" }));
      await people.add(newPerson(3));
      const renamed = people.update("acme", uuid(3), 1, { userName: "Person-1@acme.test" });
      await assert.rejects(renamed, { code: "ERR_STORE_CONFLICT", part: "userName" });
      // None of those that were refused counts as an administrator.
      const pass = { hash: bytes(1), notBefore: 0, expires: 1, issuedBy: "operator" };
      const first = await open.other.passes.addFirstAdministrator(newPerson(4), pass);
      assert.equal(first.isAdministrator, true);
    });

    test("a value that may not stand there is refused", async () => {
      await using open = await openTwice(engine);
      const { people, passkeys } = open.store;
      for (const changes of [
        { handle: bytes(1, 31) },
        { handle: bytes(1, 33) },
        { displayName: "a\0b" },
        { displayName: "\ud800" },
        { onboardedAt: 1.5 },
      ])
        await assert.rejects(people.add(newPerson(1, changes)), { code: "ERR_STORE_VALUE" });
      await people.add(newPerson(1));
      for (const changes of [{ rpId: "" }, { counter: -1 }])
        await assert.rejects(passkeys.add(newPasskey(1, changes)), { code: "ERR_STORE_VALUE" });
      assert.deepEqual(await passkeys.list(uuid(1)), []);
    });

    test("of 20 changes from one version, one is made", async () => {
      await using open = await openTwice(engine);
      await open.store.people.add(newPerson(1));
      open.clock.forward(10);
      const answers = await race(open, (of, index) =>
        of.people.update("acme", uuid(1), 1, { displayName: `${index}` }).then(
          ({ displayName }) => displayName,
          (error: unknown) => error,
        ),
      );
      const made = answers.filter((answer) => typeof answer === "string");
      assert.equal(made.length, 1);
      for (const answer of answers)
        if (typeof answer !== "string")
          assert.equal(reasonOf(answer), "ERR_STORE_CONFLICT version");
      const found = await open.store.people.find("acme", { id: uuid(1) });
      assert.deepEqual([found?.displayName, found?.version], [made[0], 2]);
      assert.equal(found?.updated, open.clock.seconds);
      const elsewhere = open.store.people.update("globex", uuid(1), 2, {});
      await assert.rejects(elsewhere, { code: "ERR_STORE_MISSING" });
    });

    test("pages of every size hold each person once, disabled ones too", async () => {
      await using open = await openTwice(engine);
      const { people } = open.store;
      for (let n = 1; n <= 25; n += 1) {
        if (n % 3 === 0) open.clock.forward(1);
        await people.add(newPerson(n, { status: n % 2 === 0 ? "disabled" : "active" }));
      }
      await people.add(newPerson(26, { tenant: "globex" }));
      const expected = Array.from({ length: 25 }, (_, i) => uuid(i + 1));
      for (const size of [1, 2, 7, 24, 25, 26]) {
        const ids: string[] = [];
        for (let startIndex = 1; startIndex <= 25; startIndex += size) {
          const page = await people.list("acme", { startIndex, count: size });
          assert.equal(page.total, 25);
          ids.push(...page.people.map(({ id }) => id));
        }
        assert.deepEqual(ids, expected);
      }
      assert.deepEqual(await people.list("acme", { startIndex: 26, count: 5 }), {
        total: 25,
        people: [],
      });
      assert.equal((await people.list("acme", { startIndex: 1, count: 0 })).total, 25);
      for (const [startIndex, size] of [
        [0, 1],
        [1, -1],
        [1, 1001],
      ] as const)
        assert.throws(() => people.list("acme", { startIndex, count: size }), RangeError);
    });

    test("passkeys: kept as given, unique in the realm, renamed by their owner", async () => {
      await using open = await openTwice(engine);
      const { people, passkeys, standing } = open.store;
      for (const n of [1, 2]) await people.add(newPerson(n));
      const asked = newPasskey(1, { backupEligible: true, transports: ["usb", "nfc"] });
      const passkey = await passkeys.add(asked);
      assert.deepEqual(passkey, { ...asked, created: open.clock.seconds, lastUsed: null });
      assert.deepEqual(await open.other.passkeys.find(asked.credentialId), passkey);
      assert.equal(await passkeys.find(bytes(9, 16)), undefined);
      const again = passkeys.add(newPasskey(1, { personId: uuid(2) }));
      await assert.rejects(again, { code: "ERR_STORE_CONFLICT" });
      const ofNobody = passkeys.add(newPasskey(2, { personId: uuid(9) }));
      await assert.rejects(ofNobody, { code: "ERR_STORE_MISSING" });
      await standing.deactivate("acme", uuid(2), MESSAGE);
      const ofDisabled = passkeys.add(newPasskey(2, { personId: uuid(2) }));
      await assert.rejects(ofDisabled, { code: "ERR_STORE_MISSING" });
      await passkeys.rename(uuid(1), asked.credentialId, "Blue key");
      const byOther = passkeys.rename(uuid(2), asked.credentialId, "mine");
      await assert.rejects(byOther, { code: "ERR_STORE_MISSING" });
      assert.deepEqual(
        (await passkeys.list(uuid(1))).map((one) => one.name),
        ["Blue key"],
      );
    });

    test("however many passkeys are removed at once, as many stay as must", async () => {
      await using open = await openTwice(engine);
      await open.store.people.add(newPerson(1));
      await open.store.people.add(newPerson(2));
      for (let n = 0; n < RACERS; n += 1) await open.store.passkeys.add(newPasskey(n));
      const limits = { atLeast: 2 };
      const byOther = await open.store.passkeys.remove(uuid(2), bytes(1, 16), limits);
      assert.equal(byOther, "missing");
      const answers = await race(open, (of, n) =>
        of.passkeys.remove(uuid(1), bytes(n, 16), limits),
      );
      assert.equal(
        count(answers, (answer) => answer === "removed"),
        RACERS - 2,
      );
      assert.equal(
        count(answers, (answer) => answer === "too-few"),
        2,
      );
      const [left] = await open.store.passkeys.list(uuid(1));
      assert.equal((await open.store.passkeys.list(uuid(1))).length, 2);
      assert.ok(left);
      const one = await open.store.passkeys.remove(uuid(1), left.credentialId, { atLeast: 1 });
      assert.equal(one, "removed");
      const again = await open.store.passkeys.remove(uuid(1), left.credentialId, { atLeast: 0 });
      assert.equal(again, "missing");
    });

    test("a counter that must rise is used once, and never falls", async () => {
      await using open = await openTwice(engine);
      const { people, passkeys } = open.store;
      await people.add(newPerson(1));
      await passkeys.add(newPasskey(1));
      await passkeys.add(newPasskey(2, { backupEligible: true, counter: 5 }));
      const use = (n: number, counter: number) =>
        passkeys.used(bytes(n, 16), { counter, backedUp: true });
      assert.deepEqual([await use(1, 0), await use(1, 0)], ["used", "used"]);
      const answers = await race(open, (of) =>
        of.passkeys.used(bytes(1, 16), { counter: 7, backedUp: false }),
      );
      assert.equal(
        count(answers, (answer) => answer === "used"),
        1,
      );
      assert.equal(
        count(answers, (answer) => answer === "behind"),
        RACERS - 1,
      );
      assert.deepEqual(
        [await use(1, 0), await use(1, 7), await use(1, 8), await use(3, 1)],
        ["behind", "behind", "used", "missing"],
      );
      assert.equal(await use(2, 0), "used");
      const synchronised = await passkeys.find(bytes(2, 16));
      assert.deepEqual(
        [synchronised?.counter, synchronised?.backedUp, synchronised?.lastUsed],
        [5, true, open.clock.seconds],
      );
    });

    test("of 20 uses of a pass, one wins; each refusal has its reason", async () => {
      await using open = await openTwice(engine);
      const { store, clock } = open;
      await store.people.add(newPerson(1));
      const times = { notBefore: clock.seconds + 10, expires: clock.seconds + 20 };
      const issue = (fill: number) =>
        store.passes.issue({ ...PASS, ...times, personId: uuid(1), hashes: [bytes(fill)] });
      const refusal = async (fill: number) => {
        const answer = await store.passes.consume(bytes(fill));
        return "refusal" in answer ? answer.refusal : "none";
      };
      await issue(1);
      await issue(2);
      assert.deepEqual(
        [await refusal(1), await refusal(2), await refusal(3)],
        ["void", "unripe", "unknown"],
      );
      clock.forward(9);
      assert.equal(await refusal(2), "unripe");
      clock.forward(1);
      const answers = await race(open, (of) => of.passes.consume(bytes(2)));
      const won = answers.filter((answer) => "pass" in answer);
      assert.equal(won.length, 1);
      const { notBefore, expires } = times;
      const created = clock.seconds - 10;
      const expected = { ...PASS, hash: bytes(2), personId: uuid(1), created, notBefore, expires };
      assert.deepEqual(won[0], { pass: expected });
      assert.equal(await refusal(2), "used");
      await issue(4);
      clock.forward(10);
      assert.equal(await refusal(4), "expired");
      assert.equal(await refusal(2), "used");
    });

    test("codes of one set live together; another purpose and another person keep theirs", async () => {
      await using open = await openTwice(engine);
      const { store, clock } = open;
      for (const n of [1, 2]) await store.people.add(newPerson(n));
      const times = { notBefore: 0, expires: clock.seconds + 1, issuedBy: "operator" };
      const codes = { ...times, purpose: "recovery-code", personId: uuid(1) } as const;
      await store.passes.issue({ ...codes, hashes: [bytes(1), bytes(2)] });
      await store.passes.issue({ ...codes, personId: uuid(2), hashes: [bytes(3)] });
      await store.passes.issue({ ...codes, purpose: "recovery", hashes: [bytes(4)] });
      for (const fill of [1, 2, 3, 4])
        assert.ok("pass" in (await store.passes.consume(bytes(fill))));
      assert.throws(() => store.passes.issue({ ...codes, hashes: [] }), RangeError);
      const twice = store.passes.issue({ ...codes, hashes: [bytes(1)] });
      await assert.rejects(twice, { code: "ERR_STORE_CONFLICT" });
      const ofNobody = store.passes.issue({ ...codes, personId: uuid(9), hashes: [bytes(9)] });
      await assert.rejects(ofNobody, { code: "ERR_STORE_MISSING" });
    });

    test("a realm has one first administrator, and none after it has had another", async () => {
      await using open = await openTwice(engine);
      const pass = { notBefore: 0, expires: open.clock.seconds + 1, issuedBy: "operator" };
      const answers = await race(open, (of, n) =>
        of.passes
          .addFirstAdministrator(newPerson(n), { ...pass, hash: bytes(n) })
          .then(({ isAdministrator }) => isAdministrator, reasonOf),
      );
      assert.equal(
        count(answers, (answer) => answer === true),
        1,
      );
      const refused = "ERR_STORE_CONFLICT administrator";
      assert.equal(
        count(answers, (answer) => answer === refused),
        RACERS - 1,
      );
      assert.equal((await open.store.people.list("acme", { startIndex: 1, count: 10 })).total, 1);
      const uses = await race(open, (of, n) => of.passes.consume(bytes(n)));
      assert.equal(
        count(uses, (use) => "pass" in use),
        1,
      );
      await using second = await openTwice(engine);
      await second.store.people.add(newPerson(1));
      await second.store.people.update("acme", uuid(1), 1, { isAdministrator: true });
      await second.store.people.update("acme", uuid(1), 2, { isAdministrator: false });
      const late = second.store.passes.addFirstAdministrator(newPerson(2), {
        ...pass,
        hash: bytes(1),
      });
      await assert.rejects(late, { code: "ERR_STORE_CONFLICT", part: "administrator" });
    });

    test("protocol rows: found until they expire, replaced by version, consumed and inserted once", async () => {
      await using open = await openTwice(engine);
      const { clock } = open;
      const { protocol } = open.store;
      const row = { kind: "Session", id: "s1", payload: "{}", expires: clock.seconds + 10 };
      await protocol.upsert({ ...row, uid: "u1", userCode: "c1" });
      const stored = { ...row, consumedAt: null, version: 1 };
      assert.deepEqual(await open.other.protocol.find("Session", "s1"), stored);
      assert.deepEqual(await protocol.findByUid("Session", "u1"), stored);
      assert.deepEqual(await protocol.findByUserCode("Session", "c1"), stored);
      assert.equal(await protocol.find("Grant", "s1"), undefined);
      const updates = await race(open, (of, n) =>
        of.protocol.update({ ...row, uid: "u1", payload: `${n}` }, 1),
      );
      assert.equal(count(updates, Boolean), 1);
      const winner = updates.indexOf(true);
      const changed = { ...stored, payload: `${winner}`, version: 2 };
      assert.deepEqual(await protocol.findByUid("Session", "u1"), changed);
      const uses = await race(open, (of) => of.protocol.consume("Session", "s1"));
      assert.equal(count(uses, Boolean), 1);
      await protocol.upsert(row);
      const consumed = await protocol.find("Session", "s1");
      assert.deepEqual([consumed?.consumedAt, consumed?.version], [clock.seconds, 4]);
      const proof = { ...row, kind: "ReplayDetection", id: "j1" };
      assert.equal(count(await race(open, (of) => of.protocol.insertIfAbsent(proof)), Boolean), 1);
      clock.forward(9);
      assert.equal(await protocol.insertIfAbsent(proof), false);
      assert.notEqual(await protocol.find("Session", "s1"), undefined);
      clock.forward(1);
      assert.equal(await protocol.find("Session", "s1"), undefined);
      assert.equal(await protocol.consume("ReplayDetection", "j1"), false);
      assert.equal(await protocol.update({ ...row, expires: clock.seconds + 10 }, 4), false);
      const fresh = { ...proof, expires: clock.seconds + 10 };
      const again = await race(open, (of) => of.protocol.insertIfAbsent(fresh));
      assert.equal(count(again, Boolean), 1);
      await protocol.upsert({ kind: "Client", id: "c", payload: "{}", expires: null });
      assert.equal(await protocol.insertIfAbsent({ ...proof, kind: "Client", id: "c" }), false);
      assert.equal((await protocol.find("Client", "c"))?.expires, null);
      await protocol.destroy("Client", "c");
      assert.equal(await protocol.find("Client", "c"), undefined);
    });

    test("a grant is revoked whole, and alone", async () => {
      await using open = await openTwice(engine);
      const { protocol } = open.store;
      const row = { payload: "{}", expires: open.clock.seconds + 10, accountId: "a" };
      for (const token of ["AccessToken", "RefreshToken"])
        for (const grantId of ["g1", "g2"])
          await protocol.upsert({ ...row, kind: token, id: grantId, grantId });
      await protocol.upsert({ ...row, kind: "Session", id: "s" });
      await protocol.upsert({ ...row, kind: "Session", id: "t", accountId: "b" });
      assert.equal(await protocol.revokeByGrantId("g1"), 2);
      assert.equal(await protocol.find("RefreshToken", "g1"), undefined);
      assert.notEqual(await protocol.find("RefreshToken", "g2"), undefined);
      for (const id of ["s", "t"]) assert.notEqual(await protocol.find("Session", id), undefined);
    });

    test("a passkey is taken away with all that its person began, in one transaction", async () => {
      await using open = await openTwice(engine);
      const { store, clock } = open;
      const { protocol, passkeys, standing, outbox } = store;
      for (const n of [1, 2]) await store.people.add(newPerson(n));
      for (const n of [1, 2, 3])
        await passkeys.add(newPasskey(n, { personId: uuid(n === 3 ? 2 : 1) }));
      const [lost, last, anothers] = [1, 2, 3].map((n) => ({
        personId: uuid(1),
        credentialId: newPasskey(n).credentialId,
      }));
      assert.ok(lost && last && anothers);
      const row = { payload: "{}", expires: clock.seconds + 10, accountId: uuid(1) };
      const kinds = ["AccessToken", "RefreshToken", "Session"];
      const begin = () =>
        Promise.all(kinds.map((one) => protocol.upsert({ ...row, kind: one, id: "a" })));
      const left = async () =>
        count(await Promise.all(kinds.map((one) => protocol.find(one, "a"))), Boolean);
      await begin();
      await protocol.upsert({ ...row, kind: "Session", id: "b", accountId: uuid(2) });
      const elsewhere = standing.removePasskey("globex", lost, MESSAGE);
      await assert.rejects(elsewhere, { code: "ERR_STORE_MISSING" });
      assert.equal(await standing.removePasskey("acme", anothers, MESSAGE), false);
      assert.equal(await left(), 3);
      const answers = await race(open, (of, n) =>
        of.standing.removePasskey("acme", lost, { ...MESSAGE, id: `m${n}` }),
      );
      assert.equal(count(answers, Boolean), 1);
      assert.equal(await left(), 0);
      assert.notEqual(await protocol.find("Session", "b"), undefined);
      const [told, ...more] = await outbox.lease(60, 10);
      assert.equal(more.length, 0);
      // What cannot be told is not done.
      await begin();
      const taken = standing.removePasskey("acme", last, { ...MESSAGE, id: told?.id ?? "" });
      await assert.rejects(taken, { code: "ERR_STORE_CONFLICT" });
      assert.equal(await left(), 3);
      assert.equal((await passkeys.list(uuid(1))).length, 1);
      assert.equal(await standing.removePasskey("acme", last, { ...MESSAGE, id: "last" }), true);
      assert.deepEqual(await passkeys.list(uuid(1)), []);
      assert.equal((await passkeys.list(uuid(2))).length, 1);
    });

    test("a disabled person has no sessions, also none written afterwards, and one message tells", async () => {
      await using open = await openTwice(engine);
      const { store, clock } = open;
      for (const n of [1, 2]) await store.people.add(newPerson(n));
      const times = { notBefore: 0, expires: clock.seconds + 9 };
      const pass = { ...PASS, ...times, personId: uuid(1), hashes: [bytes(1)] };
      await store.passes.issue(pass);
      const session = { kind: "Session", payload: "{}", expires: clock.seconds + 9 };
      for (const n of [1, 2])
        await store.protocol.upsert({ ...session, id: `s${n}`, accountId: uuid(n) });
      const elsewhere = store.standing.deactivate("globex", uuid(1), MESSAGE);
      await assert.rejects(elsewhere, { code: "ERR_STORE_MISSING" });
      const answers = await race(open, (of, n) =>
        of.standing.deactivate("acme", uuid(1), { ...MESSAGE, id: `m${n}` }),
      );
      assert.equal(count(answers, Boolean), 1);
      const person = await store.people.find("acme", { id: uuid(1) });
      assert.deepEqual([person?.status, person?.version], ["disabled", 2]);
      assert.equal(await store.protocol.find("Session", "s1"), undefined);
      assert.notEqual(await store.protocol.find("Session", "s2"), undefined);
      assert.deepEqual(await store.passes.consume(bytes(1)), { refusal: "void" });
      await assert.rejects(store.passes.issue({ ...pass, hashes: [bytes(2)] }), {
        code: "ERR_STORE_MISSING",
      });
      await store.protocol.upsert({ ...session, id: "late", uid: "u", accountId: uuid(1) });
      assert.equal(await store.protocol.find("Session", "late"), undefined);
      assert.equal(await store.protocol.findByUid("Session", "u"), undefined);
      assert.equal((await store.outbox.lease(60, 10)).length, 1);
      assert.equal(
        await store.standing.reactivate("acme", uuid(1), { ...MESSAGE, id: "back" }),
        true,
      );
      assert.equal(await store.protocol.find("Session", "late"), undefined);
      assert.equal((await store.people.find("acme", { id: uuid(1) }))?.status, "active");
    });

    test("a message that cannot be stored leaves the person as it was", async () => {
      await using open = await openTwice(engine);
      const { store } = open;
      for (const n of [1, 2]) await store.people.add(newPerson(n));
      await store.protocol.upsert({
        kind: "Session",
        id: "s",
        payload: "{}",
        expires: null,
        accountId: uuid(2),
      });
      await store.standing.deactivate("acme", uuid(1), MESSAGE);
      const taken = store.standing.deactivate("acme", uuid(2), MESSAGE);
      await assert.rejects(taken, { code: "ERR_STORE_CONFLICT" });
      assert.equal((await store.people.find("acme", { id: uuid(2) }))?.status, "active");
      assert.notEqual(await store.protocol.find("Session", "s"), undefined);
    });

    test("a ceremony is taken once, by its own kind, while it is fresh", async () => {
      await using open = await openTwice(engine);
      const { store, clock } = open;
      const ceremony = { kind: "sign-in", data: "{}", expires: clock.seconds + 5 };
      for (const fill of [1, 2, 3])
        await store.ceremonies.add({ ...ceremony, idHash: bytes(fill) });
      const again = store.ceremonies.add({ ...ceremony, idHash: bytes(1) });
      await assert.rejects(again, { code: "ERR_STORE_CONFLICT" });
      assert.equal(await store.ceremonies.take("register", bytes(1)), undefined);
      const answers = await race(open, (of) => of.ceremonies.take("sign-in", bytes(1)));
      assert.deepEqual(answers.filter(Boolean), [{ ...ceremony, idHash: bytes(1) }]);
      clock.forward(4);
      assert.notEqual(await store.ceremonies.take("sign-in", bytes(2)), undefined);
      clock.forward(1);
      assert.equal(await store.ceremonies.take("sign-in", bytes(3)), undefined);
    });

    test("a message is leased to one, and comes back when its lease ends", async () => {
      await using open = await openTwice(engine);
      const { store, clock } = open;
      for (let n = 0; n < 5; n += 1) {
        await store.people.add(newPerson(n));
        await store.standing.deactivate("acme", uuid(n), { ...MESSAGE, id: `m${n}` });
      }
      const leases = (await race(open, (of) => of.outbox.lease(60, 3))).flat();
      assert.deepEqual(leases.map(({ id }) => id).toSorted(), ["m0", "m1", "m2", "m3", "m4"]);
      const [first, second] = leases;
      assert.ok(first && second);
      assert.equal(await store.outbox.done(first), true);
      assert.equal(await store.outbox.done(first), false);
      assert.equal(await store.outbox.failed(second, clock.seconds + 10), true);
      clock.forward(9);
      assert.deepEqual(await store.outbox.lease(60, 9), []);
      clock.forward(1);
      const [again, ...others] = await open.other.outbox.lease(60, 9);
      assert.deepEqual([again?.id, again?.attempts, others], [second.id, 2, []]);
      assert.deepEqual(
        [await store.outbox.done(second), await store.outbox.failed(second, 0)],
        [false, false],
      );
      clock.forward(49);
      assert.deepEqual(await store.outbox.lease(60, 9), []);
      clock.forward(1);
      assert.equal((await store.outbox.lease(60, 9)).length, 3);
    });

    test("sign-ins are counted, each of 20 at once", async () => {
      await using open = await openTwice(engine);
      await race(open, (of, n) => of.tallies.add(n < 5 ? "gold" : "silver"));
      const day = Math.floor(open.clock.seconds / 86_400);
      open.clock.forward(86_400);
      await open.store.tallies.add("gold");
      const expected = [
        { day, tier: "gold", count: 5 },
        { day, tier: "silver", count: 15 },
        { day: day + 1, tier: "gold", count: 1 },
      ];
      assert.deepEqual(await open.store.tallies.read(day, day + 1), expected);
      assert.deepEqual(await open.store.tallies.read(day + 1, day + 9), expected.slice(2));
    });

    test("a SCIM token is its tenant's until it expires or goes", async () => {
      await using open = await openTwice(engine);
      const { clock } = open;
      const { scimTokens } = open.store;
      const token = { hash: bytes(1), tenant: "acme", name: "Okta", expires: clock.seconds + 5 };
      await scimTokens.add(token);
      await assert.rejects(scimTokens.add(token), { code: "ERR_STORE_CONFLICT" });
      await assert.rejects(scimTokens.add({ ...token, hash: bytes(2, 31) }), {
        code: "ERR_STORE_VALUE",
      });
      const stored = { ...token, created: clock.seconds };
      assert.deepEqual(await scimTokens.find(bytes(1)), stored);
      assert.equal(await scimTokens.find(bytes(2)), undefined);
      clock.forward(5);
      assert.equal(await scimTokens.find(bytes(1)), undefined);
      assert.deepEqual(await scimTokens.list("acme"), [stored]);
      assert.equal(await scimTokens.remove("globex", bytes(1)), false);
      assert.equal(await scimTokens.remove("acme", bytes(1)), true);
      assert.deepEqual(await scimTokens.list("acme"), []);
    });

    test("20 that ask for a secret get the same one, which stays; another name has another", async () => {
      await using open = await openTwice(engine);
      const { store, other } = open;
      const secrets = await race(open, (of) => of.secret("dpop"));
      const [first, ...others] = new Set(secrets.map((secret) => secret.toString("hex")));
      assert.match(first ?? "", /^[0-9a-f]{64}$/);
      assert.deepEqual(others, []);
      assert.equal((await other.secret("dpop")).toString("hex"), first);
      assert.notEqual((await store.secret("dpop2")).toString("hex"), first);
      // What the same table says of the realm and the version is no secret, and is never given out as one.
      assert.equal((await store.secret("people_realm")).length, 32);
    });

    test("THREAT-20: of 20 uses of an approval, one wins, and it is kept", async () => {
      await using open = await openTwice(engine);
      const { store, other } = open;
      const id = "A".repeat(43);
      const answers = await race(open, (of, index) =>
        of.approvals.use({ id, at: 5, envelope: bytes(index, 9) }),
      );
      assert.equal(
        count(answers, (won) => won),
        1,
      );
      const winner = answers.indexOf(true);
      const kept = await other.approvals.find(id);
      assert.deepEqual(kept && [kept.at, Buffer.from(kept.envelope)], [5, bytes(winner, 9)]);
      assert.equal(await store.approvals.find("B".repeat(43)), undefined);
      assert.equal(
        await store.approvals.use({ id: "B".repeat(43), at: 7, envelope: bytes(1) }),
        true,
      );
      const page = (startIndex: number, size: number) =>
        store.approvals.list({ startIndex, count: size });
      assert.deepEqual(
        (await page(1, 1000)).map(({ at }) => at),
        [7, 5],
      );
      assert.deepEqual(await page(2, 1), [{ id, at: 5 }]);
      for (const [startIndex, size] of [
        [0, 1],
        [1, 0],
        [1, 1001],
      ] as const)
        assert.throws(() => void page(startIndex, size), RangeError);
      await assert.rejects(store.approvals.use({ id: "short", at: 1, envelope: bytes(1) }), {
        code: "ERR_STORE_VALUE",
      });
    });

    test("an administrator counts while she is active", async () => {
      await using open = await openTwice(engine);
      const { people, standing } = open.store;
      await people.add(newPerson(1, { isAdministrator: true }));
      await people.add(newPerson(2));
      const found = () =>
        Promise.all([1, 2, 3].map((number) => people.isActiveAdministrator(uuid(number))));
      assert.deepEqual(await found(), [true, false, false]);
      await standing.deactivate("acme", uuid(1), MESSAGE);
      assert.deepEqual(await found(), [false, false, false]);
    });

    test("what has expired goes, a bounded number at once, and nothing else", async () => {
      await using open = await openTwice(engine);
      const { store, clock } = open;
      await store.people.add(newPerson(1));
      const expires = clock.seconds + 5;
      const times = { ...PASS, notBefore: 0, personId: uuid(1) };
      await store.passes.issue({ ...times, expires, hashes: [1, 2, 3].map((n) => bytes(n)) });
      for (const n of [1, 2, 3]) {
        await store.ceremonies.add({ idHash: bytes(n), kind: "k", data: "{}", expires });
        await store.protocol.upsert({ kind: "k", id: `${n}`, payload: "{}", expires });
      }
      await store.protocol.upsert({ kind: "k", id: "kept", payload: "{}", expires: null });
      clock.forward(4);
      assert.equal(await store.prune(2), 0);
      clock.forward(1);
      assert.deepEqual(
        [await store.prune(2), await store.prune(2), await store.prune(2)],
        [4, 2, 0],
      );
      clock.forward(90 * 86_400 - 1);
      assert.equal(await store.prune(2), 0);
      clock.forward(1);
      assert.deepEqual(
        [await store.prune(2), await store.prune(2), await store.prune(2)],
        [2, 1, 0],
      );
      assert.notEqual(await store.protocol.find("k", "kept"), undefined);
    });
  });
}

for (const engine of engines) contract(engine);
