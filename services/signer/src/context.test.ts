import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openSealedFile, readPassphrase } from "@redoubt/custody";
import { readMetrics, splitBlobs } from "@redoubt/wire";
import { isSignedBy, list, readToken, text } from "./testing/answers.ts";
import {
  AUDIENCE,
  CLIENT,
  CONSUMER_TENANT,
  Deployment,
  OTHER_TENANT,
  refusalOf,
  TENANT,
  WANTED,
} from "./testing/deployment.ts";
import { idOf, openBlob } from "./testing/open-blob.ts";

describe("a token", () => {
  it("says exactly what RFC 9068 and docs/spec/key-record.md §4 want, and nothing of the caller's", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { head } = await deployment.client().request({ ...WANTED, context: { why: "login" } });
    const token = readToken(text(head, "token"));
    const kid = text(head, "kid");
    assert.deepEqual(token.header, { alg: "ES256", kid, typ: "at+jwt" });
    const now = deployment.clock.seconds;
    assert.deepEqual(token.payload, {
      iss: `https://login.test/${TENANT}/v2.0`,
      sub: "user-1",
      aud: AUDIENCE,
      exp: now + 600,
      nbf: now,
      iat: now,
      jti: text(head, "jti"),
      tid: TENANT,
      ver: "2.0",
      client_id: CLIENT,
      scope: "read",
    });
    assert.equal(Buffer.from(text(head, "jti"), "base64url").length, 16);
    assert.equal(isSignedBy(deployment.foldRegistry(), token), true);
    assert.equal(head["expiresIn"], 600);
    assert.equal(head["log"], deployment.ledger.issuance.origin);
  });

  it("has no scope where none was asked for, and never the same jti", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { scope: _, ...wanted } = WANTED;
    const client = deployment.client();
    const [a, b] = await Promise.all([client.request(wanted), client.request(wanted)]);
    assert.equal("scope" in readToken(text(a.head, "token")).payload, false);
    assert.notEqual(a.head["jti"], b.head["jti"]);
  });

  it("the consumer realm has its one tenant in a fixed issuer", async () => {
    await using deployment = await Deployment.start("consumer");
    await deployment.openReady();
    const handle = { realm: "consumer", tenant: CONSUMER_TENANT, class: "at" };
    const { head } = await deployment.client().request({ ...WANTED, handle });
    const { payload } = readToken(text(head, "token"));
    assert.equal(payload["iss"], "https://login.test/consumer/v2.0");
    assert.equal(payload["tid"], CONSUMER_TENANT);
  });

  it("THREAT-03: its entry is in the log, at the place that is told, before the signature is made", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { custodian, ledger } = deployment;
    ledger.misbehave = (call, honest) => {
      if (call.op === "commit") assert.equal(custodian.signed, signed);
      return honest();
    };
    const { signed } = custodian;
    const { head } = await deployment.client().request(WANTED);
    const { signingInput } = readToken(text(head, "token"));
    const entry = ledger.issuance.entries[Number(head["index"])];
    assert.equal(entry?.length, 65);
    assert.equal(entry?.[0], 1);
    assert.deepEqual(entry?.subarray(1, 33), hash("sha256", signingInput, "buffer"));
  });

  it("the places of many tokens in many batches are those of their entries", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const client = deployment.client();
    const answers = await Promise.all(Array.from({ length: 700 }, () => client.request(WANTED)));
    const { entries, batches } = deployment.ledger.issuance;
    assert.equal(entries.length, 700);
    assert.ok(batches.length > 2);
    for (const { head } of answers) {
      const digest = hash("sha256", readToken(text(head, "token")).signingInput, "buffer");
      assert.deepEqual(entries[Number(head["index"])]?.subarray(1, 33), digest);
    }
  });

  it("its body is sealed for the tenant and the day, and opens with the realm's body key", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { head } = await deployment.client().request({ ...WANTED, context: { why: "login" } });
    const [batch] = deployment.ledger.issuance.batches;
    assert.ok(batch?.bytes);
    const [blob = Buffer.alloc(0)] = splitBlobs(batch.bytes.subarray(67));
    const digest = hash("sha256", readToken(text(head, "token")).signingInput, "buffer");
    assert.deepEqual(batch.entries[0]?.subarray(1, 33), digest);
    const { jti, kid } = head;
    const now = deployment.clock.seconds;
    const path = join(deployment.folder, "body.key");
    const bodyKey = openSealedFile(path, readPassphrase(`${path}.pass`), "body-key");
    const { origin } = deployment.ledger.issuance;
    assert.deepEqual(openBlob(blob, { bodyKey, origin, count: 1 }), [
      {
        aud: AUDIENCE,
        caller: "issuer",
        client: CLIENT,
        context: { why: "login" },
        exp: now + 600,
        iat: now,
        jti,
        kid,
        scope: "read",
        sub: "user-1",
        tid: TENANT,
      },
    ]);
    const position = Buffer.from([0, 0]);
    const commitment = Buffer.concat([position, hash("sha256", blob, "buffer")]);
    assert.deepEqual(batch.entries[0]?.subarray(33), hash("sha256", commitment, "buffer"));
  });

  it("two tenants of one batch have a blob each", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { op: _, ...one } = WANTED;
    const other = { ...one, handle: { ...one.handle, tenant: OTHER_TENANT } };
    await deployment.client().request({ op: "issueBatch", items: [one, other, one] });
    const [batch] = deployment.ledger.issuance.batches;
    const blobs = splitBlobs(batch?.bytes?.subarray(3 * 67) ?? Buffer.alloc(0));
    assert.deepEqual(
      blobs.map((blob) => idOf(blob).tenant),
      [TENANT, OTHER_TENANT],
    );
  });
});

describe("what a signer says of itself", () => {
  it("metadata answers from the start, and says whether it can issue now", async () => {
    await using deployment = new Deployment();
    await deployment.ledger.start();
    await deployment.monitor.start();
    const signer = await deployment.open();
    const client = deployment.client();
    const before = await client.request({ op: "metadata" });
    assert.equal(before.head["ready"], false);
    assert.equal(await refusalOf(client.request(WANTED)), "ERR_SIGNER_STARTING");
    deployment.register();
    await signer.ready;
    const { head } = await client.request({ op: "metadata" });
    assert.deepEqual(
      {
        ...head,
        instance: typeof head["instance"],
        registrySize: 0,
        issuerStatements: 0,
        cosigned: "",
      },
      {
        realm: "enterprise",
        instance: "string",
        log: deployment.ledger.issuance.origin,
        maxTtlSeconds: 3600,
        custody: "plain-file",
        isolation: "none",
        ready: true,
        problem: null,
        size: 0,
        registrySize: 0,
        issuerStatements: 0,
        pending: 0,
        cosigned: "",
        labels: ["roots: demo"],
      },
    );
  });

  it("fetchKeys gives the key that signs and its standby, and nothing once the caller is up to date", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const client = deployment.client("operator");
    const { head } = await client.request({ op: "fetchKeys" });
    const states = list(head, "keys").map((key) => text(key, "state"));
    assert.deepEqual(states.toSorted(), ["active", "prepublished"]);
    const again = await client.request({ op: "fetchKeys", since: head["asOf"] });
    assert.deepEqual(again.head["keys"], []);
  });

  it("metrics and health are for the operator alone; whoever else asks is refused, and told of", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    for (const op of ["metrics", "health"])
      // oxlint-disable-next-line no-await-in-loop -- one after the other is enough
      assert.equal(await refusalOf(deployment.client("issuer").request({ op })), "ERR_SIGNER_OP");
    const operator = deployment.client("operator");
    const { head } = await operator.request({ op: "metrics" });
    const names = readMetrics("signer", JSON.stringify(head)).map(({ name }) => name);
    assert.ok(names.includes("redoubt_signer_entries_pending"));
    assert.deepEqual((await operator.request({ op: "health" })).head, { ready: true });
  });

  it("status never throws, not even before anything is known", async () => {
    await using deployment = new Deployment();
    const signer = await deployment.open();
    assert.equal(Reflect.get(await signer.status(), "ready"), false);
    await signer[Symbol.asyncDispose]();
    assert.equal(Reflect.get(await signer.status(), "ready"), false);
  });

  it("a registry that names another writer for this log is refused and named", async () => {
    await using deployment = new Deployment();
    await deployment.ledger.start();
    await deployment.monitor.start();
    await using stranger = new Deployment();
    deployment.register(stranger.writerKey);
    await deployment.open();
    const { fields } = await deployment.events.named("ledger_trouble");
    assert.equal(fields["code"], "ERR_SIGNER_IDENTITY");
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_STARTING");
  });
});
