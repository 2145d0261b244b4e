import assert from "node:assert/strict";
import type { KeyObject } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { nextAuthorKey, openKeyFile } from "@redoubt/custody";
import { generateKeyPair, publicJwk, signKeyRecord, verifyKeyRecord } from "@redoubt/keys";
import { DemoRoots } from "@redoubt/registry/testing/demo-roots";
import { encodeVerifierKey, parseVerifierKey, type VerifierKey } from "@redoubt/tlog";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";
import { list, text } from "../testing/answers.ts";
import { Deployment, refusalOf, TIMES, WANTED } from "../testing/deployment.ts";

/** A deployment whose registry has a demo root; a next version can name another ring. */
class Rooted {
  readonly deployment: Deployment;
  readonly #roots = new DemoRoots();

  constructor(deployment: Deployment) {
    this.deployment = deployment;
    this.#stateRoot(deployment.ringKey);
  }

  #stateRoot(ring: string): void {
    const { clock, realm } = this.deployment;
    this.deployment.state(this.#roots.next(clock.seconds, { realms: [{ realm, ring }] }));
  }

  /** Makes the next ring key in the signer's folder, and has a root name it. */
  changeRing(): VerifierKey {
    const { folder, ringKey } = this.deployment;
    const { publicKey } = nextAuthorKey(join(folder, "ring.key"), { former: [] });
    const ring = { ...parseVerifierKey(ringKey), publicKey };
    this.#stateRoot(encodeVerifierKey(ring));
    return ring;
  }
}

interface Listed {
  readonly kid: string;
  readonly bytes: Buffer;
  readonly ring: Buffer;
}

async function listed(deployment: Deployment): Promise<Listed[]> {
  const { head } = await deployment.client().request({ op: "fetchKeys" });
  return list(head, "keys").map((key) => ({
    kid: text(key, "kid"),
    bytes: decodeBase64url(text(key, "record")),
    ring: decodeBase64url(text(key, "ring")),
  }));
}

function isVouchedFor({ bytes, ring }: Listed, by: KeyObject): boolean {
  try {
    return verifyKeyRecord(bytes, ring, by).record.kid !== "";
  } catch {
    return false;
  }
}

describe("another ring key", () => {
  it("vouches for the keys in custody, makes the next ones, and tokens go on", async () => {
    await using deployment = await Deployment.start();
    const rooted = new Rooted(deployment);
    const signer = await deployment.openReady();
    const before = await listed(deployment);
    assert.equal(before.length, 2);
    const ring = rooted.changeRing();
    await signer.tick();
    const after = await listed(deployment);
    assert.deepEqual(
      after.map((key) => key.kid),
      before.map((key) => key.kid),
    );
    for (const key of after) assert.ok(isVouchedFor(key, ring.publicKey));
    await deployment.client().request(WANTED);
    // What a restart reads is the same.
    await signer[Symbol.asyncDispose]();
    const next = await deployment.openReady();
    deployment.clock.forward(TIMES.activeSeconds);
    await next.tick();
    const keys = await listed(deployment);
    assert.equal(keys.length, 3);
    for (const key of keys) assert.ok(isVouchedFor(key, ring.publicKey));
  });

  it("never vouches for what a thief registered with the stolen one", async () => {
    await using deployment = await Deployment.start();
    const rooted = new Rooted(deployment);
    const signer = await deployment.openReady();
    const [own] = await listed(deployment);
    assert.ok(own);
    const { publicKey: theirs } = generateKeyPair("ES256");
    const { v: _, ...fields } = parseJsonObject(own.bytes);
    const stolen = openKeyFile(join(deployment.folder, "ring.key")).privateKey;
    const forged = signKeyRecord({ ...fields, publicKey: { ...publicJwk(theirs) } }, stolen);
    const { kid } = forged.record;
    deployment.stateAsRing({
      type: "key",
      realm: deployment.realm,
      kid,
      record: encodeBase64url(forged.recordBytes),
      ring: encodeBase64url(forged.ringSignature),
    });
    await signer.tick();
    const ring = rooted.changeRing();
    await signer.tick();
    const keys = await listed(deployment);
    const vouched = keys.filter((key) => isVouchedFor(key, ring.publicKey));
    assert.equal(vouched.length, 2);
    assert.ok(!vouched.some((key) => key.kid === kid));
  });

  it("where it is lost, tokens are issued and no key changes, until a root names another", async () => {
    await using deployment = await Deployment.start();
    const rooted = new Rooted(deployment);
    const first = await deployment.openReady();
    await first[Symbol.asyncDispose]();
    rmSync(join(deployment.folder, "ring.key"));
    const signer = await deployment.openReady();
    await deployment.client().request(WANTED);
    deployment.clock.forward(TIMES.activeSeconds);
    await signer.tick();
    const failed = deployment.events.all.filter(({ name }) => name === "key_step_failed");
    assert.ok(failed.some(({ fields }) => fields["code"] === "ERR_SIGNER_RING"));
    const told = deployment.monitor.told.all.filter(({ kind }) => kind === "ring-key-missing");
    assert.equal(told.length, 1);
    const [active] = await listed(deployment);
    const taint = { op: "taint", kid: active?.kid, reason: "test" };
    assert.equal(await refusalOf(deployment.client("operator").request(taint)), "ERR_SIGNER_RING");
    rooted.changeRing();
    // The pause after what failed.
    deployment.clock.forward(60);
    await signer.tick();
    assert.equal((await listed(deployment)).length, 3);
    await deployment.client().request(WANTED);
  });
});
