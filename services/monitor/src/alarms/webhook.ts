import { createHmac, sign, type KeyObject } from "node:crypto";
import { nowSeconds, type Clock, type Secret } from "@redoubt/base";
import { webhookDropped, type MonitorEvents } from "../events.ts";
import type { HttpRequest } from "../sockets/outgoing-http.ts";
import { integerOf, textOf, type Database } from "../store/database.ts";
import type { Alarm, AlarmNotice, AlarmOutlet } from "./kinds.ts";

export interface WebhookTarget {
  readonly url: string;
  /** `whsec_` and base64, as Standard Webhooks writes it. */
  readonly secret: Secret;
}

export interface WebhookParts {
  readonly db: Database;
  readonly clock: Pick<Clock, "now">;
  readonly events: MonitorEvents;
  readonly target: WebhookTarget;
  /** Ed25519: receivers that must not be able to forge our alarms check this signature instead. */
  readonly eventKey: KeyObject;
  readonly request: HttpRequest;
  /** 0…1, spreads the retries. */
  readonly random: () => number;
}

/**
 * How many events may wait. What matters most has places that nobody can fill with what is cheap to cause
 * (THREAT-31).
 */
const MAX_WAITING = { raised: 1000, updated: 750, other: 500 } as const;
const MAX_PER_RUN = 8;
const TIMEOUT_MS = 10_000;
const BACKOFF_SECONDS = [5, 30, 120, 600, 3600, 10_800, 36_000] as const;
const DEAD = "webhook-dead";

/**
 * Alarms on their way out, in the format of Standard Webhooks: at least once, bounded; what could not be
 * delivered is counted, never dropped silently.
 */
export class Webhook implements AlarmOutlet {
  readonly #parts: WebhookParts;
  readonly #insert;
  readonly #due;
  readonly #retry;
  readonly #remove;
  readonly #count;
  readonly #countOf;
  readonly #countDead;
  readonly #dead;

  constructor(parts: WebhookParts) {
    const { db } = parts;
    this.#parts = parts;
    this.#insert = db.prepare("INSERT OR IGNORE INTO outbox VALUES (?, ?, 0, ?)");
    this.#due = db.prepare("SELECT * FROM outbox WHERE due <= ? ORDER BY due, id LIMIT ?");
    this.#retry = db.prepare("UPDATE outbox SET attempts = ?, due = ? WHERE id = ?");
    this.#remove = db.prepare("DELETE FROM outbox WHERE id = ?");
    this.#count = db.prepare("SELECT count(*) AS n FROM outbox");
    // "`" follows "_": everything that begins with the first text.
    this.#countOf = db.prepare("SELECT count(*) AS n FROM outbox WHERE id >= ? AND id < ?");
    this.#countDead = db.prepare(
      "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1",
    );
    this.#dead = db.prepare("SELECT value FROM counters WHERE name = ?");
  }

  get status(): { readonly waiting: number; readonly dead: number } {
    const dead = this.#dead.get(DEAD);
    return {
      waiting: integerOf(this.#count.get() ?? {}, "n"),
      dead: dead ? integerOf(dead, "value") : 0,
    };
  }

  /** A critical alarm waits for room; another one is dropped and counted. */
  raised(alarm: Alarm): boolean {
    const id = `alarm_${alarm.id}`;
    const isCritical = alarm.severity === "critical";
    if (this.#enqueue(id, "alarm.raised", alarm, isCritical ? "raised" : "other")) return true;
    if (!isCritical) this.#drop(id, "full");
    return !isCritical;
  }

  /** The sequence is part of the id, or receivers would take the second notice for the first one again. */
  updated(notice: AlarmNotice): boolean {
    const id = `alarm_${notice.id}_${notice.sequence}`;
    return this.#enqueue(id, "alarm.updated", notice, "updated");
  }

  waiting(alarm: number): number {
    return integerOf(this.#countOf.get(`alarm_${alarm}_`, `alarm_${alarm}\``) ?? {}, "n");
  }

  #enqueue(
    id: string,
    type: string,
    data: Alarm | AlarmNotice,
    place: keyof typeof MAX_WAITING,
  ): boolean {
    if (integerOf(this.#count.get() ?? {}, "n") >= MAX_WAITING[place]) return false;
    const timestamp = new Date(data.at * 1000).toISOString();
    const body = JSON.stringify({ type, timestamp, data });
    this.#insert.run(id, body, nowSeconds(this.#parts.clock));
    return true;
  }

  /** Sends what is due, one after the other. A receiver that does not answer holds up only what is sent to it. */
  async send(): Promise<void> {
    for (const row of this.#due.all(nowSeconds(this.#parts.clock), MAX_PER_RUN)) {
      const id = textOf(row, "id");
      const failure = await this.#post(id, textOf(row, "body"));
      if (failure === undefined) this.#remove.run(id);
      else this.#later(id, integerOf(row, "attempts"), failure);
    }
  }

  /** Undefined when the receiver took it; else why not. */
  async #post(id: string, body: string): Promise<string | undefined> {
    const { target, request, clock, eventKey } = this.#parts;
    const timestamp = String(nowSeconds(clock));
    // Standard Webhooks, "Signature scheme": id, timestamp and body are signed together.
    const signed = Buffer.from(`${id}.${timestamp}.${body}`, "utf8");
    const key = Buffer.from(target.secret.reveal().slice("whsec_".length), "base64");
    const v1 = createHmac("sha256", key).update(signed).digest("base64");
    const v1a = sign(null, signed, eventKey).toString("base64");
    try {
      const { status } = await request(target.url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "webhook-id": id,
          "webhook-timestamp": timestamp,
          "webhook-signature": `v1,${v1} v1a,${v1a}`,
        },
        body,
        maxBytes: 64 * 1024,
        timeoutMs: TIMEOUT_MS,
      });
      return status >= 200 && status < 300 ? undefined : `status ${status}`;
    } catch {
      return "no answer";
    }
  }

  #later(id: string, attempts: number, reason: string): void {
    const { clock, random } = this.#parts;
    const wait = BACKOFF_SECONDS[attempts];
    if (wait === undefined) {
      this.#remove.run(id);
      return this.#drop(id, reason);
    }
    const due = nowSeconds(clock) + Math.ceil(wait * (0.75 + random() / 2));
    this.#retry.run(attempts + 1, due, id);
  }

  #drop(id: string, reason: string): void {
    this.#countDead.run(DEAD);
    webhookDropped(this.#parts.events, { id, reason });
  }
}
