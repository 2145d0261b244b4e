import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import type { BodyReadStatement, ClosedLog } from "@redoubt/registry";
import type { Asked, SIGNER } from "@redoubt/wire";
import { TestClock } from "@redoubt/testkit";
import { grant, unsignedToken } from "../testing/unsigned-token.ts";
import { BodyOpener } from "./body-opener.ts";
import { BodySealer } from "./bodies.ts";
import { buildToken } from "./token.ts";

const LOG = "redoubt.test/enterprise/2026q4";
const CLOSED = "redoubt.test/enterprise/2026q3";
const TENANT = "11111111-2222-4333-8444-555555555555";
const KEY = randomBytes(32);
type Asking = Asked<typeof SIGNER.openBody>;

/** A batch of three tokens of one tenant, and a signer whose registry says what a test says. */
class World {
  readonly clock: TestClock = new TestClock();
  readonly reads: BodyReadStatement[] = [];
  readonly tokens = [
    unsignedToken(TENANT, this.clock.seconds),
    buildToken(
      grant({ tenant: TENANT, scope: "read", context: { list: ["a", 1] } }),
      "issuer",
      "jti-of-the-second-one",
      this.clock.seconds,
    ),
    unsignedToken(TENANT, this.clock.seconds),
  ];
  readonly sealed;
  readonly opener: BodyOpener;

  constructor(sealedFor = LOG) {
    this.sealed = new BodySealer(KEY, sealedFor).seal(this.tokens);
    const closed = { log: CLOSED, successor: LOG, realm: "enterprise", size: 1, at: 1 };
    const closedLogs = new Map<string, ClosedLog>([
      [CLOSED, { ...closed, root: Buffer.alloc(32), reason: "test" }],
    ]);
    const isSameLine = (a: string, b: string) => [a, b].every((one) => [LOG, CLOSED].includes(one));
    this.opener = new BodyOpener({
      realm: "enterprise",
      origin: LOG,
      bodyKey: KEY,
      registry: () => ({ bodyReads: this.reads, closedLogs, isSameLine }),
      clock: this.clock,
    });
  }

  say(by: "digest" | "jti", token: string, realm = "enterprise"): void {
    const common = { at: this.clock.seconds, nonce: "" };
    this.reads.push({ ...common, type: "body-read", realm, by, token, reason: "test" });
  }

  /** How the body of one token is asked for by its digest. */
  asking(position: number): Asking {
    const entry = this.sealed.entries[position] ?? assert.fail();
    const token = entry.toString("base64url", 1, 33);
    return { log: LOG, by: "digest", token, entry, position };
  }

  open(asked: Asking, blob = this.sealed.blobs[0] ?? assert.fail()) {
    return this.opener.open(asked, blob);
  }
}

describe("THREAT-35: a body is opened for whom the registry says that they read it", () => {
  it("by digest and by jti, the whole body and no other", () => {
    const world = new World();
    const asked = world.asking(1);
    world.say("digest", asked.token);
    const { body } = world.open(asked);
    assert.deepEqual(body, {
      aud: "api://one",
      caller: "issuer",
      client: "app-1",
      context: { list: ["a", 1] },
      exp: world.clock.seconds + 600,
      iat: world.clock.seconds,
      jti: "jti-of-the-second-one",
      kid: grant().key.kid,
      scope: "read",
      sub: "user-1",
      tenant: TENANT,
    });
    world.say("jti", "jti-of-the-second-one");
    const byJti = { log: LOG, by: "jti", token: "jti-of-the-second-one" } as const;
    assert.deepEqual(world.open({ ...byJti, entry: undefined, position: undefined }), {
      position: 1,
      body,
    });
    world.say("jti", "another-jti-that-is-not-here");
    const none = { log: LOG, by: "jti", token: "another-jti-that-is-not-here" } as const;
    assert.deepEqual(world.open({ ...none, entry: undefined, position: undefined }), {
      position: null,
      body: null,
    });
  });

  it("not without the registry, nor an hour later, nor for another realm, token or kind of name", () => {
    const world = new World();
    const asked = world.asking(0);
    const unread = { code: "ERR_SIGNER_READING" };
    assert.throws(() => world.open(asked), unread);
    world.say("digest", asked.token, "consumer");
    world.say("jti", asked.token);
    world.say("digest", world.asking(1).token);
    assert.throws(() => world.open(asked), unread);
    world.say("digest", asked.token);
    assert.ok(world.open(asked).body);
    world.clock.forward(3600);
    assert.ok(world.open(asked).body);
    world.clock.forward(1);
    assert.throws(() => world.open(asked), unread);
  });

  it("not a body beside the one that the entry commits to", () => {
    const world = new World();
    const asked = world.asking(0);
    world.say("digest", asked.token);
    const other = world.asking(1);
    const changes: readonly Partial<Asking>[] = [
      { position: 1 },
      { position: undefined },
      { entry: undefined },
      { entry: other.entry },
      { entry: other.entry, position: 1 },
      { log: "redoubt.test/consumer/2026q4" },
    ];
    for (const change of changes)
      assert.throws(
        () => world.open({ ...asked, ...change }),
        { code: "ERR_SIGNER_BODY" },
        JSON.stringify(change),
      );
  });

  it("not a blob that was changed, cut, or sealed by somebody else", () => {
    const world = new World();
    const token = "jti-of-the-second-one";
    world.say("jti", token);
    const asked = { log: LOG, by: "jti", token, entry: undefined, position: undefined } as const;
    const blob = world.sealed.blobs[0] ?? assert.fail();
    const refused = { code: "ERR_SIGNER_BODY" };
    for (const at of [0, 1, 18, 20, 31, blob.length - 1]) {
      const changed = Buffer.from(blob);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.throws(() => world.open(asked, changed), refused, String(at));
    }
    for (const size of [0, 1, 30, 46, blob.length - 1])
      assert.throws(() => world.open(asked, blob.subarray(0, size)), refused, String(size));
    const [foreign] = new BodySealer(randomBytes(32), LOG).seal(world.tokens).blobs;
    assert.throws(() => world.open(asked, foreign), refused);
  });

  it("also one that was carried over from a closed log, under whose name it is sealed", () => {
    const world = new World(CLOSED);
    const asked = world.asking(1);
    world.say("digest", asked.token);
    assert.equal(world.open(asked).body?.["jti"], "jti-of-the-second-one");
  });
});
