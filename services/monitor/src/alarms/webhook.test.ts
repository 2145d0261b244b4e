import assert from "node:assert/strict";
import { createHmac, createPublicKey, verify } from "node:crypto";
import { describe, it } from "node:test";
import { parseVerifierKey } from "@redoubt/tlog";
import { parseJsonObject } from "@redoubt/verify/json";
import { MonitorWorld } from "../testing/monitor-world.ts";

const KEY = Buffer.alloc(32, 9);
const WEBHOOK = { url: "http://127.0.0.1:9/hook?x=1", secret: `whsec_${KEY.toString("base64")}` };

async function raise(world: MonitorWorld, name: string): Promise<void> {
  await world.ask("signer-enterprise", { op: "refusal", code: "ERR_X", caller: name });
}

describe("webhook: Standard Webhooks", () => {
  it("posts each alarm once, signed with the shared secret and with the event key", async () => {
    await using world = await MonitorWorld.open({ webhook: WEBHOOK });
    world.pages.set("/hook", Buffer.from("ok"));
    await raise(world, "a");
    await raise(world, "a");
    await world.tickFor(3);
    assert.equal(world.posts.length, 1);
    const [post] = world.posts;
    assert.equal(post?.url, WEBHOOK.url);
    const { headers = {}, body = "" } = post.options;
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const [v1 = "", v1a = ""] = (headers["webhook-signature"] ?? "").split(" ");
    assert.equal(v1, `v1,${createHmac("sha256", KEY).update(signed).digest("base64")}`);
    const { publicKey } = parseVerifierKey(world.keys.eventKey);
    const spki = createPublicKey(publicKey.export({ format: "pem", type: "spki" }));
    const signature = Buffer.from(v1a.slice("v1a,".length), "base64");
    assert.equal(verify(null, Buffer.from(signed), spki, signature), true);
    const { type, data } = parseJsonObject(body);
    assert.equal(type, "alarm.raised");
    assert.ok(JSON.stringify(data).includes('"kind":"signer-refusal"'));
    assert.equal(headers["webhook-id"], "alarm_1");
    assert.deepEqual(world.monitor.status()["webhook"], { waiting: 0, dead: 0 });
  });

  it("retries with a growing wait under one id, over a restart, and counts what it gives up", async () => {
    await using world = await MonitorWorld.open({ webhook: WEBHOOK });
    world.pages.set("/hook", 500);
    await raise(world, "a");
    await world.tickFor(8);
    assert.equal(world.posts.length, 2);
    await world.stop();
    await world.start({ webhook: WEBHOOK });
    world.pages.set("/hook", 0);
    for (let i = 0; i < 20; i++) await world.tick(10_000_000);
    const headers = world.posts.map(({ options }) => options.headers ?? {});
    assert.deepEqual(new Set(headers.map((one) => one["webhook-id"])), new Set(["alarm_1"]));
    assert.equal(headers.length, 8);
    assert.equal(new Set(headers.map((one) => one["webhook-timestamp"])).size, 8);
    assert.deepEqual(world.monitor.status()["webhook"], { waiting: 0, dead: 1 });
    assert.ok(world.events.some(({ name }) => name === "webhook_dropped"));
  });

  it("without a webhook nothing is posted", async () => {
    await using world = await MonitorWorld.open();
    await raise(world, "a");
    await world.tickFor(3);
    assert.deepEqual(world.posts, []);
  });
});
