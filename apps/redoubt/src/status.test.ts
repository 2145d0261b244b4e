import assert from "node:assert/strict";
import { test } from "node:test";
import { ServiceError } from "@redoubt/base";
import {
  addSignature,
  cosignCheckpoint,
  ed25519Cosigner,
  ed25519Signer,
  encodeCheckpoint,
  signNote,
  SIGNATURE_TYPE,
} from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import type { KeyView } from "./keys/key-list.ts";
import { SERVICES } from "./layout.ts";
import { keyOf } from "./testing/page-facts.ts";
import { testKey, type TestKey } from "./testing/registry.ts";
import { requesterOf } from "@redoubt/testkit";
import { statusText } from "./status.ts";
import { readSystemStatus, type StatusParts } from "./status.ts";

const CRITICAL = { id: 1, at: 5, kind: "forged", severity: "critical", detail: {}, count: 1 };

function pageOf(change: JsonObject = {}): JsonObject {
  const up = { ready: true, pid: 12, restarts: 0 };
  const labelled = { ...up, custody: "plain-file", isolation: "none", labels: ["roots: demo"] };
  const all = SERVICES.map((service) => [service, service.startsWith("signer") ? labelled : up]);
  return { ...Object.fromEntries(all), ...change };
}

const LOG = "redoubt.local/registry";
const LOG_KEY = testKey(LOG);
const WITNESS = testKey("witness", SIGNATURE_TYPE.cosignature);
const STRANGER = testKey("witness", SIGNATURE_TYPE.cosignature);

function cosigned(witness: TestKey, origin = LOG, timeSeconds = 90): string {
  const body = encodeCheckpoint({ origin, size: 2, root: Buffer.alloc(32, 1) });
  const note = signNote(body, [ed25519Signer(LOG, LOG_KEY.privateKey)]);
  return addSignature(
    note,
    cosignCheckpoint(body, timeSeconds, ed25519Cosigner("witness", witness.privateKey)),
  );
}

function monitorStatus(halted: string | null): JsonObject {
  const log = { log: "l1", size: 1, cosigned: 1, halted };
  return { witness: "w", labels: [], ready: true, logs: [log] };
}

function askOf(change: Readonly<Record<string, () => JsonObject>> = {}): StatusParts {
  const answers: Readonly<Record<string, () => JsonObject>> = {
    "monitor alarms": () => ({ alarms: [], next: 0 }),
    "monitor status": () => monitorStatus(null),
    "ledger logs": () => ({ logs: [{ log: LOG, vkey: LOG_KEY.text, writer: null, size: 3 }] }),
    "ledger state": stateOf({}),
    ...change,
  };
  const client: StatusParts["client"] = (service) =>
    requesterOf(({ op }) => {
      const answer = answers[`${service} ${op}`];
      assert.ok(answer);
      return { head: answer() };
    });
  return {
    folder: "/d",
    client,
    services: SERVICES,
    readKeys: noKeys,
    witness: WITNESS.vkey,
    now: 100,
  };
}

async function noKeys(): Promise<readonly KeyView[]> {
  return [];
}

function stateOf(change: JsonObject): () => JsonObject {
  const state = { log: LOG, vkey: LOG_KEY.text, hashes: [], checkpoint: "" };
  return () => ({ ...state, size: 3, cosigned: cosigned(WITNESS), ...change });
}

function alarmsOnce(alarm: JsonObject): () => JsonObject {
  let isFirst = true;
  return () => {
    const alarms = isFirst ? [alarm] : [];
    isFirst = false;
    return { alarms, next: 1 };
  };
}

test("everything ready, no critical alarm, no halt: healthy", async () => {
  const found = await readSystemStatus(pageOf(), askOf());
  assert.equal(found.healthy, true);
  assert.deepEqual(found.problems, []);
  assert.equal(found.processes.length, SERVICES.length);
  assert.deepEqual(found.logs[0], {
    log: LOG,
    size: 3,
    cosigned: { size: 2, timeSeconds: 90 },
    monitored: null,
  });
  assert.deepEqual(found.labels, ["custody: plain-file", "isolation: none", "roots: demo"]);
  const text = statusText("Redoubt on /d", found, 100);
  assert.match(text, /^Redoubt on \/d: healthy\n/);
  assert.match(text, /registry +3 +2, 10 s ago/);
  assert.doesNotMatch(text, /Problems/);
});

test("a log that was never cosigned says so", async () => {
  const answers = { "ledger state": stateOf({ size: 0, cosigned: "" }) };
  const found = await readSystemStatus(pageOf(), askOf(answers));
  assert.equal(found.logs[0]?.cosigned, null);
  assert.match(statusText("Redoubt", found, 100), /registry +0 +never/);
});

const TROUBLES: readonly (readonly [
  string,
  JsonObject,
  Readonly<Record<string, () => JsonObject>>,
  RegExp,
])[] = [
  [
    "a process that is not ready",
    { publisher: { ready: false, restarts: 3, reason: "no registry" } },
    {},
    /publisher is not ready: no registry/,
  ],
  [
    "a key that custody must not hold",
    {
      "signer-consumer": {
        ready: true,
        refusedKeys: [{ id: "ab12", reason: "Key ab12: it can be read" }],
      },
    },
    {},
    /custody of signer-consumer holds a key that must not be used: ab12: Key ab12: it can be read/,
  ],
  ["a process that the page does not name", { ledger: null }, {}, /ledger is not ready/],
  [
    "an open critical alarm",
    {},
    { "monitor alarms": alarmsOnce(CRITICAL) },
    /1 critical alarm is open/,
  ],
  ["a halted log", {}, { "monitor status": () => monitorStatus("fork") }, /log l1 is halted: fork/],
  [
    "a monitor that is away",
    {},
    { "monitor alarms": away, "monitor status": away },
    /alarms cannot be read: gone/,
  ],
  [
    "a disk that is nearly full",
    { disk: { freeBytes: 1e6, level: "critical" } },
    {},
    /disk is nearly full/,
  ],
  [
    "a disk that says nothing",
    { disk: { freeBytes: 0, level: "unknown" } },
    {},
    /free space of the disk cannot be read/,
  ],
  ["a disk that is full", { disk: { freeBytes: 0, level: "none" } }, {}, /disk is full/],
  ["a ledger that is away", {}, { "ledger logs": away }, /logs cannot be read: gone/],
  [
    "a ledger that talks nonsense",
    {},
    { "ledger state": stateOf({ size: "3" }) },
    /logs cannot be read/,
  ],
  [
    "a cosignature by another witness",
    {},
    { "ledger state": stateOf({ cosigned: cosigned(STRANGER) }) },
    /logs cannot be read: Note is not signed by a known key/,
  ],
  [
    "a cosignature of another log",
    {},
    { "ledger state": stateOf({ cosigned: cosigned(WITNESS, "redoubt.local/other") }) },
    /cosignature of another log/,
  ],
  [
    "THREAT-37: a cosignature dated 31 s ahead",
    {},
    { "ledger state": stateOf({ cosigned: cosigned(WITNESS, LOG, 131) }) },
    /Cosignature of redoubt\.local\/registry is dated ahead of this clock/,
  ],
];

function away(): never {
  throw new ServiceError("ERR_WIRE_CLOSED", "gone");
}

for (const [what, page, answers, pattern] of TROUBLES)
  test(`${what} needs attention, and is named`, async () => {
    const found = await readSystemStatus(pageOf(page), askOf(answers));
    assert.equal(found.healthy, false);
    assert.match(found.problems.map((problem) => problem.what).join("\n"), pattern);
    for (const { todo } of found.problems) assert.notEqual(todo, "");
    assert.match(statusText("Redoubt", found, 100), /^Redoubt: NEEDS ATTENTION\n/);
  });

for (const change of [{ closed: "drill" }, { severity: "warning" }])
  test(`an alarm that is ${JSON.stringify(change)} leaves the system healthy`, async () => {
    const answers = { "monitor alarms": alarmsOnce({ ...CRITICAL, ...change }) };
    const found = await readSystemStatus(pageOf(), askOf(answers));
    assert.equal(found.healthy, true);
    assert.equal(found.alarms?.open, "closed" in change ? 0 : 1);
  });

test("P4: a process that says what no process of ours does is named, and hides no other", async () => {
  for (const own of [
    { labels: 7 },
    { labels: ["a".repeat(600)] },
    { reason: {} },
    { refusedKeys: [1] },
  ]) {
    const page = pageOf({ publisher: { ready: true, pid: 12, restarts: 0, ...own } });
    // oxlint-disable-next-line no-await-in-loop -- one after the other: a failure names its words
    const found = await readSystemStatus(page, askOf());
    assert.deepEqual(
      found.problems.map((problem) => problem.what),
      ["publisher says of itself what cannot be read"],
    );
    assert.equal(found.processes.find(({ service }) => service === "ledger")?.ready, true);
  }
});

test("P6: a realm in which no key signs is named, with the time at which one will", async () => {
  const standby = keyOf({
    state: "prepublished",
    signer: null,
    next: { state: "active", at: 3700 },
  });
  const found = await readSystemStatus(pageOf(), {
    ...askOf(),
    readKeys: () => Promise.resolve([standby]),
  });
  const [problem] = found.problems;
  assert.equal(problem?.what, "No key signs in realm enterprise, class at");
  assert.equal(problem?.todo, "The next key is active in 60 min, by itself");
});

test("keys that cannot be read are a problem, and no reason to say nothing", async () => {
  const found = await readSystemStatus(pageOf(), { ...askOf(), readKeys: away });
  assert.deepEqual([found.keys, found.healthy], [null, false]);
  assert.equal(found.problems[0]?.what, "keys cannot be read: gone");
});

test("alarms that cannot be read are not said to be none", async () => {
  const found = await readSystemStatus(pageOf(), askOf({ "monitor alarms": away }));
  assert.equal(found.alarms, null);
  assert.equal(found.healthy, false);
  const text = statusText("Redoubt", found, 100);
  assert.match(text, /^Alarms cannot be read$/m);
  assert.doesNotMatch(text, /No open alarm/);
});

test("a disk that runs low is shown, and warned of", async () => {
  const disk = { freeBytes: 43_500_000, level: "low" };
  const found = await readSystemStatus(pageOf({ disk }), askOf());
  assert.deepEqual([found.healthy, found.disk], [true, disk]);
  assert.match(statusText("Redoubt", found, 100), /^Disk: 43 MB free \(low\)$/m);
});
