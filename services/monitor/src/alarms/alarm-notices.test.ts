import assert from "node:assert/strict";
import { generateKeyPairSync, hash } from "node:crypto";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { Secret } from "@redoubt/base";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { Database } from "../store/database.ts";
import { SCHEMA_STEPS } from "../store/schema.ts";
import { issue } from "../testing/deployment.ts";
import { MonitorWorld } from "../testing/monitor-world.ts";
import { AlarmStore } from "./alarm-store.ts";
import { Alarms } from "./alarms.ts";
import type { AlarmInput } from "./kinds.ts";
import { Webhook } from "./webhook.ts";

const SECRET = `whsec_${Buffer.alloc(32, 9).toString("base64")}`;
const HOOK = { webhook: { url: "http://127.0.0.1:9/hook", secret: SECRET } };
const { privateKey } = generateKeyPairSync("ed25519");

interface Told {
  readonly id: string;
  readonly type: unknown;
  readonly data: JsonObject;
}

function toldOf(headers: Readonly<Record<string, string>>, body: string): Told {
  const { type, data } = parseJsonObject(body);
  assert.ok(isJsonObject(data));
  return { id: headers["webhook-id"] ?? "", type, data };
}

function hitsOf({ type, data }: Told): unknown {
  return type === "alarm.raised" ? data["count"] : data["added"];
}

function sumOf(told: readonly Told[]): number {
  return told.reduce((sum, one) => sum + Number(hitsOf(one)), 0);
}

/** Alarms and the webhook on one database; what the receiver took is in `told`. */
class Room implements Disposable {
  readonly told: Told[] = [];
  readonly lines: { name: string; fields: Readonly<Record<string, unknown>> }[] = [];
  folder = mkdtempSync(join(tmpdir(), "notices-"));
  db = new Database(join(this.folder, "monitor.db"));
  isDown = false;
  now = 0;
  webhook = this.#openWebhook();
  alarms = this.#openAlarms();
  readonly #folders = [this.folder];

  /** As after `kill -9`. */
  crash(): void {
    const next = mkdtempSync(join(tmpdir(), "notices-"));
    this.#folders.push(next);
    cpSync(this.folder, next, { recursive: true });
    this.db[Symbol.dispose]();
    this.folder = next;
    this.db = new Database(join(next, "monitor.db"));
    this.webhook = this.#openWebhook();
    this.alarms = this.#openAlarms();
  }

  async tick(ms = 500): Promise<void> {
    this.now += ms;
    this.alarms.flush();
    await this.webhook.send();
  }

  async tickFor(seconds: number): Promise<void> {
    for (let i = 0; i < seconds * 2; i++) await this.tick();
  }

  #openWebhook(): Webhook {
    return new Webhook({
      db: this.db,
      clock: { now: () => this.now },
      events: (name, fields = {}) => this.lines.push({ name, fields }),
      target: { url: "http://127.0.0.1:9/hook", secret: new Secret(SECRET) },
      eventKey: privateKey,
      request: async (_, { headers = {}, body = "" }) => {
        if (this.isDown) return { status: 500, body: Buffer.alloc(0), truncated: false };
        this.told.push(toldOf(headers, body));
        return { status: 200, body: Buffer.alloc(0), truncated: false };
      },
      random: () => 0.5,
    });
  }

  #openAlarms(): Alarms {
    return new Alarms({
      store: new AlarmStore(this.db),
      clock: { now: () => this.now },
      active: () => this.now,
      events: (name, fields = {}) => this.lines.push({ name, fields }),
      outlet: this.webhook,
    });
  }

  [Symbol.dispose](): void {
    this.db[Symbol.dispose]();
    for (const folder of this.#folders) rmSync(folder, { recursive: true });
  }
}

function digestOf(i: number): string {
  return hash("sha256", `digest ${i}`, "base64url");
}

function undelivered(i: number): AlarmInput {
  return { kind: "undelivered", subject: "log", digests: [digestOf(i)], detail: {} };
}

describe("THREAT-03, THREAT-28: an open alarm swallows nothing", () => {
  it("two undelivered tokens 55 s apart are two notices, each with its digest", async () => {
    await using world = await MonitorWorld.open(HOOK);
    world.pages.set("/hook", Buffer.from("ok"));
    const first = issue(world.deployment.enterprise.log);
    await world.tickFor(55);
    const second = issue(world.deployment.enterprise.log);
    await world.tickFor(55);
    const told = world.posts
      .map(({ options }) => toldOf(options.headers ?? {}, options.body ?? ""))
      .filter(({ data }) => data["kind"] === "undelivered");
    assert.deepEqual(
      told.map(({ id, type }) => [id, type]),
      [
        ["alarm_1", "alarm.raised"],
        ["alarm_1_2", "alarm.updated"],
      ],
    );
    assert.equal(told[0]?.data["digest"], encodeBase64url(first));
    const { kind, severity, log, digests, added, count } = told[1]?.data ?? {};
    assert.deepEqual(
      { kind, severity, digests, added, count },
      {
        kind: "undelivered",
        severity: "critical",
        digests: [encodeBase64url(second)],
        added: 1,
        count: 2,
      },
    );
    assert.equal(log, told[0]?.data["log"]);
    assert.ok(world.events.some(({ name }) => name === "alarm_updated"));
  });

  it("a crash between the hit and the notice loses nothing", async () => {
    using room = new Room();
    room.alarms.raise(undelivered(1));
    await room.tickFor(10);
    room.alarms.raise(undelivered(2));
    room.alarms.raise(undelivered(3));
    room.crash();
    await room.tick();
    assert.deepEqual(room.told[1]?.data["digests"], [digestOf(2), digestOf(3)].toSorted());
    assert.deepEqual(room.told.map(hitsOf), [1, 2]);
  });

  it("a crash right after the alarm was raised loses nothing", async () => {
    using room = new Room();
    room.alarms.raise(undelivered(1));
    room.crash();
    await room.tickFor(10);
    assert.deepEqual(
      room.told.map(({ id, data }) => [id, data["digest"]]),
      [["alarm_1", digestOf(1)]],
    );
  });

  it("10,000 digests are a few notices that count every one of them, and each is found", async () => {
    using room = new Room();
    for (let i = 0; i < 10_000; i++) {
      room.alarms.raise(undelivered(i));
      if (i % 200 === 199) await room.tick();
    }
    await room.tickFor(10);
    assert.equal(sumOf(room.told), 10_000);
    assert.ok(room.told.length <= 1 + 35 / 5 + 1, String(room.told.length));
    assert.equal(new Set(room.told.map(({ id }) => id)).size, room.told.length);
    for (const { data } of room.told) assert.ok(JSON.stringify(data).length < 16_384);
    for (const i of [0, 256, 257, 9999])
      assert.deepEqual(
        room.alarms.list({ digest: digestOf(i), limit: 9 }).alarms.map(({ id }) => id),
        [1],
      );
  });

  it("10,000 digests of one hit are all found, in one notice", async () => {
    using room = new Room();
    const digests = Array.from({ length: 10_000 }, (_, i) => digestOf(i));
    room.alarms.raise({ ...undelivered(0), digests, count: 10_000 });
    await room.tickFor(10);
    assert.deepEqual(room.told.map(hitsOf), [10_000]);
    assert.equal(room.alarms.list({ digest: digestOf(9999), limit: 9 }).alarms.length, 1);
  });

  it("subjects that share one alarm are told of, too", async () => {
    using room = new Room();
    for (let i = 0; i < 700; i++)
      room.alarms.raise({ ...undelivered(i), kind: "forged", subject: `s${i}` });
    await room.tickFor(60);
    assert.equal(sumOf(room.told), 700);
    assert.equal(room.told.length, 502);
  });

  it("the same digest again is not new; after closing it is an alarm of its own", async () => {
    using room = new Room();
    for (let i = 0; i < 20; i++) {
      room.alarms.raise(undelivered(1));
      await room.tickFor(10);
    }
    assert.deepEqual(room.told.map(hitsOf), [1]);
    room.alarms.raise(undelivered(2));
    room.alarms.close({ alarm: 1, digest: digestOf(1), reason: "r" });
    room.alarms.raise(undelivered(1));
    await room.tick();
    assert.deepEqual(
      room.told.map(({ id }) => id),
      ["alarm_1", "alarm_1_2", "alarm_2"],
    );
    assert.deepEqual(room.told[1]?.data["digests"], [digestOf(2)]);
  });
});

describe("critical hits without a digest", () => {
  const hit = { kind: "unsigned-batch", subject: "log", log: "log" } as const;

  it("each after a pause is told with its own detail", async () => {
    using room = new Room();
    for (const size of [1, 2, 3]) {
      room.alarms.raise({ ...hit, detail: { size } });
      await room.tickFor(20);
    }
    assert.deepEqual(
      room.told.map(({ data }) => data["detail"]),
      [{ size: 1 }, { size: 2 }, { size: 3 }],
    );
  });

  it("THREAT-31: a flood is told of less and less often, and never more than once in 5 s", async () => {
    using room = new Room();
    for (let i = 0; i < 3600; i++) {
      room.alarms.raise({ ...hit, detail: { i } });
      await room.tick(1000);
    }
    assert.ok(room.told.length >= 5 && room.told.length <= 14, String(room.told.length));
    await room.tick(3_600_000);
    assert.equal(sumOf(room.told), 3600);
  });
});

describe("THREAT-31: the outbox", () => {
  it("a receiver that is away for an hour of forgeries leaves room for other alarms", async () => {
    using room = new Room();
    room.isDown = true;
    for (let i = 0; i < 3600; i++) {
      room.alarms.raise(undelivered(i));
      await room.tick(1000);
    }
    assert.ok(room.webhook.status.waiting < 40, String(room.webhook.status.waiting));
    room.isDown = false;
    await room.tickFor(24_000);
    assert.equal(sumOf(room.told), 3600);
    assert.equal(room.webhook.status.dead, 0);
  });

  it("an alarm that is closed while there is no room is told all the same, over a crash", async () => {
    using room = new Room();
    room.alarms.raise(undelivered(1));
    await room.tick();
    room.isDown = true;
    for (const kind of ["forged", "foreign-key"] as const)
      for (let i = 0; i < 501; i++)
        room.alarms.raise({ ...undelivered(i), kind, subject: `s${i}` });
    room.alarms.raise(undelivered(2));
    room.alarms.close({ alarm: 1, digest: digestOf(1), reason: "r" });
    assert.equal(room.webhook.status.waiting, 1000);
    room.crash();
    await room.tick();
    room.isDown = false;
    await room.tickFor(600);
    const told = room.told.filter(({ data }) => data["kind"] === "undelivered");
    assert.deepEqual(
      told.map(({ id, data }) => [id, data["digests"]]),
      [
        ["alarm_1", undefined],
        ["alarm_1_2", [digestOf(2)]],
      ],
    );
    assert.equal(room.webhook.status.dead, 0);
  });

  it("alarms of an older database are not told again, and what is new at them is", () => {
    const folder = mkdtempSync(join(tmpdir(), "notices-"));
    const path = join(folder, "monitor.db");
    const old = new DatabaseSync(path);
    for (const step of SCHEMA_STEPS.slice(0, 3)) old.exec(step);
    old.exec(`INSERT INTO alarms VALUES
      (1, 5, 5, 'undelivered', 'critical', 'log', '${digestOf(1)}', NULL, NULL, '{}', 1, NULL)`);
    old.exec(`INSERT INTO alarm_digests VALUES ('${digestOf(1)}', 1)`);
    old.exec("PRAGMA user_version = 3");
    old.close();
    const db = new Database(path);
    const added: number[] = [];
    const alarms = new Alarms({
      store: new AlarmStore(db),
      clock: { now: () => 5000 },
      active: () => 0,
      events: () => undefined,
      outlet: {
        raised: () => assert.fail("told again"),
        updated: (notice) => added.push(notice.added) > 0,
        waiting: () => 0,
      },
    });
    alarms.flush();
    alarms.raise(undelivered(1));
    alarms.raise(undelivered(2));
    alarms.flush();
    assert.deepEqual(added, [1]);
    db[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });

  it("warnings never take the places of critical alarms, and those wait for room", async () => {
    using room = new Room();
    room.isDown = true;
    for (const kind of ["signer-refusal", "event", "bad-report"] as const)
      for (let i = 0; i < 600; i++) room.alarms.raise({ kind, subject: `s${i}`, detail: {} });
    assert.equal(room.webhook.status.waiting, 500);
    const kinds = ["forged", "foreign-key", "unlogged-delivery"] as const;
    for (const kind of kinds)
      for (let i = 0; i < 400; i++)
        room.alarms.raise({ ...undelivered(i), kind, subject: `s${i}` });
    assert.equal(room.webhook.status.waiting, 1000);
    room.isDown = false;
    await room.tickFor(600);
    const critical = room.told.filter(({ data }) => data["severity"] === "critical");
    assert.equal(sumOf(critical), 1200);
  });
});
