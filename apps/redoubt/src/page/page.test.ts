import assert from "node:assert/strict";
import { test } from "node:test";
import type { Alarm } from "../alarms.ts";
import { alarmProblems, diskProblems, logProblems, processProblems } from "../problems.ts";
import { factsOf, keyOf, NOW } from "../testing/page-facts.ts";
import { renderFailure, renderFragment, renderPage } from "./page.ts";

const FORGED: Alarm = {
  id: 31,
  at: NOW - 300,
  kind: "forged",
  severity: "critical",
  digest: "LvM_HU-MdcTj17txxvhG0i32XnUaByRUFUyfGQaf4I0",
  reporter: "orders-api",
  detail: { kid: "YTfl6RD1h59U", via: "registered-key" },
  count: 2,
};

function titleOf(page: string): string {
  return /<title>([^<]*)<\/title>/.exec(page)?.[1] ?? assert.fail("no title");
}

/** Words in their order, without markup. */
function wordsOf(page: string): string {
  return page.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
}

test("healthy: title and first sentence say that nobody is needed", () => {
  const page = renderPage(factsOf());
  assert.equal(titleOf(page), "Healthy: nothing needs you · login.example.org · Redoubt");
  const words = wordsOf(page);
  assert.match(
    words,
    /Redoubt login\.example\.org · up 12 d · read at [\d:]{8} UTC Healthy: nothing/,
  );
  assert.match(words, /Tokens a minute 1,300 consumer 1,284, enterprise 16/);
  assert.match(words, /Validated by the SDK 91\.4 % of 1,000 tokens/);
  assert.match(words, /Next key change in 2 d 1 Dec/);
  assert.match(words, /kLkO_5A4… active pkcs11 212 tenants \(all\) verify-only in 2 d/);
  assert.match(words, /registry 1,204 2 s ago all of it/);
  assert.match(words, /On disk, all logs together: 6\.2 GB/);
  assert.match(words, /hardware: none leases rest on a TPM in software: they prove nothing about/);
  assert.match(words, /isolation: none all processes run under one user: a compromised one reads/);
  assert.doesNotMatch(page, / style=|<style|<script>|\son[a-z]+=/);
});

test("the timeline is drawn twice, each with its words for those who do not see it", () => {
  const page = renderPage(factsOf());
  const labels = page.match(/aria-label="Timeline of 2 keys, 1 of them active; next change/g);
  assert.equal(labels?.length, 2);
  assert.match(page, /<svg[^>]*class="timeline narrow"/);
});

test("P4: a frozen process is named first, with the command that wakes it", () => {
  const processes = factsOf().system.processes.map((process) =>
    process.service === "monitor"
      ? { ...process, ready: false, reason: "does not answer", restarts: 2 }
      : process,
  );
  const problems = processProblems(processes, "/srv/redoubt");
  const page = renderPage(factsOf({ processes, problems, healthy: false }));
  assert.match(titleOf(page), /^1 thing needs you: monitor is not ready: does not answer ·/);
  assert.match(wordsOf(page), /kill 101 ends it, and it is started again kill -CONT 101/);
  assert.match(wordsOf(page), /monitor not ready does not answer for 12 d 101 2/);
});

test("a disk that is nearly full and an open critical alarm: evidence, and how it is closed", () => {
  const disk = { freeBytes: 43_500_000, level: "critical" };
  const problems = [...diskProblems(disk, "/srv/redoubt"), ...alarmProblems([FORGED])];
  const openAlarms = [FORGED];
  const words = wordsOf(renderPage(factsOf({ disk, problems, openAlarms, healthy: false })));
  assert.match(words, /2 things need you, first: disk is nearly full/);
  assert.match(words, /when it is full, no token is issued df -h \/srv\/redoubt/);
  assert.match(words, /Disk 43\.5 MB free, nearly full/);
  assert.match(words, /critical 31: forged A verifier saw a signature of ours/);
  assert.match(
    words,
    /token digest LvM_HU-MdcTj17txxvhG0i32XnUaByRUFUyfGQaf4I0 reported by orders-api/,
  );
  assert.match(words, /redoubt alarms list --since 30/);
  assert.match(words, /redoubt alarms close 31 --digest LvM_HU-\S{36} --reason/);
  assert.match(words, /Forged tokens seen 2/);
});

test("a witness that is behind: how far, and until when tokens are issued", () => {
  const log = "redoubt.local/registry";
  const cosigned = { size: 183, timeSeconds: NOW - 120 };
  const logs = [{ log, size: 1204, cosigned, monitored: null }];
  const problems = logProblems(logs, NOW);
  const words = wordsOf(renderPage(factsOf({ logs, problems, healthy: false })));
  assert.match(words, /1 thing needs you: the witness is 2 min behind on redoubt\.local\/registry/);
  assert.match(words, /Tokens are still issued, for 13 min at most/);
  assert.match(words, /2 min ago, 1,021 entries behind/);
  assert.equal(
    logProblems([{ log, size: 1, cosigned: { size: 1, timeSeconds: NOW - 45 }, monitored: 1 }], NOW)
      .length,
    0,
  );
  const [stopped] = logProblems(
    [{ log, size: 1, cosigned: { size: 1, timeSeconds: NOW - 900 }, monitored: 1 }],
    NOW,
  );
  assert.match(stopped?.todo ?? "", /^No token is issued until/);
});

test("what cannot be read is said, and the rest is shown", () => {
  const facts = factsOf(
    { keys: null, openAlarms: null, alarms: null, logs: [] },
    { coverage: null, ledgerBytes: null },
  );
  const words = wordsOf(renderPage(facts));
  assert.match(words, /Alarms cannot be read That is not the same as none/);
  assert.match(words, /Keys cannot be read now/);
  assert.match(words, /Logs cannot be read now/);
  assert.match(words, /Forged tokens seen unknown/);
  assert.match(words, /publisher ready/);
  assert.match(
    renderFailure("too <slow>"),
    /<title>1 thing needs you: the system cannot be read<\/title>[^]*too &lt;slow&gt;/,
  );
});

const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(1)>' \u202e\u0000\ud800`;

test("THREAT-26: whatever a process says is shown as text, bounded, and cannot end a command", () => {
  const alarm = {
    ...FORGED,
    kind: HOSTILE,
    severity: HOSTILE,
    digest: "x; rm -rf /",
    log: HOSTILE,
    reporter: HOSTILE,
    detail: { [HOSTILE]: HOSTILE, long: "a".repeat(100_000) },
    at: Number.MAX_SAFE_INTEGER,
    count: Number.MAX_SAFE_INTEGER,
  };
  const [process, ...others] = factsOf().system.processes;
  assert.ok(process);
  const processes = [{ ...process, ready: false, reason: HOSTILE, unreadable: true }, ...others];
  const keys = Array.from({ length: 500 }, (_, i) =>
    keyOf({
      realm: HOSTILE,
      kid: `${HOSTILE}${i}`,
      since: -1,
      verifyUntil: Number.MAX_SAFE_INTEGER,
      next: { state: "active", at: Number.MAX_SAFE_INTEGER },
    }),
  );
  const logs = Array.from({ length: 500 }, () => ({
    log: HOSTILE,
    size: Number.MAX_SAFE_INTEGER,
    cosigned: { size: 0, timeSeconds: Number.MAX_SAFE_INTEGER },
    monitored: 0,
  }));
  const problems = [
    ...processProblems(processes, "/d"),
    ...alarmProblems([{ ...alarm, severity: "critical" }]),
    ...logProblems(logs, NOW),
  ];
  const openAlarms = Array.from({ length: 500 }, () => alarm);
  const facts = factsOf(
    { processes, keys, logs, problems, openAlarms, labels: [HOSTILE] },
    {
      ledgerBytes: Number.NaN,
      rates: [{ realm: "consumer", perMinute: Number.NaN }],
    },
  );
  for (const page of [renderPage(facts), renderFragment(facts)]) {
    assert.doesNotMatch(page, /<script>|<img|\u202e|\bNaN\b|Infinity|rm -rf \/ --reason/);
    assert.equal(page.includes("\0"), false);
    assert.equal(page, page.toWellFormed());
    assert.ok(page.length < 250_000, String(page.length));
    assert.match(wordsOf(page), /unreadable/);
    for (const number of page.match(/(?: x| x1| y| width)="([^"]*)"/g) ?? [])
      assert.match(number, /="-?\d+"$/);
  }
});
