import { errorCode } from "@redoubt/base";
import { keysForIssuer, type KeyInfo } from "@redoubt/registry";
import { isPublished, signingEnd, standbys } from "@redoubt/keys";
import { Client, type Published } from "./clients.ts";
import { Random } from "./random.ts";
import { REALM, SimulatedRealm, TENANT, type RealmOptions } from "./simulated-realm.ts";

export interface SimulationOptions extends RealmOptions {
  readonly seed: number;
  readonly years: number;
  /** `calm`: the clock and an impatient operator only; `storm`: taints, roll-backs, retains, and everything fails. */
  readonly weather: "calm" | "storm";
}

/** What happened; a simulation in which nothing did proves nothing. */
export interface Findings {
  /** Empty where the promises held; the simulation ends at the first. */
  readonly violations: readonly string[];
  readonly counts: Readonly<Record<Count, number>>;
  readonly voids: number;
}

type Count =
  | "checks"
  | "stale"
  /** Ordinary clients that were cut off for longer than a key is published ahead. */
  | "unknownBeyondLead"
  | "signed"
  | "unsigned"
  | "keys"
  | "rotate"
  | "taint"
  | "rollback"
  | "retain"
  | "refused";

const STEP = 900;
const HOUR = 3600;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
const CLIENTS_OF_A_KIND = 10;
const TOKEN_SECONDS = HOUR;
const SKEW = 60;
/** What an order may be answered with, whatever goes on; anything else ends the simulation. */
const REFUSALS: ReadonlySet<string> = new Set([
  "ERR_LEDGER_IO",
  "ERR_SIGNER_KEY",
  "ERR_SIGNER_KEY_WINDOW",
  "ERR_SIGNER_NO_STANDBY",
  "ERR_SIGNER_REGISTRY_VOID",
]);

export async function simulate(options: SimulationOptions): Promise<Findings> {
  const simulation = new Simulation(options);
  await simulation.run();
  return simulation;
}

class Simulation implements Findings {
  readonly violations: string[] = [];
  readonly counts: Record<Count, number> = {
    checks: 0,
    stale: 0,
    unknownBeyondLead: 0,
    signed: 0,
    unsigned: 0,
    keys: 0,
    rotate: 0,
    taint: 0,
    rollback: 0,
    retain: 0,
    refused: 0,
  };
  readonly #options: SimulationOptions;
  readonly #random: Random;
  readonly #realm: SimulatedRealm;
  readonly #clients: Client[] = [];
  /** Keys that signed lately, and when last: their tokens are still about. */
  readonly #alive = new Map<string, number>();
  /** Keys that somebody was promised to be kept. */
  readonly #promised = new Set<string>();
  #published: Published = { at: 0, kids: new Set() };
  #seenSize = -1;
  #signerBackAt = 0;
  #ledgerBackAt = 0;
  #custodyBackAt = 0;
  #impatientUntil = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#realm = new SimulatedRealm(options);
  }

  get voids(): number {
    return this.#realm.voids;
  }

  async run(): Promise<void> {
    const realm = this.#realm;
    await realm.steps.tick();
    this.#published = this.#publish();
    for (const kind of ["bundle", "jwks"] as const)
      for (let count = 0; count < CLIENTS_OF_A_KIND; count += 1)
        this.#clients.push(new Client(kind, this.#random, this.#published));
    const end = realm.seconds + this.#options.years * YEAR;
    while (realm.seconds < end && this.violations.length === 0) {
      realm.seconds += STEP;
      await this.#step();
    }
    this.counts.keys = realm.keys.length;
  }

  async #step(): Promise<void> {
    const { seconds } = this.#realm;
    if (this.#options.weather === "storm") this.#blow(seconds);
    await this.#operate(seconds);
    const isUp = seconds >= this.#signerBackAt;
    const isWanting = this.#realm.ring.activeKey(TENANT, "at") === undefined;
    if (isUp && (isWanting || seconds % HOUR === 0)) await this.#realm.steps.tick();
    if (isUp) this.#sign(seconds);
    // What clients are given now is what the publisher made of the registry a while ago.
    const served = this.#published;
    if (this.#realm.registry.size !== this.#seenSize) this.#checkRegistry(seconds);
    this.#published = this.#publish();
    this.#checkPromises();
    for (const client of this.#clients) {
      client.step(seconds, STEP, served);
      this.#present(client, seconds);
    }
  }

  #blow(now: number): void {
    const { custodian } = this.#realm;
    const fails = (meanDays: number): boolean => this.#random.chance(STEP / (meanDays * DAY));
    if (fails(30)) this.#signerBackAt = now + this.#random.magnitude(HOUR, 10 * DAY);
    if (fails(20)) this.#ledgerBackAt = now + this.#random.magnitude(HOUR, 2 * DAY);
    if (fails(20)) this.#custodyBackAt = now + this.#random.magnitude(HOUR, 8 * DAY);
    this.#realm.isLedgerDown = now < this.#ledgerBackAt;
    custodian.isDown = now < this.#custodyBackAt;
  }

  async #operate(now: number): Promise<void> {
    if (now < this.#signerBackAt) return;
    const { orders } = this.#realm;
    const due = (meanDays: number): boolean => this.#random.chance(STEP / (meanDays * DAY));
    // Somebody who rotates once often rotates again, as soon as it is allowed.
    if (due(10)) this.#impatientUntil = now + DAY;
    if (now < this.#impatientUntil && this.#random.chance(0.3))
      await this.#order("rotate", () => orders.rotate("at", "simulated"));
    if (this.#options.weather === "calm") return;
    const pick = (states: readonly string[]): KeyInfo | undefined =>
      this.#random.pick(this.#realm.keys.slice(-8).filter(({ state }) => states.includes(state)));
    const bad = due(20) ? pick(["active", "active", "prepublished", "verify-only"]) : undefined;
    if (bad)
      await this.#order("taint", async () => {
        await orders.taint(bad.kid, "simulated");
        this.#promised.delete(bad.kid);
      });
    const back = due(8) ? pick(["verify-only"]) : undefined;
    if (back) await this.#order("rollback", () => orders.rollback(back.kid, "simulated"));
    const kept = due(6) ? pick(["prepublished", "active", "verify-only"]) : undefined;
    if (kept) await this.#order("retain", () => this.#retain(kept));
  }

  /** Half of it is said by the operator, past the signer, which cannot take it back. */
  async #retain({ kid, retainedBy }: KeyInfo): Promise<void> {
    const retain = !this.#promised.has(kid);
    if (retainedBy === "ring" || this.#random.chance(0.5))
      await this.#realm.orders.retain(kid, retain, "simulated");
    else
      this.#realm.state({
        type: "key-retain",
        realm: REALM,
        kid,
        by: "operator",
        retain,
        reason: "simulated",
      });
    if (retain) this.#promised.add(kid);
    else this.#promised.delete(kid);
  }

  async #order(name: Count, order: () => Promise<unknown>): Promise<void> {
    try {
      await order();
      this.counts[name] += 1;
    } catch (error) {
      if (!REFUSALS.has(errorCode(error))) throw error;
      this.counts.refused += 1;
    }
  }

  #sign(now: number): void {
    const { ring, steps, registry } = this.#realm;
    const kid = ring.activeKey(TENANT, "at")?.kid;
    const key = kid === undefined ? undefined : registry.keys.get(kid);
    if (key) {
      this.counts.signed += 1;
      this.#alive.set(key.kid, now);
      if (key.state !== "active" || now >= signingEnd(key, this.#options.policy))
        this.#violation(now, `signed under ${key.kid}, ${key.state} or too old`);
      return;
    }
    this.counts.unsigned += 1;
    const canFollow = steps.rings.some((one) =>
      standbys(one, now).some(({ readyAt }) => readyAt <= now),
    );
    if (canFollow && !this.#realm.isLedgerDown)
      this.#violation(now, "nothing is signed though a standby is ready");
    if (this.#options.weather === "calm") this.#violation(now, "nothing is signed in calm weather");
  }

  #checkRegistry(now: number): void {
    const active = this.#realm.keys.filter(({ state }) => state === "active");
    if (active.length > 1) this.#violation(now, "two keys of a ring are active");
  }

  #publish(): Published {
    const { registry, seconds } = this.#realm;
    // Time alone withdraws a key at the end of its record only: to the hour is exact enough for that.
    if (registry.size === this.#seenSize && seconds % HOUR !== 0)
      return { at: seconds, kids: this.#published.kids };
    this.#seenSize = registry.size;
    const kids = keysForIssuer(registry, REALM, TENANT, seconds).map(({ kid }) => kid);
    return { at: seconds, kids: new Set(kids) };
  }

  /** THREAT-11: what was promised to be kept is published, as long as its record lets it verify. */
  #checkPromises(): void {
    const { registry, seconds } = this.#realm;
    for (const kid of this.#promised) {
      const key = registry.keys.get(kid);
      // An hour early: see `#publish`.
      if (!key || seconds >= key.record.verifyUntil - HOUR) this.#promised.delete(kid);
      else if (!isPublished(key.state) || !this.#published.kids.has(kid))
        this.#violation(seconds, `retained key ${kid} was withdrawn`);
    }
  }

  /** Tokens of now, and all that may still be about, at one client. */
  #present(client: Client, now: number): void {
    const { registry } = this.#realm;
    for (const [kid, signedAt] of this.#alive) {
      const state = registry.keys.get(kid)?.state;
      const isGone = state === "tainted" || state === "revoked";
      if (isGone || now - signedAt > TOKEN_SECONDS + SKEW) {
        this.#alive.delete(kid);
        continue;
      }
      this.counts.checks += 1;
      const verdict = client.verify(kid, now);
      if (verdict === "stale") this.counts.stale += 1;
      if (verdict !== "unknown") continue;
      const isCutOff = client.kind === "jwks" && client.age(now) > this.#leadPromised();
      if (isCutOff) this.counts.unknownBeyondLead += 1;
      else this.#violation(now, `${client.kind} of age ${client.age(now)} s does not know ${kid}`);
    }
  }

  /** ARCHITECTURE §3.3: twice the longest cache; a mutant with a shorter lead is held to this one. */
  #leadPromised(): number {
    return 6 * HOUR;
  }

  #violation(now: number, what: string): void {
    this.violations.push(`${new Date(now * 1000).toISOString()} ${what}`);
  }
}
