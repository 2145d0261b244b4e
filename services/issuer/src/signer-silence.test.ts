import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { until } from "@redoubt/testkit";
import type { IssuerOptions } from "./context.ts";
import { SignerProcess } from "./testing/signer-process.ts";
import { basic, post, SECRET, System, type TokenResponse } from "./testing/system.ts";

const AUTH = { authorization: basic("app", SECRET) };
const GRANT = { grant_type: "client_credentials", scope: "read" };
/** No question of the watch's own is under way when the signer freezes: what is found out, requests find out. */
const UNASKED = { watchIntervalMs: 600_000 };
const SILENT = "ERR_ISSUER_SIGNER_SILENT";

/** An issuer whose signer is a process that can be frozen. */
class Bench implements AsyncDisposable {
  readonly system: System;
  readonly signer: SignerProcess;

  constructor(system: System, signer: SignerProcess) {
    this.system = system;
    this.signer = signer;
  }

  static async open(options: Partial<IssuerOptions>): Promise<Bench> {
    const system = new System(options);
    await system.ledger.start();
    const signer = await SignerProcess.start(system.root);
    await system.monitor.start();
    await system.putTenant();
    await system.putClient();
    await system.start();
    await system.issuer.ready;
    return new Bench(system, signer);
  }

  ask(): Promise<TokenResponse> {
    return post(this.system.tokenUrl(), GRANT, AUTH);
  }

  get codes(): readonly unknown[] {
    const refused = this.system.events.filter(({ name }) => name === "token_refused");
    return refused.map(({ fields }) => "code" in fields && fields.code);
  }

  get reported(): { readonly digests: number; readonly lost: number } {
    const { digests, reports } = this.system.monitor;
    return { digests: digests.length, lost: reports.reduce((sum, { lost }) => sum + lost, 0) };
  }

  async untilReady(): Promise<void> {
    await until(() => {
      const last = this.system.events.findLast(({ name }) => name === "signer_state");
      return last !== undefined && "ready" in last.fields && last.fields.ready === true;
    });
  }

  async isHealthy(): Promise<boolean> {
    return (await fetch(`${this.system.origin}/health`)).status === 200;
  }

  async status(): Promise<Record<string, unknown>> {
    return this.system.operate({ op: "status" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.system[Symbol.asyncDispose]();
    await this.signer[Symbol.asyncDispose]();
  }
}

function assertRefused({ status, headers, body }: TokenResponse): void {
  assert.deepEqual(
    [status, headers.get("retry-after"), body["error"]],
    [503, "2", "temporarily_unavailable"],
  );
}

describe("a signer that does not answer any more", () => {
  test("is found out without a request, and is ready again when it goes on", async () => {
    await using bench = await Bench.open({ signerSilenceMs: 100 });
    bench.signer.freeze();
    await until(() => bench.system.names.filter((name) => name === "signer_state").length === 2);
    assert.equal(await bench.isHealthy(), false);
    assertRefused(await bench.ask());
    assert.deepEqual(bench.codes, [SILENT]);
    bench.signer.thaw();
    await bench.untilReady();
    assert.equal(await bench.isHealthy(), true);
    assert.equal((await bench.ask()).status, 200);
    assert.equal(bench.signer.signed, 1);
  });

  test("is found out; everybody is refused at once, and nothing more is sent to it", async () => {
    await using bench = await Bench.open({ signerSilenceMs: 200, ...UNASKED });
    bench.signer.freeze();
    for (const answer of await Promise.all([bench.ask(), bench.ask(), bench.ask()]))
      assertRefused(answer);
    assert.equal(await bench.isHealthy(), false);
    const { ready, reason, tokens } = await bench.status();
    assert.deepEqual([ready, reason], [false, SILENT]);
    assert.deepEqual(tokens, { issued: 0, refused: 3, underWay: 3 });
    for (let count = 0; count < 20; count += 1) assertRefused(await bench.ask());
    assert.deepEqual(bench.codes, Array(23).fill(SILENT));
    bench.signer.thaw();
    await bench.untilReady();
    assert.equal((await bench.ask()).status, 200);
    await until(() => bench.reported.digests === 4);
    assert.equal(bench.signer.signed, 4, "those that were refused at once never reached it");
  });

  test("THREAT-28: what it had when it froze and signs later is reported, and comes back by itself", async () => {
    await using bench = await Bench.open({ signerSilenceMs: 100, ...UNASKED });
    for (let round = 1; round <= 2; round += 1) {
      bench.signer.freeze();
      assertRefused(await bench.ask());
      bench.signer.thaw();
      await until(() => bench.reported.digests === round);
      await bench.untilReady();
      assert.equal(await bench.isHealthy(), true);
    }
    assert.deepEqual(bench.reported, { digests: 2, lost: 0 });
  });

  test("THREAT-28: what it had for too long is lost from when it goes on: only then may it be logged", async () => {
    await using bench = await Bench.open({
      signerSilenceMs: 100,
      signerTimeoutMs: 250,
      ...UNASKED,
    });
    bench.signer.freeze();
    await Promise.all([bench.ask(), bench.ask()]);
    await longEnoughToTimeOut();
    assert.deepEqual(bench.reported, { digests: 0, lost: 0 });
    assert.deepEqual((await bench.status())["tokens"], { issued: 0, refused: 2, underWay: 2 });
    bench.signer.thaw();
    await until(() => bench.reported.lost === 2);
    assert.deepEqual((await bench.status())["tokens"], { issued: 0, refused: 2, underWay: 0 });
    assert.equal((await bench.ask()).status, 200);
  });

  test("THREAT-28: what it had when its process ended is lost", async () => {
    await using bench = await Bench.open({ signerSilenceMs: 100, ...UNASKED });
    bench.signer.freeze();
    await Promise.all([bench.ask(), bench.ask()]);
    assert.equal(bench.reported.lost, 0);
    await bench.signer[Symbol.asyncDispose]();
    await until(() => bench.reported.lost === 2);
    assertRefused(await bench.ask());
    assert.equal(bench.codes.at(-1), SILENT);
  });
});

/** Nothing can be seen of a time-out at a silent signer: that is what is tested. */
async function longEnoughToTimeOut(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, 500);
  });
}

describe("a signer that is slow", () => {
  test("is not silent as long as it answers anything", async () => {
    await using system = await System.open({ signerSilenceMs: 40 });
    await system.putTenant();
    await system.putClient();
    const gate = Promise.withResolvers<void>();
    let questions = 0;
    const honest = system.signer.metadata;
    Object.defineProperty(system.signer, "metadata", {
      get: () => {
        questions += 1;
        return honest;
      },
    });
    system.signer.issue = async (head) => {
      await gate.promise;
      return system.signer.sign(head);
    };
    const answer = post(system.tokenUrl(), GRANT, AUTH);
    await until(() => system.signer.asked.length === 1);
    const before = questions;
    // Each after 5 ms and more: longer than a silence lasts.
    await until(() => questions - before >= 20);
    assert.equal((await fetch(`${system.origin}/health`)).status, 200);
    gate.resolve();
    assert.equal((await answer).status, 200);
    assert.deepEqual(
      system.names.filter((name) => name === "signer_state"),
      ["signer_state"],
    );
  });
});
