import assert from "node:assert/strict";
import { test } from "node:test";
import { openStatement } from "@redoubt/presence";
import { TestClock } from "@redoubt/testkit";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { PRESENCE, type Head, type Requester } from "@redoubt/wire";
import { openTerminal } from "../terminal.ts";
import { askPresence, type AskPolicy } from "./ask.ts";

const ORIGIN = "http://localhost:7405";
const ID = "i".repeat(22);
const BODY = {
  realm: "enterprise",
  action: "administrator.change",
  subject: { person: "p-7", change: "grant" },
  facts: { userName: "anna@example.test", administrators: "2" },
} as const;
const POLICY: AskPolicy = { approvers: 1, seconds: 300 };
const ASSERTION = {
  credentialId: "c",
  clientDataJSON: Buffer.from("{}"),
  authenticatorData: Buffer.alloc(37),
  signature: Buffer.alloc(64),
};

type Answer = {
  readonly state: "open" | "collected" | "declined" | "expired";
  readonly count?: number;
};

/** A ceremony page that answers as it is told. */
class FakePage implements Requester {
  readonly asked: JsonObject[] = [];
  readonly answers: Answer[];
  change: JsonObject = {};

  constructor(...answers: readonly Answer[]) {
    this.answers = [...answers];
  }

  request(head: Head) {
    const asked = parseJsonObject(Buffer.from(JSON.stringify(head)), { maxDepth: 4 });
    this.asked.push(asked);
    const { op, ...rest } = asked;
    return Promise.resolve({ head: this.#answer(op, rest), attachment: Buffer.alloc(0) });
  }

  #answer(op: unknown, request: JsonObject): JsonObject {
    if (op === "open") {
      const { statement } = PRESENCE.open.request.read(request);
      const { code } = openStatement(statement);
      return { id: ID, url: `${ORIGIN}/${ID}`, code, ...this.change };
    }
    if (op === "close") return {};
    const { state, count = 0 } = this.answers.shift() ?? assert.fail("asked too often");
    const assertions = Array.from({ length: count }, () => ASSERTION);
    return PRESENCE.collect.answer.write({ state, assertions });
  }
}

function asking(page: FakePage, policy: AskPolicy = POLICY, presence: string | null = ORIGIN) {
  const lines: string[] = [];
  const terminal = openTerminal(false, {
    out: () => assert.fail("a result"),
    err: (text) => void lines.push(text),
  });
  const settings = { rpId: "localhost", ...(presence !== null && { presence }) };
  const clock = new TestClock();
  return { lines, clock, done: askPresence({ settings, page, terminal, clock }, BODY, policy) };
}

test("the terminal shows the text and the code that the page shows, and where it is", async () => {
  const page = new FakePage({ state: "open" }, { state: "collected", count: 1 });
  const { lines, clock, done } = asking(page, { ...POLICY, credentials: ["c"] });
  const { statement, assertions } = await done;
  assert.deepEqual(assertions, [ASSERTION]);
  const { issuedAt, expiresAt, origin, rpId } = statement.statement;
  assert.deepEqual(
    { issuedAt, expiresAt, origin, rpId },
    { issuedAt: clock.seconds, expiresAt: clock.seconds + 300, origin: ORIGIN, rpId: "localhost" },
  );
  const text = lines.join("");
  for (const line of [...statement.text, `Code: ${statement.code}`, `${ORIGIN}/${ID}`])
    assert.ok(text.includes(line), line);
  assert.deepEqual(
    page.asked.map(({ op }) => op),
    ["open", "collect", "collect", "close"],
  );
  assert.deepEqual(page.asked[0]?.["credentials"], ["c"]);
});

test("of several, each is told of", async () => {
  const page = new FakePage(
    { state: "open" },
    { state: "open", count: 1 },
    { state: "open", count: 1 },
    { state: "collected", count: 2 },
  );
  const { lines, done } = asking(page, { ...POLICY, approvers: 2 });
  assert.equal((await done).assertions.length, 2);
  assert.equal(lines.filter((line) => line === "Approved by 1 of 2\n").length, 1);
});

test("a no, or nobody in time, is said; and what was shown is taken down", async () => {
  for (const [state, code] of [
    ["declined", "ERR_PRESENCE_DECLINED"],
    ["expired", "ERR_PRESENCE_EXPIRED"],
  ] as const) {
    const page = new FakePage({ state });
    // oxlint-disable-next-line no-await-in-loop -- each with a page of its own
    await assert.rejects(asking(page).done, { code });
    assert.equal(page.asked.at(-1)?.op, "close");
  }
});

test("THREAT-20: a page that shows another code, or is elsewhere, is not asked for anything", async () => {
  for (const change of [{ code: "00000000" }, { url: `http://localhost:7402/${ID}` }]) {
    const page = new FakePage();
    page.change = change;
    // oxlint-disable-next-line no-await-in-loop -- each with a page of its own
    await assert.rejects(asking(page).done, { code: "ERR_PRESENCE_PAGE" });
    assert.deepEqual(
      page.asked.map(({ op }) => op),
      ["open", "close"],
    );
  }
});

test("a system from before there was such a page says that it has none", async () => {
  const page = new FakePage();
  await assert.rejects(asking(page, POLICY, null).done, { code: "ERR_PRESENCE_NOT_HERE" });
  assert.deepEqual(page.asked, []);
});
