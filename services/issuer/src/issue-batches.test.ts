import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { until } from "@redoubt/testkit";
import type { JsonObject } from "@redoubt/verify/json";
import { RemoteError, WireError, type IssueRequest, type Reply } from "@redoubt/wire";

import { IssueBatches, QueueFull } from "./issue-batches.ts";

type Head = Readonly<Record<string, unknown>>;

/** The request of this number. */
function asked(n: number, client = "app"): IssueRequest {
  const handle = { realm: "enterprise", tenant: "t", class: "at" };
  return { handle, client, sub: `s${n}`, audience: "api", ttl: 60 };
}

/** A signer of which the test decides each answer; without one it echoes what it was asked. */
class Scripted {
  readonly calls: Head[] = [];
  readonly batches = new IssueBatches(this);
  answer: (head: Head) => JsonObject | Promise<JsonObject> = (head) => {
    const items: readonly unknown[] = Array.isArray(head["items"]) ? head["items"] : [head];
    const results = items.map((item) => ({ token: tokenOf(item) }));
    return head["op"] === "issueBatch" ? { results } : (results[0] ?? {});
  };

  async request(head: Head): Promise<Reply> {
    this.calls.push(head);
    return { head: await this.answer(head), attachment: Buffer.alloc(0) };
  }

  /** Asks for so many at once. */
  issue(count: number): Promise<PromiseSettledResult<JsonObject>[]> {
    return Promise.allSettled(
      Array.from({ length: count }, (_, n) => this.batches.issue(asked(n))),
    );
  }

  /** What each of three that go together gets for these results. */
  async outcomes(results: JsonObject[string]): Promise<PromiseSettledResult<JsonObject>[]> {
    this.answer = () => ({ results });
    const outcomes = await this.issue(3);
    assert.equal(this.calls.length, 1);
    return outcomes;
  }
}

function tokenOf(item: unknown): string {
  return typeof item === "object" && item !== null && "sub" in item
    ? `token-${String(item.sub).slice(1)}`
    : "";
}

function tokens(outcomes: readonly PromiseSettledResult<JsonObject>[]): readonly unknown[] {
  return outcomes.map((outcome) => outcome.status === "fulfilled" && outcome.value["token"]);
}

function itemsOf({ items }: Head): readonly unknown[] {
  return Array.isArray(items) ? items : [];
}

describe("how requests go to the signer", () => {
  test("one alone is `issue` as it was asked, and gets that answer", async () => {
    const signer = new Scripted();
    assert.deepEqual(await signer.batches.issue(asked(7)), { token: "token-7" });
    assert.deepEqual(signer.calls, [{ op: "issue", ...asked(7) }]);
  });

  test("one after the other are calls of their own", async () => {
    const signer = new Scripted();
    for (const n of [1, 2]) await signer.batches.issue(asked(n));
    assert.deepEqual(
      signer.calls.map(({ op }) => op),
      ["issue", "issue"],
    );
  });

  test("several that come together are one `issueBatch`, each with its own answer", async () => {
    const signer = new Scripted();
    assert.deepEqual(tokens(await signer.issue(3)), ["token-0", "token-1", "token-2"]);
    assert.deepEqual(signer.calls, [{ op: "issueBatch", items: [0, 1, 2].map((n) => asked(n)) }]);
  });

  test("64 are one call, of 65 the last is another", async () => {
    const whole = new Scripted();
    await whole.issue(64);
    assert.deepEqual(
      whole.calls.map((call) => itemsOf(call).length),
      [64],
    );
    const more = new Scripted();
    const outcomes = await more.issue(65);
    assert.deepEqual(
      more.calls.map((call) => [call["op"], itemsOf(call).length]),
      [
        ["issueBatch", 64],
        ["issue", 0],
      ],
    );
    assert.deepEqual(
      tokens(outcomes),
      Array.from({ length: 65 }, (_, n) => `token-${n}`),
    );
  });

  test("a full call does not wait for the answer to the one before", async () => {
    const signer = new Scripted();
    const gate = Promise.withResolvers<JsonObject>();
    const honest = signer.answer;
    signer.answer = (head) => (signer.calls.length === 1 ? gate.promise : honest(head));
    const outcomes = signer.issue(128);
    await new Promise(setImmediate);
    assert.deepEqual(
      signer.calls.map((call) => itemsOf(call).length),
      [64, 64],
    );
    gate.resolve({ results: Array.from({ length: 64 }, () => ({ token: "late" })) });
    const found = tokens(await outcomes);
    assert.deepEqual([found[0], found[63], found[64]], ["late", "late", "token-64"]);
  });
});

/** A signer that answers each call when the test says so. */
class Held extends Scripted {
  readonly #open: (() => void)[] = [];
  #isOpen = false;

  constructor() {
    super();
    const honest = this.answer;
    this.answer = async (head) => {
      if (!this.#isOpen)
        await new Promise<void>((resolve) => {
          this.#open.push(resolve);
        });
      return honest(head);
    };
  }

  /** Ends every call, also those that are still to come. */
  openAll(): void {
    this.#isOpen = true;
    for (const open of this.#open.splice(0)) open();
  }

  /** Ends the oldest call. */
  async end(): Promise<void> {
    this.#open.shift()?.();
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
  }
}

describe("THREAT-36: between clients", () => {
  test("one client's flood holds up another for the end of one call, not for the flood", async () => {
    const signer = new Held();
    const flood: Promise<JsonObject>[] = [];
    const more = (count: number): void => {
      for (let i = 0; i < count; i += 1)
        flood.push(signer.batches.issue(asked(flood.length, "loud")));
    };
    more(800);
    await new Promise(setImmediate);
    assert.equal(signer.calls.length, 4, "the rest waits here, where it is shared out");
    for (let round = 1; round <= 5; round += 1) {
      const quiet = signer.batches.issue(asked(round, "quiet"));
      const before: number = signer.calls.length;
      await signer.end();
      assert.equal(signer.calls.length, before + 1);
      const items = itemsOf(signer.calls.at(-1) ?? {});
      assert.equal(items.length, 64);
      assert.deepEqual(
        items.filter((item) => JSON.stringify(item).includes("quiet")),
        [asked(round, "quiet")],
      );
      // The calls that were under way before it, and its own.
      for (let call = 0; call < 4; call += 1) await signer.end();
      assert.deepEqual(await quiet, { token: `token-${round}` });
      more(315);
    }
    signer.openAll();
    const answers = await Promise.all(flood);
    assert.deepEqual(
      answers.map(({ token }) => token),
      flood.map((_, n) => `token-${n}`),
    );
  });

  test("a client has 1024 places, and more of it are refused; another is not", async () => {
    const signer = new Held();
    const waiting = 4 * 64 + 1024;
    const outcomes: (string | undefined)[] = [];
    const issue = (n: number, client: string): void => {
      signer.batches.issue(asked(n, client)).then(
        () => outcomes.push("token"),
        (error: unknown) => outcomes.push(error instanceof QueueFull ? error.code : "other"),
      );
    };
    for (let n = 0; n < 4 * 64; n += 1) issue(n, "loud");
    await new Promise(setImmediate);
    for (let n = 4 * 64; n < waiting; n += 1) issue(n, "loud");
    await new Promise(setImmediate);
    assert.deepEqual(outcomes, []);
    issue(waiting, "loud");
    issue(0, "quiet");
    await new Promise(setImmediate);
    assert.deepEqual(outcomes, ["ERR_ISSUER_QUEUE"]);
    signer.openAll();
    await until(() => outcomes.length === waiting + 2);
    assert.deepEqual(new Set(outcomes.slice(1)), new Set(["token"]));
  });
});

describe("what comes back for each", () => {
  test("a refusal is that one's alone, with everything that the signer says of it", async () => {
    const refused = {
      code: "ERR_SIGNER_BUSY",
      message: "Custody did not sign",
      retryAfterSeconds: 7,
      committed: true,
      unsigned: "e30.e30",
    };
    const [first, second, third] = await new Scripted().outcomes([
      { token: "a", expiresIn: 60 },
      refused,
      { code: "ERR_SIGNER_TTL", message: "Too long" },
    ]);
    assert.deepEqual(first, { status: "fulfilled", value: { token: "a", expiresIn: 60 } });
    assert.equal(second?.status, "rejected");
    assert.ok(second.reason instanceof RemoteError);
    const { code, message, retryAfterSeconds, details } = second.reason;
    assert.deepEqual({ code, message, retryAfterSeconds, ...details }, refused);
    assert.equal(third?.status, "rejected");
    assert.ok(third.reason instanceof RemoteError);
    assert.deepEqual([third.reason.code, third.reason.details], ["ERR_SIGNER_TTL", {}]);
  });

  test("a result that is missing or no object is an answer without a token", async () => {
    const empty = { status: "fulfilled", value: {} };
    const good = { status: "fulfilled", value: { token: "a" } };
    const cases: readonly (readonly [JsonObject[string], readonly object[]])[] = [
      [[{ token: "a" }], [good, empty, empty]],
      [
        ["token", { token: "a" }, null],
        [empty, good, empty],
      ],
      [
        [7, ["a"], { token: "a" }, { token: "b" }],
        [empty, empty, good],
      ],
      [[], [empty, empty, empty]],
      [{ 0: { token: "a" }, length: 3 }, [empty, empty, empty]],
      ["abc", [empty, empty, empty]],
      [null, [empty, empty, empty]],
    ];
    for (const [results, expected] of cases)
      assert.deepEqual(await new Scripted().outcomes(results), expected, JSON.stringify(results));
    const none = new Scripted();
    none.answer = () => ({});
    assert.deepEqual(await none.issue(2), [empty, empty]);
  });

  test("a code that is no text refuses nobody, and brings no token either", async () => {
    const [only] = await new Scripted().outcomes([{ code: 7 }, {}, {}]);
    assert.deepEqual(only, { status: "fulfilled", value: { code: 7 } });
  });

  test("a call that fails as a whole fails each of its requests, and the next call goes on", async () => {
    for (const error of [
      new WireError("ERR_WIRE_CLOSED", "gone"),
      new WireError("ERR_WIRE_TIMEOUT", "late"),
      new RemoteError("ERR_SIGNER_STARTING", "not yet", { retryAfterSeconds: 1 }),
    ])
      for (const count of [1, 3]) {
        const signer = new Scripted();
        const honest = signer.answer;
        signer.answer = () => Promise.reject(error);
        const outcomes = await signer.issue(count);
        const reasons = outcomes.map((one) => one.status === "rejected" && one.reason === error);
        assert.deepEqual(reasons, Array(count).fill(true));
        assert.equal(signer.calls.length, 1);
        signer.answer = honest;
        assert.deepEqual(tokens(await signer.issue(1)), ["token-0"]);
      }
  });
});
