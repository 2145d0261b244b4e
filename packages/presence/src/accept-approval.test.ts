import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  acceptApproval,
  MAX_SKEW_SECONDS,
  type ApprovalRequest,
  type Consumed,
} from "./accept-approval.ts";
import type { SoftOverrides } from "@redoubt/testkit";
import type { Enrolment } from "./enrolment.ts";
import { makeStatement } from "./statement.ts";
import {
  CEREMONY,
  enrolmentsOf,
  FRAME,
  NONCE,
  NOW,
  ORIGIN,
  passStatement,
  TestPerson,
} from "./testing/ceremony-fixture.ts";

/** As a store does it: the first to write has it. */
class MemoryConsumed implements Consumed {
  readonly used = new Map<string, number>();

  async use(statementHash: string, expires: number): Promise<boolean> {
    await Promise.resolve();
    if (this.used.has(statementHash)) return false;
    this.used.set(statementHash, expires);
    return true;
  }
}

const anna = new TestPerson("anna");
const ben = new TestPerson("ben");
const statement = passStatement();

type Request = ApprovalRequest<"person.pass">;
interface Change extends Partial<Omit<Request, "policy">> {
  readonly policy?: Partial<Request["policy"]>;
}

function request({ policy, ...change }: Change = {}): Request & { consumed: Consumed } {
  return {
    statement: statement.bytes,
    assertions: [anna.approve(statement)],
    policy: {
      action: "person.pass",
      tier: "device-bound",
      approvers: 1,
      notBy: [],
      maxAgeSeconds: 120,
      ...policy,
    },
    ceremony: CEREMONY,
    enrolments: enrolmentsOf(anna, ben),
    consumed: new MemoryConsumed(),
    now: NOW + 10,
    ...change,
  };
}

/** Refused, and not used up: what was approved may still be done by whoever asks rightly. */
async function refused(change: Change, code: string): Promise<void> {
  const consumed = new MemoryConsumed();
  await assert.rejects(acceptApproval(request({ ...change, consumed })), {
    name: "PresenceError",
    code,
  });
  assert.equal(consumed.used.size, 0);
}

const both = [anna.approve(statement), ben.approve(statement)];

describe("acceptApproval()", () => {
  it("gives what was approved, by whom, and uses it up until its end", async () => {
    const consumed = new MemoryConsumed();
    const approved = await acceptApproval(
      request({ assertions: both, policy: { approvers: 2 }, consumed }),
    );
    assert.equal(approved.statement.subject.userName, "anna@example.test");
    assert.equal(approved.statementHash, encodeBase64url(statement.challenge));
    assert.deepEqual(
      approved.approvers.map(({ person, class: tier }) => [person, tier]),
      [anna, ben].map(({ person }) => [person, "device-bound"]),
    );
    assert.equal(approved.at, NOW + 10);
    assert.deepEqual([...consumed.used], [[approved.statementHash, NOW + 300]]);
  });

  it("THREAT-20: gives one approval once, of twenty who ask at a time", async () => {
    const one = request();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () => acceptApproval(one)),
    );
    const failed = outcomes.filter((outcome) => outcome.status === "rejected");
    assert.equal(failed.length, 19);
    for (const { reason } of failed) assert.equal(reason.code, "ERR_PRESENCE_USED");
    // Another assertion over the same statement is the same approval.
    await assert.rejects(acceptApproval({ ...one, assertions: [ben.approve(statement)] }), {
      code: "ERR_PRESENCE_USED",
    });
  });

  it("THREAT-20: takes no statement of another action, relying party or origin", async () => {
    const recovery = makeStatement(
      { ...FRAME, action: "person.recovery", subject: { person: "p-7", request: "r-1" } },
      NONCE,
    );
    await refused(
      { statement: recovery.bytes, assertions: [anna.approve(recovery)] },
      "ERR_PRESENCE_ACTION",
    );
    for (const change of [{ origin: "https://login.test" }, { rpId: "other.test" }]) {
      const other = passStatement(change);
      // oxlint-disable-next-line no-await-in-loop -- two
      await refused(
        { statement: other.bytes, assertions: [anna.approve(other, change)] },
        "ERR_PRESENCE_ACTION",
      );
    }
    await refused({ statement: Buffer.from("{}") }, "ERR_PRESENCE_STATEMENT");
  });

  it("THREAT-20: takes no assertion over another statement, or of the sign-in origin", async () => {
    const other = makeStatement({ ...statement.statement, ...FRAME }, Buffer.alloc(16, 9));
    await refused({ assertions: [anna.approve(other)] }, "ERR_PRESENCE_ASSERTION");
    const overrides: readonly SoftOverrides[] = [
      { origin: "https://login.test" },
      { crossOrigin: true },
      { flags: { UV: false } },
    ];
    await Promise.all(
      overrides.map((override) =>
        refused({ assertions: [anna.approve(statement, override)] }, "ERR_PRESENCE_ASSERTION"),
      ),
    );
    const flipped = anna.approve(statement, { signature: "flip" });
    await refused({ assertions: [flipped] }, "ERR_PRESENCE_SIGNATURE");
    // One bad assertion beside enough good ones is somebody's attempt.
    await refused({ assertions: [ben.approve(statement), flipped] }, "ERR_PRESENCE_SIGNATURE");
  });

  it("counts within the statement's life and the policy's age, to the second", async () => {
    const times: readonly (readonly [now: number, maxAgeSeconds: number, isTaken: boolean])[] = [
      [NOW - MAX_SKEW_SECONDS, 120, true],
      [NOW - MAX_SKEW_SECONDS - 1, 120, false],
      [NOW + 120, 120, true],
      [NOW + 121, 120, false],
      [NOW + 299, 600, true],
      [NOW + 300, 600, false],
      [Number.NaN, 600, false],
    ];
    for (const [now, maxAgeSeconds, isTaken] of times) {
      const change = { now, policy: { maxAgeSeconds } };
      // oxlint-disable-next-line no-await-in-loop -- seven
      await (isTaken ? acceptApproval(request(change)) : refused(change, "ERR_PRESENCE_TIME"));
    }
  });

  it("takes passkeys that are enrolled, in this realm and for this relying party, now", async () => {
    const taken: readonly Partial<Enrolment>[] = [{ from: NOW + 10 }, { removedAt: NOW + 11 }];
    const not: readonly Partial<Enrolment>[] = [
      { from: NOW + 11 },
      { removedAt: NOW + 10 },
      { realm: "consumer" },
      { rpId: "other.test" },
      { credential: "AQID" },
    ];
    for (const change of [...taken, ...not]) {
      const carl = new TestPerson("carl");
      const enrolments = new Map([
        [`enterprise/${carl.key.credentialId}`, { ...carl.enrolment, ...change }],
      ]);
      const asked = { enrolments, assertions: [carl.approve(statement)] };
      // oxlint-disable-next-line no-await-in-loop -- seven
      await (taken.includes(change)
        ? acceptApproval(request(asked))
        : refused(asked, "ERR_PRESENCE_ENROLMENT"));
    }
    await refused({ enrolments: enrolmentsOf(ben) }, "ERR_PRESENCE_ENROLMENT");
    const broken = new TestPerson("dora", { publicKey: "AQID" });
    await refused(
      { enrolments: enrolmentsOf(broken), assertions: [broken.approve(statement)] },
      "ERR_PRESENCE_KEY",
    );
  });

  it("THREAT-20: counts persons, not passkeys, and enough of them", async () => {
    const second = new TestPerson("anna");
    const enrolments = enrolmentsOf(anna, second);
    const twice = [anna.approve(statement), second.approve(statement)];
    await refused({ enrolments, assertions: twice }, "ERR_PRESENCE_APPROVERS");
    await refused(
      { assertions: [anna.approve(statement), anna.approve(statement)] },
      "ERR_PRESENCE_APPROVERS",
    );
    await refused({ policy: { approvers: 2 } }, "ERR_PRESENCE_APPROVERS");
    await refused({ assertions: [] }, "ERR_PRESENCE_APPROVERS");
    const many = Array.from({ length: 9 }, (_, i) => new TestPerson(`p${i}`));
    const approve = (people: readonly TestPerson[]): Change => ({
      enrolments: enrolmentsOf(...many),
      assertions: people.map((person) => person.approve(statement)),
    });
    await refused(approve(many), "ERR_PRESENCE_APPROVERS");
    assert.equal((await acceptApproval(request(approve(many.slice(1))))).approvers.length, 8);
  });

  it("takes nobody who may not approve it", async () => {
    const notBy = [ben.person];
    await acceptApproval(request({ policy: { notBy } }));
    await refused({ assertions: both, policy: { notBy } }, "ERR_PRESENCE_APPROVERS");
  });

  it("takes passkeys of the class that is asked for, or a higher one", async () => {
    const classes = ["verified", "device-bound", "attested"] as const;
    for (const [found, tier] of classes.flatMap((a) => classes.map((b) => [a, b] as const))) {
      const carl = new TestPerson("carl", { class: found });
      const change = {
        policy: { tier },
        enrolments: enrolmentsOf(carl),
        assertions: [carl.approve(statement)],
      };
      const isTaken = classes.indexOf(found) >= classes.indexOf(tier);
      // oxlint-disable-next-line no-await-in-loop -- nine
      await (isTaken ? acceptApproval(request(change)) : refused(change, "ERR_PRESENCE_TIER"));
    }
  });

  it("takes no copy of a passkey that was enrolled as bound to a device", async () => {
    for (const found of ["verified", "device-bound", "attested"] as const) {
      const carl = new TestPerson("carl", { class: found }, { backupEligible: true });
      const change = {
        policy: { tier: "verified" },
        enrolments: enrolmentsOf(carl),
        assertions: [carl.approve(statement)],
      } as const;
      // oxlint-disable-next-line no-await-in-loop -- three
      await (found === "verified"
        ? acceptApproval(request(change))
        : refused(change, "ERR_PRESENCE_TIER"));
    }
  });

  it("calls a policy that would let anything through a mistake", async () => {
    for (const policy of [
      ...[0, -1, 1.5, Number.NaN].map((approvers) => ({ approvers })),
      ...[0, -1, Number.NaN, Infinity].map((maxAgeSeconds) => ({ maxAgeSeconds })),
    ])
      // oxlint-disable-next-line no-await-in-loop -- eight
      await assert.rejects(acceptApproval(request({ policy })), RangeError);
  });

  it("fails where it cannot be known whether it was used", async () => {
    const consumed = { use: () => Promise.reject(new Error("The store is away")) };
    await assert.rejects(acceptApproval(request({ consumed })), /store is away/);
    assert.equal(ORIGIN, statement.statement.origin);
  });
});
