import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { readToken, text } from "../testing/answers.ts";
import { Deployment, refusalOf, TIMES, WANTED } from "../testing/deployment.ts";

const { prepublishSeconds, activeSeconds, verifyOnlySeconds, expirySeconds } = TIMES;
const reason = "because a test says so";

interface Key {
  readonly kid: string;
  readonly state: string;
  readonly retained: string | null;
}

/** A signer with an operator at its socket, and what its ring consists of. */
class Operated {
  readonly deployment: Deployment;
  readonly operator;
  #signer: Awaited<ReturnType<Deployment["openReady"]>> | undefined;

  constructor(deployment: Deployment) {
    this.deployment = deployment;
    this.operator = deployment.client("operator");
  }

  async open(): Promise<this> {
    this.#signer = await this.deployment.openReady();
    return this;
  }

  /** Time passes, and the life cycle is looked at. */
  async forward(seconds: number): Promise<void> {
    this.deployment.clock.forward(seconds);
    await this.#signer?.tick();
  }

  async ask(op: string, head: JsonObject): Promise<JsonObject> {
    return (await this.operator.request({ op, ...head })).head;
  }

  refusal(op: string, head: JsonObject): Promise<string> {
    return refusalOf(this.operator.request({ op, ...head }));
  }

  async keys(): Promise<readonly Key[]> {
    const { rings } = await this.ask("rings", {});
    const [ring]: unknown[] = Array.isArray(rings) ? rings : [];
    const keys: unknown = typeof ring === "object" && ring !== null && Reflect.get(ring, "keys");
    return Array.isArray(keys)
      ? keys.map((key: Key) => ({ kid: key.kid, state: key.state, retained: key.retained }))
      : [];
  }

  async kidOf(state: string): Promise<string> {
    return (await this.keys()).find((key) => key.state === state)?.kid ?? `no key is ${state}`;
  }

  async states(): Promise<string[]> {
    return (await this.keys()).map(({ state }) => state);
  }

  /** The kid of a token that is issued now. */
  async signing(): Promise<string> {
    const { head } = await this.deployment.client().request(WANTED);
    return text(readToken(text(head, "token")).header, "kid");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.deployment[Symbol.asyncDispose]();
  }
}

async function operated(): Promise<Operated> {
  return await new Operated(await Deployment.start()).open();
}

describe("rotate", () => {
  it("P6: activates the standby that every verifier knows, and publishes the next", async () => {
    await using signer = await operated();
    await signer.forward(prepublishSeconds);
    const [old, standby] = [await signer.kidOf("active"), await signer.kidOf("prepublished")];
    const answer = await signer.ask("rotate", { class: "at", reason });
    assert.deepEqual(answer, { kid: standby, before: old, presence: "none" });
    assert.deepEqual(await signer.states(), ["verify-only", "active", "prepublished"]);
    assert.equal(await signer.signing(), standby);
    const { detail } = await signer.deployment.monitor.told.first(
      ({ kind }) => kind === "key-rotated-by-hand",
    );
    assert.match(detail, new RegExp(reason));
  });

  it("P6: is refused while the standby could be unknown to somebody, and says for how long", async () => {
    await using signer = await operated();
    await signer.forward(prepublishSeconds - 1);
    const old = await signer.kidOf("active");
    const asked = signer.operator.request({ op: "rotate", class: "at", reason });
    await assert.rejects(asked, {
      code: "ERR_SIGNER_NO_STANDBY",
      details: { retryAfterSeconds: 1 },
    });
    assert.equal(await signer.signing(), old);
    await signer.forward(1);
    await signer.ask("rotate", { class: "at", reason });
    // The next one was published just now.
    assert.equal(await signer.refusal("rotate", { class: "at", reason }), "ERR_SIGNER_NO_STANDBY");
  });

  it("goes on after a lost compare-and-swap between its two entries, without a void statement", async () => {
    await using signer = await operated();
    await signer.forward(prepublishSeconds);
    const standby = await signer.kidOf("prepublished");
    let [swaps, lost] = [0, 0];
    signer.deployment.ledger.misbehave = ({ op, head }, honest) => {
      if (op === "append" && head["ifSize"] !== undefined) swaps += 1;
      if (op !== "append" || swaps < 2 || lost >= 3) return honest();
      lost += 1;
      throw new ServiceError("ERR_LEDGER_SIZE", "Registry moved");
    };
    const { kid } = await signer.ask("rotate", { class: "at", reason });
    assert.deepEqual([kid, lost, await signer.signing()], [standby, 3, standby]);
    assert.equal(signer.deployment.events.count("registry_void"), 0);
  });
});

describe("taint", () => {
  it("THREAT-12: ends a key at once: revoked, out of every key set, its standby signs", async () => {
    await using signer = await operated();
    await signer.forward(prepublishSeconds);
    const [bad, standby] = [await signer.kidOf("active"), await signer.kidOf("prepublished")];
    const answer = await signer.ask("taint", { kid: bad, reason });
    assert.deepEqual(answer, { kid: bad, state: "revoked", active: standby, presence: "none" });
    assert.equal(await signer.signing(), standby);
    assert.equal(signer.deployment.custodian.destroyed.length, 1);
    await signer.deployment.monitor.told.first(({ kind }) => kind === "key-tainted");
    // Again: it is so already, and nothing more is said.
    const { size } = signer.deployment.ledger.registry;
    assert.equal((await signer.ask("taint", { kid: bad, reason }))["state"], "revoked");
    assert.equal(signer.deployment.ledger.registry.size, size);
  });

  it("THREAT-12: without a ready standby nothing is signed, rather than under a key that nobody knows", async () => {
    await using signer = await operated();
    await signer.forward(prepublishSeconds - 1);
    const bad = await signer.kidOf("active");
    assert.equal((await signer.ask("taint", { kid: bad, reason }))["active"], null);
    const issue = signer.deployment.client().request(WANTED);
    assert.equal(await refusalOf(issue), "ERR_SIGNER_NO_KEY");
    await signer.forward(1);
    assert.equal(await signer.signing(), await signer.kidOf("active"));
  });

  it("P6: a standby that somebody may not know yet signs at once where a person says so, told with its price", async () => {
    await using signer = await operated();
    await signer.forward(60);
    const [bad, standby] = [await signer.kidOf("active"), await signer.kidOf("prepublished")];
    const answer = await signer.ask("taint", { kid: bad, reason, early: true });
    assert.deepEqual(answer, { kid: bad, state: "revoked", active: standby, presence: "none" });
    assert.equal(await signer.signing(), standby);
    const { detail } = await signer.deployment.monitor.told.first(
      ({ kind }) => kind === "key-activated-early",
    );
    assert.match(detail, /may refuse its tokens for up to 119 min/);
    // Once more, in the same lead: the standby of the standby.
    const next = await signer.kidOf("prepublished");
    assert.equal(
      (await signer.ask("taint", { kid: standby, reason, early: true }))["active"],
      next,
    );
  });

  it("P6: after a taint without a successor `rotate` ends the outage early, and only then", async () => {
    await using signer = await operated();
    const [bad, standby] = [await signer.kidOf("active"), await signer.kidOf("prepublished")];
    const rotate = { class: "at", reason, early: true };
    assert.equal(await signer.refusal("rotate", rotate), "ERR_SIGNER_NO_STANDBY");
    await signer.ask("taint", { kid: bad, reason });
    assert.equal(
      await signer.refusal("rotate", { ...rotate, early: false }),
      "ERR_SIGNER_NO_STANDBY",
    );
    const answer = await signer.ask("rotate", rotate);
    assert.deepEqual(answer, { kid: standby, before: null, presence: "none" });
    assert.equal(await signer.signing(), standby);
    await signer.deployment.monitor.told.first(({ kind }) => kind === "key-activated-early");
  });

  it("a standby, a key that only verifies, a retained one: each can be tainted, and is replaced", async () => {
    for (const state of ["prepublished", "verify-only"]) {
      await using signer = await operated();
      await signer.forward(activeSeconds);
      const kid = await signer.kidOf(state);
      await signer.ask("retain", { kid, retain: true, reason });
      assert.equal((await signer.ask("taint", { kid, reason }))["state"], "revoked");
      assert.equal((await signer.states()).includes("active"), true);
      assert.notEqual(await signer.kidOf("prepublished"), kid);
    }
  });

  it("THREAT-29: works while the clock is wrong; nothing else of the life cycle does", async () => {
    for (const by of [86_400, -86_400]) {
      await using signer = await operated();
      await signer.forward(prepublishSeconds);
      const [bad, standby] = [await signer.kidOf("active"), await signer.kidOf("prepublished")];
      const { ledger, clock } = signer.deployment;
      // The witness's time is right; what it says no longer fits this signer's clock.
      const right = clock.seconds;
      ledger.witness.isUp = false;
      for (const log of [ledger.registry, ledger.issuance])
        log.cosign(ledger.witness.signer, right);
      clock.set(by);
      const { size } = ledger.registry;
      await signer.forward(0);
      assert.equal(ledger.registry.size, size);
      assert.match(await signer.refusal("rotate", { class: "at", reason }), /CLOCK|UNWITNESSED/);
      assert.match(await signer.refusal("rollback", { kid: bad, reason }), /CLOCK|UNWITNESSED/);
      const answer = await signer.ask("taint", { kid: bad, reason });
      assert.deepEqual([answer["state"], answer["active"]], ["tainted", null]);
      assert.equal(signer.deployment.custodian.destroyed.length, 0);
      clock.set(-by);
      ledger.witness.isUp = true;
      await signer.forward(0);
      assert.equal(await signer.signing(), standby);
    }
  });
});

describe("retain", () => {
  it("THREAT-11: a key is not withdrawn while it is set, and is when it is released", async () => {
    await using signer = await operated();
    const kid = await signer.kidOf("active");
    const answer = await signer.ask("retain", { kid, retain: true, reason });
    assert.deepEqual(answer, { kid, retained: true, presence: "none" });
    await signer.forward(activeSeconds);
    await signer.forward(verifyOnlySeconds * 3);
    assert.deepEqual((await signer.keys())[0], { kid, state: "verify-only", retained: "ring" });
    await signer.ask("retain", { kid, retain: false, reason });
    await signer.forward(1);
    assert.deepEqual((await signer.keys())[0], { kid, state: "retired", retained: null });
    assert.equal(signer.deployment.events.count("registry_void"), 0);
  });

  it("asked again it changes nothing; of the operator's statement it lifts nothing", async () => {
    await using signer = await operated();
    const { deployment } = signer;
    const kid = await signer.kidOf("active");
    const { size } = deployment.ledger.registry;
    assert.equal((await signer.ask("retain", { kid, retain: false, reason }))["retained"], false);
    assert.equal(deployment.ledger.registry.size, size);
    const { realm } = deployment;
    deployment.state({ type: "key-retain", realm, kid, by: "operator", retain: true, reason });
    assert.equal(await signer.refusal("retain", { kid, retain: false, reason }), "ERR_SIGNER_KEY");
    assert.equal((await signer.ask("retain", { kid, retain: true, reason }))["retained"], true);
    assert.equal(deployment.events.count("registry_void"), 0);
  });
});

describe("rollback", () => {
  it("the key before signs again, the newer one verifies only, and the life cycle leaves it so", async () => {
    await using signer = await operated();
    await signer.forward(activeSeconds);
    const [old, current] = [await signer.kidOf("verify-only"), await signer.kidOf("active")];
    const answer = await signer.ask("rollback", { kid: old, reason });
    assert.deepEqual(answer, { kid: old, before: current, presence: "none" });
    assert.equal(await signer.signing(), old);
    // The standby is ready by now, and the key is past its active time: it was put back on purpose.
    await signer.forward(prepublishSeconds);
    assert.equal(await signer.signing(), old);
    assert.equal((await signer.ask("rollback", { kid: old, reason }))["before"], null);
    await signer.deployment.monitor.told.first(({ kind }) => kind === "key-rolled-back");
  });

  it("THREAT-02: a roll-back makes no key younger: at its age limit the standby takes over", async () => {
    await using signer = await operated();
    await signer.forward(activeSeconds);
    const old = await signer.kidOf("verify-only");
    await signer.ask("rollback", { kid: old, reason });
    await signer.forward(expirySeconds - activeSeconds - 1);
    assert.equal(await signer.signing(), old);
    await signer.forward(1);
    assert.notEqual(await signer.signing(), old);
  });

  it("THREAT-02: is refused past the age limit, and from every other state", async () => {
    await using signer = await operated();
    const { deployment } = signer;
    const first = await signer.kidOf("active");
    await signer.ask("retain", { kid: first, retain: true, reason });
    await signer.forward(activeSeconds);
    await signer.forward(expirySeconds - activeSeconds);
    const rollback = (kid: string): Promise<string> => signer.refusal("rollback", { kid, reason });
    assert.equal(await rollback(first), "ERR_SIGNER_KEY_WINDOW");
    assert.equal(await rollback(await signer.kidOf("prepublished")), "ERR_SIGNER_KEY");
    assert.equal(await rollback("A".repeat(43)), "ERR_SIGNER_KEY");
    await signer.ask("taint", { kid: first, reason });
    assert.equal(await rollback(first), "ERR_SIGNER_KEY");
    assert.equal(deployment.events.count("registry_void"), 0);
  });
});

describe("the age of a key", () => {
  it("S-06: at 80 % of its limit the monitor is told, once, even where no step succeeds", async () => {
    await using signer = await operated();
    const { deployment } = signer;
    deployment.ledger.misbehave = ({ op }, honest) => {
      if (op === "append") throw new ServiceError("ERR_LEDGER_FULL", "Full");
      return honest();
    };
    const told = (kind: string): number =>
      deployment.monitor.told.all.filter((one) => one.kind === kind).length;
    const kid = await signer.kidOf("active");
    await signer.forward(expirySeconds * 0.8 - 1);
    assert.equal(deployment.events.count("key_age"), 0);
    await signer.forward(1);
    const alarm = await deployment.monitor.told.first(({ kind }) => kind === "key-age-alarm");
    assert.match(alarm.detail, new RegExp(`Key ${kid} has been active for P1DT14H24M, 80 %`));
    await signer.forward(60);
    await signer.forward(expirySeconds * 0.2 - 60);
    await deployment.monitor.told.first(({ kind }) => kind === "key-age-stop");
    assert.equal(told("key-age-alarm"), 1);
    // S-06: past 100 % nothing is signed, though the registry still calls the key active.
    const issue = deployment.client().request(WANTED);
    assert.equal(await refusalOf(issue), "ERR_SIGNER_NO_KEY");
    assert.equal(await signer.kidOf("active"), kid);
  });
});

describe("key operations", () => {
  it("THREAT-04: are the operator's; anybody else is refused, with an alarm", async () => {
    await using signer = await operated();
    const { deployment } = signer;
    const kid = await signer.kidOf("active");
    const { size } = deployment.ledger.registry;
    for (const caller of ["issuer", "drill"] as const)
      for (const head of [
        { op: "rotate", class: "at", reason },
        { op: "taint", kid, reason },
        { op: "retain", kid, retain: true, reason },
        { op: "rollback", kid, reason },
        { op: "rings" },
      ]) {
        const asked = deployment.client(caller).request(head);
        assert.equal(await refusalOf(asked), "ERR_SIGNER_OP");
      }
    await deployment.monitor.refusal("ERR_SIGNER_OP");
    assert.equal(deployment.ledger.registry.size, size);
  });

  it("are refused with a code when a member is wrong, missing or unknown", async () => {
    await using signer = await operated();
    const kid = await signer.kidOf("active");
    const wrong: readonly (readonly [string, JsonObject])[] = [
      ["rotate", { class: "id", reason }],
      ["rotate", { class: "oidc", reason }],
      ["rotate", { class: "at" }],
      ["rotate", { class: "at", reason: "" }],
      ["rotate", { class: "at", reason: "x".repeat(161) }],
      ["rotate", { class: "at", reason: "a\nb" }],
      ["rotate", { class: "at", reason, kid }],
      ["taint", { reason }],
      ["taint", { kid: `${kid}A`, reason }],
      ["taint", { kid, reason, state: "active" }],
      ["retain", { kid, reason }],
      ["retain", { kid, retain: "true", reason }],
      ["rollback", { kid }],
      ["rings", { class: "at" }],
    ];
    const { size } = signer.deployment.ledger.registry;
    for (const [op, head] of wrong)
      assert.equal(await signer.refusal(op, head), "ERR_REQUEST_MEMBER", JSON.stringify(head));
    assert.equal(signer.deployment.ledger.registry.size, size);
  });
});
