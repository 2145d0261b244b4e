import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import { openEnvelope, personHash, type Assertion, type OpenedStatement } from "@redoubt/presence";
import { parseVerifierKey } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  ACTING,
  approvalHead,
  Approver,
  Enrolled,
  LOGIN_ORIGIN,
  PRESENCE_ORIGIN,
  RP_ID,
  statementAt,
  type StatementChange,
} from "../../testing/approving.ts";
import { STORE_KINDS, type StoreKind, type StoreMaker } from "../../testing/people-stores.ts";
import { Accounts } from "../accounts.ts";
import { hashPass } from "../pass.ts";
import { peopleRoutes } from "../people-operator.ts";
import { openActingKey } from "./acting-key.ts";

const TENANT = "11111111-1111-4111-8111-111111111111";
const RACERS = 20;

function details(userName: string) {
  const names = { displayName: null, givenName: null, familyName: null };
  return { userName, externalId: null, ...names, emails: [] };
}

function codeOf(error: unknown): string {
  return String(Reflect.get(Object(error), "code"));
}

interface AskedPass {
  readonly person?: string;
  readonly purpose?: "onboarding" | "recovery";
  readonly minutes?: number;
}

function contract(kind: StoreKind): void {
  describe(`approvals on ${kind.name}`, { skip: kind.skip }, () => {
    let maker: StoreMaker;
    before(async () => {
      maker = await kind.start();
    });
    after(() => maker[Symbol.asyncDispose]());

    /** Three enrolled administrators, and Ada, who is none. */
    async function open({ hasPage = true } = {}) {
      const { store, clock } = await maker.open();
      const enrolled = new Enrolled();
      const approvals = enrolled.approvals(store, clock, hasPage);
      const accounts = new Accounts({
        store,
        clock,
        approvals,
        approvers: () => ({ problem: undefined, hasEnrolment: enrolled.all.size > 0 }),
        passkeyRemoved: () => undefined,
      });
      const routes = peopleRoutes({ accounts, approvals, store, hasTenant: () => true });
      const operate = async (
        op: string,
        head: object,
      ): Promise<Readonly<Record<string, unknown>>> => {
        const found = routes.find((one) => one.op === op);
        assert.ok(found, op);
        const call = { op, head: { ...head }, attachment: Buffer.alloc(0), caller: "operator" };
        return { ...(await found.handle(call)).head };
      };
      const source = "command" as const;
      const administrators = await Promise.all(
        ["a", "b", "c"].map(async (name) => {
          const given = { source, isAdministrator: true };
          const { id } = await accounts.add(TENANT, details(`${name}@x.test`), given);
          const approver = new Approver(id);
          await approver.register(store);
          enrolled.enrol(approver, clock.seconds);
          return approver;
        }),
      );
      const [first, second, third] = administrators;
      assert.ok(first && second && third);
      const ada = await accounts.add(TENANT, details("ada@x.test"), { source });
      /** What is asked of the issuer, and a statement about it, changed as the test says. */
      const ask = (
        { person = ada.id, purpose = "onboarding", minutes = 5 }: AskedPass = {},
        change: StatementChange & { readonly userName?: string } = {},
      ) => {
        const { userName = "ada@x.test", ...frame } = change;
        const subject = { person, userName, tenant: TENANT, purpose, minutes };
        return statementAt(clock.seconds, { action: "person.pass", subject }, frame);
      };
      const issue = (
        statement: OpenedStatement,
        assertions: readonly Assertion[],
        more: object = {},
      ) => {
        const asked = { tenant: TENANT, person: ada.id, purpose: "onboarding", minutes: 5 };
        const approval = approvalHead(statement, ...assertions);
        return operate("issuePass", { ...asked, approval, ...more });
      };
      return { store, clock, enrolled, operate, first, second, third, ada, ask, issue, accounts };
    }

    it("THREAT-18: an approved pass is issued once, and says by which approval", async () => {
      const { store, clock, enrolled, operate, first, ask, issue } = await open();
      const statement = ask();
      clock.forward(20);
      const { pass } = await issue(statement, [first.approve(statement)]);
      const spent = await store.passes.consume(hashPass(String(pass)));
      assert.ok("pass" in spent);
      const id = encodeBase64url(statement.challenge);
      assert.equal(spent.pass.issuedBy, id);
      assert.deepEqual(await operate("listApprovals", { from: 1 }), {
        service: "v",
        items: [{ id, at: clock.seconds }],
      });
      const { envelope } = await operate("showApproval", { id });
      const opened = openEnvelope(Buffer.from(String(envelope), "base64url"), {
        enrolments: enrolled.all,
        ceremony: { rpId: RP_ID, origins: [PRESENCE_ORIGIN] },
        services: [ACTING],
      });
      assert.equal(opened.at, clock.seconds);
      assert.deepEqual(
        opened.approvers.map(({ person }) => person),
        [personHash(first.id)],
      );
      await assert.rejects(operate("showApproval", { id: "A".repeat(43) }), {
        code: "ERR_APPROVAL_UNKNOWN",
      });
    });

    it("THREAT-20: of 20 calls with one approval, one gets a pass", async () => {
      const { first, ask, issue, operate } = await open();
      const statement = ask();
      const answers = await Promise.all(
        Array.from({ length: RACERS }, () =>
          issue(statement, [first.approve(statement)]).then(() => "pass", codeOf),
        ),
      );
      assert.deepEqual(
        answers.filter((answer) => answer !== "pass"),
        Array.from({ length: RACERS - 1 }, () => "ERR_PRESENCE_USED"),
      );
      const { items } = await operate("listApprovals", { from: 1 });
      assert.equal(Array.isArray(items) && items.length, 1);
    });

    it("THREAT-20: what was approved is what is done, member by member, and nothing is used up by another", async () => {
      const { first, second, ada, ask, issue, operate, accounts, clock } = await open();
      const { id: eve } = await accounts.add(TENANT, details("eve@x.test"), { source: "command" });
      const statements: readonly (readonly [string, OpenedStatement])[] = [
        ["another person", ask({ person: eve })],
        ["another name than the store's", ask({}, { userName: "eve@x.test" })],
        ["another purpose", ask({ purpose: "recovery" })],
        ["other minutes", ask({ minutes: 6 })],
        ["another realm", ask({}, { realm: "consumer" })],
        ["another page", ask({}, { origin: LOGIN_ORIGIN })],
        [
          "another action",
          statementAt(clock.seconds, {
            action: "administrator.change",
            subject: { person: ada.id, change: "grant" },
          }),
        ],
      ];
      for (const [what, statement] of statements) {
        const { origin } = statement.statement;
        const by = [first.approve(statement, { origin }), second.approve(statement, { origin })];
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        await assert.rejects(issue(statement, by), { code: "ERR_PRESENCE_ACTION" }, what);
      }
      const statement = ask();
      const by = [first.approve(statement)];
      for (const more of [{ person: eve }, { purpose: "recovery" }, { minutes: 4 }])
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        await assert.rejects(issue(statement, by, more), { code: "ERR_PRESENCE_ACTION" });
      assert.deepEqual((await operate("listApprovals", { from: 1 }))["items"], []);
      assert.ok((await issue(statement, by))["pass"]);
    });

    it("THREAT-20: an assertion of the sign-in pages, or of another statement, is none", async () => {
      const { first, ask, issue } = await open();
      const statement = ask();
      const other = ask({}, { nonce: 8 });
      for (const [bad, code] of [
        [first.approve(statement, { origin: LOGIN_ORIGIN }), "ERR_PRESENCE_ASSERTION"],
        [first.approve(other), "ERR_PRESENCE_ASSERTION"],
        [
          first.approve(statement, { overrides: { flags: { UV: false } } }),
          "ERR_PRESENCE_ASSERTION",
        ],
        [first.approve(statement, { overrides: { signature: "flip" } }), "ERR_PRESENCE_SIGNATURE"],
      ] as const)
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        await assert.rejects(issue(statement, [bad]), { code });
      assert.ok((await issue(statement, [first.approve(statement)]))["pass"]);
    });

    it("count for five minutes: both sides of each bound", async () => {
      const { clock, first, ask, issue } = await open();
      const statement = ask();
      const late = ask({}, { expiresAt: clock.seconds + 900, nonce: 8 });
      const ahead = ask(
        {},
        { issuedAt: clock.seconds + 31, nonce: 9, expiresAt: clock.seconds + 99 },
      );
      await assert.rejects(issue(ahead, [first.approve(ahead)]), { code: "ERR_PRESENCE_TIME" });
      clock.forward(1);
      assert.ok((await issue(ahead, [first.approve(ahead)]))["pass"]);
      clock.forward(298);
      assert.ok((await issue(statement, [first.approve(statement)]))["pass"]);
      const gone = ask({}, { issuedAt: clock.seconds - 299, expiresAt: clock.seconds, nonce: 3 });
      await assert.rejects(issue(gone, [first.approve(gone)]), { code: "ERR_PRESENCE_TIME" });
      clock.forward(2);
      await assert.rejects(issue(late, [first.approve(late)]), { code: "ERR_PRESENCE_TIME" });
    });

    it("THREAT-18: a recovery takes two persons, neither of them the one who is let back in", async () => {
      const { accounts, first, second, third, ask, issue } = await open();
      const asked = { purpose: "recovery" as const };
      const statement = ask(asked);
      const attempt = (...by: readonly Approver[]) =>
        issue(
          statement,
          by.map((one) => one.approve(statement)),
          asked,
        );
      await assert.rejects(attempt(first), { code: "ERR_PRESENCE_APPROVERS" });
      await assert.rejects(attempt(first, first), { code: "ERR_PRESENCE_APPROVERS" });
      assert.ok((await attempt(first, second))["pass"]);
      await assert.rejects(attempt(first, third), { code: "ERR_PRESENCE_USED" });
      // An administrator who lost everything, and found one passkey again.
      const { userName } = await accounts.find(TENANT, { id: third.id });
      for (const purpose of ["onboarding", "recovery"] as const) {
        const own = ask({ person: third.id, purpose }, { userName, nonce: 9 });
        const by = [first, third].map((one) => one.approve(own));
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        await assert.rejects(issue(own, by, { person: third.id, purpose }), {
          code: "ERR_PRESENCE_APPROVERS",
        });
      }
    });

    it("THREAT-18: two passkeys of one person are one person", async () => {
      const { store, clock, enrolled, first, ask, issue } = await open();
      const spare = new Approver(first.id);
      await spare.register(store);
      enrolled.enrol(spare, clock.seconds);
      const asked = { purpose: "recovery" as const };
      const statement = ask(asked);
      const by = [first, spare].map((one) => one.approve(statement));
      await assert.rejects(issue(statement, by, asked), { code: "ERR_PRESENCE_APPROVERS" });
    });

    it("count only of passkeys that are enrolled, and of administrators who stand", async () => {
      const { store, clock, enrolled, first, second, third, ask, issue, accounts } = await open();
      const statement = ask();
      const refused = { code: "ERR_PRESENCE_ENROLMENT" };
      const stranger = new Approver(first.id);
      await stranger.register(store);
      await assert.rejects(issue(statement, [stranger.approve(statement)]), refused);
      enrolled.remove(first, clock.seconds);
      await assert.rejects(issue(statement, [first.approve(statement)]), refused);
      // The registry still has her: the store alone can take away, and never add.
      await accounts.deactivate(TENANT, second.id);
      await assert.rejects(issue(statement, [second.approve(statement)]), refused);
      const credential = Buffer.from(third.key.credentialId, "base64url");
      await accounts.removePasskey(TENANT, third.id, { credential, reason: "stolen" });
      await assert.rejects(issue(statement, [third.approve(statement)]), refused);
      await accounts.reactivate(TENANT, second.id);
      assert.ok((await issue(statement, [second.approve(statement)]))["pass"]);
      // From the first enrolment on, the operator alone issues none.
      await assert.rejects(
        accounts.issuePass(TENANT, second.id, { purpose: "onboarding", minutes: 5 }),
        {
          code: "ERR_ISSUER_PRESENCE",
        },
      );
    });

    it("M3: a passkey that the policy refuses by now approves nothing, whatever it was enrolled as", async () => {
      const { store, clock, enrolled, first, ada, ask } = await open();
      const statement = ask();
      const approval = { statement: statement.bytes, assertions: [first.approve(statement)] };
      const subject = {
        person: ada.id,
        userName: "ada@x.test",
        tenant: TENANT,
        purpose: "onboarding",
        minutes: 5,
      };
      const policy = { action: "person.pass", approvers: 1, notBy: [] } as const;
      const earlier = enrolled.policy;
      enrolled.policy = { ...earlier, attestation: "required" };
      const stricter = enrolled.approvals(store, clock);
      await assert.rejects(stricter.accept(approval, subject, policy), {
        code: "ERR_PRESENCE_ENROLMENT",
      });
      enrolled.policy = earlier;
      assert.ok(await enrolled.approvals(store, clock).accept(approval, subject, policy));
    });

    it("are not used up for somebody who is disabled, nor while the registry is doubtful", async () => {
      const { enrolled, first, ada, ask, issue, accounts } = await open();
      const statement = ask();
      const by = [first.approve(statement)];
      await accounts.deactivate(TENANT, ada.id);
      await assert.rejects(issue(statement, by), { code: "ERR_PERSON_UNKNOWN" });
      await accounts.reactivate(TENANT, ada.id);
      enrolled.problem = new ServiceError("ERR_ISSUER_REGISTRY", "not now");
      await assert.rejects(issue(statement, by), { code: "ERR_ISSUER_REGISTRY" });
      enrolled.problem = undefined;
      assert.ok((await issue(statement, by))["pass"]);
    });

    it("are none where there is no page", async () => {
      const { first, ask, issue, operate } = await open({ hasPage: false });
      const statement = ask();
      await assert.rejects(issue(statement, [first.approve(statement)]), {
        code: "ERR_ISSUER_PRESENCE",
      });
      assert.deepEqual(await operate("listApprovals", { from: 1 }), { service: null, items: [] });
    });

    it("let in further passkeys of administrators, and of nobody else", async () => {
      const { store, clock, operate, first, second, ada } = await open();
      const spare = new Approver(second.id);
      const credential = await spare.register(store);
      const name = { tenant: TENANT, person: second.id, credential: encodeBase64url(credential) };
      const key = await operate("passkeyToEnrol", name);
      assert.deepEqual(key, {
        publicKey: encodeBase64url(spare.key.publicKey),
        class: "device-bound",
        rpId: RP_ID,
      });
      const subject = {
        person: personHash(second.id),
        credential: spare.key.credentialId,
        publicKeyHash: hash("sha256", spare.key.publicKey, "base64url"),
        class: "device-bound",
      } as const;
      const made = (change: Partial<Record<keyof typeof subject, string>> = {}) =>
        statementAt(clock.seconds, {
          action: "presence.enrol",
          subject: { ...subject, ...change, class: subject.class },
        });
      const approve = (statement: OpenedStatement, by: Approver, more: object = {}) => {
        const approval = approvalHead(statement, by.approve(statement));
        return operate("approveEnrolment", { ...name, approval, ...more });
      };
      for (const change of [
        { person: personHash(ada.id) },
        { credential: first.key.credentialId },
        { publicKeyHash: hash("sha256", "another", "base64url") },
      ])
        // oxlint-disable-next-line no-await-in-loop -- each by itself
        await assert.rejects(approve(made(change), first), { code: "ERR_PRESENCE_ACTION" });
      // A passkey does not let itself in.
      await assert.rejects(approve(made(), spare), { code: "ERR_PRESENCE_ENROLMENT" });
      assert.deepEqual(await approve(made(), first), { id: encodeBase64url(made().challenge) });
      await assert.rejects(approve(made(), first), { code: "ERR_PRESENCE_USED" });
      await assert.rejects(operate("passkeyToEnrol", { ...name, person: ada.id }), {
        code: "ERR_PERSON_NOT_ADMINISTRATOR",
      });
      await assert.rejects(operate("passkeyToEnrol", { ...name, person: first.id }), {
        code: "ERR_PERSON_PASSKEY",
      });
      await assert.rejects(operate("passkeyToEnrol", { ...name, person: TENANT }), {
        code: "ERR_PERSON_UNKNOWN",
      });
    });
  });
}

for (const kind of STORE_KINDS) contract(kind);

describe("the key with which an issuer says when", () => {
  it("is made once, in its folder, and is nothing but an Ed25519 key", () => {
    const folder = mkdtempSync(join(tmpdir(), "acting-"));
    try {
      const { keyId, vkey } = openActingKey(folder, "enterprise");
      assert.equal(keyId, "issuer-enterprise");
      assert.equal(parseVerifierKey(vkey).name, keyId);
      assert.equal(openActingKey(folder, "enterprise").vkey, vkey);
      writeFileSync(join(folder, "acting.key"), "x");
      assert.throws(() => openActingKey(folder, "enterprise"), { code: "ERR_ACTING_KEY" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
