import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { FakeLedger, FakeLog, FakeMonitor, haltedLog, requesterOf } from "@redoubt/testkit";
import {
  createVerifierKey,
  ed25519Cosigner,
  EMPTY_ROOT,
  openWitnessed,
  parseVerifierKey,
  SIGNATURE_TYPE,
  type VerifierKey,
} from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { ask, MONITOR, type Requester } from "@redoubt/wire";
import { issue } from "./testing/deployment.ts";
import { MonitorWorld } from "./testing/monitor-world.ts";

/** What the monitor and its stand-in in the tests of other services must both do. */
interface Subject extends AsyncDisposable {
  readonly witness: VerifierKey;
  readonly log: string;
  as(caller: string): Requester;
  /** The log gets an entry, and the witness cosigns it; the root. */
  grow(): Promise<Buffer>;
  halt(): Promise<void>;
}

const DRILL = "drill-enterprise";

async function realMonitor(): Promise<Subject> {
  const callers = ["operator", "issuer-enterprise", "signer-enterprise", "broker", DRILL];
  const world = await MonitorWorld.open({ callers }, (one) => one.preparePlace("monitor", DRILL));
  const { log } = world.deployment.enterprise;
  const submit = async (note: string): Promise<unknown> =>
    world.post("/add-checkpoint", `old ${log.size - 1}\n\n${note}`);
  return {
    witness: parseVerifierKey(world.keys.witness),
    log: log.origin,
    as: (caller) => ({
      request: async (head) => ({
        head: await world.ask(caller, { ...head }),
        attachment: Buffer.alloc(0),
      }),
    }),
    grow: async () => {
      issue(log);
      await submit(log.note());
      return log.root();
    },
    halt: async () => void (await submit(log.note(log.size, randomBytes(32)))),
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

async function fakeMonitor(): Promise<Subject> {
  const log = new FakeLog("example.test/log");
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const signer = ed25519Cosigner("witness", privateKey);
  const logs = { registry: new FakeLog("example.test/registry"), issuance: log };
  const ledger = new FakeLedger(logs, { signer, nowSeconds: () => 1, isUp: true });
  const monitor = new FakeMonitor(undefined, ledger.witnessed);
  return {
    witness: createVerifierKey({ name: "witness", type: SIGNATURE_TYPE.cosignature, publicKey }),
    log: log.origin,
    as: (caller) => requesterOf(monitor.handler, caller),
    grow: async () => {
      log.append([randomBytes(65)], Buffer.alloc(0));
      log.cosign(signer, 1);
      return log.range().root();
    },
    halt: async () => void (monitor.witnessed = haltedLog),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

const DIGEST = encodeBase64url(randomBytes(32));
const NONCE = "n".repeat(22);
const REPORT = { session: "s", seq: 1, digests: [DIGEST] };

/** What somebody asks, and the code that it is refused with. */
const REFUSED: readonly (readonly [code: string, caller: string, head: object])[] = [
  ["ERR_REQUEST_MEMBER", "issuer-enterprise", { op: "delivered" }],
  ["ERR_REQUEST_MEMBER", "issuer-enterprise", { op: "delivered", ...REPORT, realm: "consumer" }],
  ["ERR_REQUEST_MEMBER", "issuer-enterprise", { op: "delivered", ...REPORT, session: "a b" }],
  ["ERR_REQUEST_MEMBER", "issuer-enterprise", { op: "delivered", ...REPORT, lost: -1 }],
  [
    "ERR_REQUEST_MEMBER",
    "issuer-enterprise",
    { op: "delivered", ...REPORT, digests: [`${DIGEST.slice(0, 42)}_`] },
  ],
  ["ERR_REQUEST_MEMBER", "issuer-enterprise", { op: "event", kind: "a b" }],
  ["ERR_REQUEST_MEMBER", "signer-enterprise", { op: "refusal", code: "A" }],
  ["ERR_REQUEST_MEMBER", "signer-enterprise", { op: "witnessed", log: "l", nonce: "short" }],
  ["ERR_REQUEST_MEMBER", "operator", { op: "witnessed", log: "l", nonce: `${NONCE}\n` }],
  // An alarm about what somebody did is not over because a caller says so.
  ["ERR_MONITOR_OP", "signer-enterprise", { op: "event", kind: "key-tainted", over: true }],
  ["ERR_MONITOR_OP", "issuer-enterprise", { op: "event", kind: "none-such", over: true }],
  ["ERR_MONITOR_OP", "issuer-enterprise", { op: "refusal", code: "A", caller: "x" }],
  ["ERR_MONITOR_OP", "issuer-enterprise", { op: "witnessed", log: "l", nonce: NONCE }],
  ["ERR_MONITOR_OP", DRILL, { op: "witnessed", log: "l", nonce: NONCE }],
  ["ERR_MONITOR_OP", "signer-enterprise", { op: "delivered", ...REPORT }],
  ["ERR_MONITOR_OP", "signer-enterprise", { op: "alarms" }],
  ["ERR_MONITOR_OP", "operator", { op: "delivered", ...REPORT }],
  ["ERR_MONITOR_OP", "operator", { op: "event", kind: "connections-full" }],
  ["ERR_MONITOR_OP", "operator", { op: "refusal" }],
  ["ERR_MONITOR_OP", "signer-enterprise", { op: "none-such" }],
];

for (const [name, start] of Object.entries({ realMonitor, fakeMonitor }))
  describe(`docs/spec/wire.md §5: the ${name === "realMonitor" ? "monitor" : "fake of it"}`, () => {
    it("takes reports of what was delivered, also one that is sent again", async () => {
      await using subject = await start();
      const [issuer, drill] = [subject.as("issuer-enterprise"), subject.as(DRILL)];
      const marks = { lost: 1, forgotten: 2, resumed: true, closing: true };
      const audiences = [{ audience: "api://orders", count: 1 }];
      for (const report of [
        REPORT,
        REPORT,
        { ...REPORT, seq: 7, digests: [], audiences, ...marks },
      ])
        assert.deepEqual(await ask(issuer, MONITOR.delivered, report), { seq: report.seq });
      assert.deepEqual(await ask(drill, MONITOR.delivered, REPORT), { seq: 1 });
    });

    it("takes events, the end of a state whether it was told or not, and refusals", async () => {
      await using subject = await start();
      const signer = subject.as("signer-enterprise");
      for (const caller of ["issuer-enterprise", "signer-enterprise", DRILL])
        for (const over of [undefined, true] as const)
          for (const kind of ["connections-full", "delivery-queue-full"]) {
            const event = { kind, detail: "d", ...(over && { over }) };
            assert.deepEqual(await ask(subject.as(caller), MONITOR.event, event), {});
          }
      assert.deepEqual(await ask(signer, MONITOR.event, { kind: "key-tainted" }), {});
      const refusal = { code: "ERR_SIGNER_TTL", caller: "issuer" };
      assert.deepEqual(await ask(signer, MONITOR.refusal, refusal), {});
      assert.deepEqual(await ask(signer, MONITOR.refusal, { ...refusal, detail: "d" }), {});
    });

    it("THREAT-38: says what the witness holds, and of a halted log that it is halted", async () => {
      await using subject = await start();
      const held = async (caller: string, log = subject.log) => {
        const question = { log, nonce: encodeBase64url(randomBytes(16)) };
        const { note } = await ask(subject.as(caller), MONITOR.witnessed, question);
        const { size, root } = openWitnessed(note, question, subject.witness);
        return { size, root };
      };
      const empty = { size: 0, root: EMPTY_ROOT };
      assert.deepEqual(await held("signer-enterprise"), empty);
      assert.deepEqual(await held("signer-enterprise", "example.test/none"), empty);
      const root = await subject.grow();
      for (const caller of ["signer-enterprise", "broker", "operator"])
        assert.deepEqual(await held(caller), { size: 1, root });
      await subject.halt();
      await assert.rejects(held("signer-enterprise"), { code: "ERR_MONITOR_HALTED" });
    });

    it("refuses what is malformed, and what is not the caller's to ask, with the same codes", async () => {
      await using subject = await start();
      for (const [code, caller, head] of REFUSED)
        await assert.rejects(
          subject.as(caller).request(head),
          { code },
          `${caller} ${JSON.stringify(head)}`,
        );
    });
  });
