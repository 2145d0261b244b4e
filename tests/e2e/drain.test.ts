import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { errorCode } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import { startSystem, type System } from "./system.ts";

const CLIENTS = 24;

/** Clients that keep their connections and ask for one token after the other. */
class Load {
  readonly counts = new Map<string, number>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  readonly #url: URL;
  readonly #credentials: string;
  readonly #clients: Promise<void>[];
  #isOver = false;

  constructor({ announcement }: System) {
    const [, credentials = "", url = ""] =
      /-u (\S+) -d grant_type=client_credentials (\S+)$/.exec(announcement.token) ?? [];
    this.#credentials = credentials;
    this.#url = new URL(url);
    this.#clients = Array.from({ length: CLIENTS }, () => this.#run());
  }

  get tokens(): number {
    return this.counts.get("token") ?? 0;
  }

  async untilTokens(count: number): Promise<void> {
    const wanted = this.tokens + count;
    while (this.tokens < wanted) await pause(5);
  }

  async end(): Promise<readonly string[]> {
    this.#isOver = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
    return [...this.counts.keys()].toSorted((a, b) => a.localeCompare(b));
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const outcome = await this.#ask();
      this.counts.set(outcome, (this.counts.get(outcome) ?? 0) + 1);
      if (outcome !== "token") await pause(5);
    }
  }

  async #ask(): Promise<string> {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const options = { method: "POST", agent: this.#agent, auth: this.#credentials, headers };
    const asked = request(this.#url, options).end("grant_type=client_credentials");
    let status = 0;
    try {
      const [answer]: IncomingMessage[] = await once(asked, "response");
      assert.ok(answer);
      status = answer.statusCode ?? 0;
      return outcomeOf(status, await text(answer));
    } catch (error) {
      return status === 0 ? errorCode(error) : `broken: ${errorCode(error)}`;
    }
  }
}

/** Throws for an answer that is not whole. */
function outcomeOf(status: number, body: string): string {
  const answer = parseJsonObject(body);
  if (status === 200 && typeof answer["access_token"] === "string") return "token";
  return typeof answer["error"] === "string" ? `${status} ${answer["error"]}` : `broken: ${body}`;
}

describe("SIGTERM under load", () => {
  let system: System | undefined;
  const running = (): System => system ?? assert.fail("not started");
  before(async () => {
    system = await startSystem();
  });
  after(async () => {
    await system?.[Symbol.asyncDispose]();
  });

  const isCalm = async (service: string, pid: number): Promise<boolean> => {
    const status = (await running().status())[service];
    return status?.["ready"] === true && status["pid"] !== pid;
  };

  /** Ends one process under load and waits for the next one. */
  async function terminate(service: string): Promise<readonly string[]> {
    const load = new Load(running());
    await load.untilTokens(200);
    const pid = await running().pidOf(service);
    process.kill(pid, "SIGTERM");
    while (!(await isCalm(service, pid))) await pause(50);
    await load.untilTokens(200);
    assert.match(
      running().supervisor.stderr + running().supervisor.stdout,
      new RegExp(`${service} ended \\(exit code 0\\)`),
    );
    return load.end();
  }

  it("of an issuer: every request that it took is answered, then nobody listens", async () => {
    const outcomes = await terminate("issuer-enterprise");
    const expected = ["token", "ECONNREFUSED", "503 temporarily_unavailable"];
    for (const outcome of outcomes) assert.ok(expected.includes(outcome), outcome);
  });

  for (const service of ["signer-enterprise", "ledger", "monitor"])
    it(`of the ${service}: tokens, or a refusal that says when to come again`, async () => {
      const outcomes = await terminate(service);
      for (const outcome of outcomes)
        assert.ok(["token", "503 temporarily_unavailable"].includes(outcome), outcome);
    });

  it("of everything: no broken answer, nothing left behind, in order", async () => {
    const { supervisor } = running();
    const load = new Load(running());
    await load.untilTokens(200);
    const startedAt = performance.now();
    supervisor.kill("SIGTERM");
    const { code, signal } = await supervisor.ended;
    assert.deepEqual([code, signal], [0, null]);
    assert.ok(performance.now() - startedAt < 10_000);
    const expected = ["token", "ECONNREFUSED"];
    for (const outcome of await load.end()) assert.ok(expected.includes(outcome), outcome);
  });
});
