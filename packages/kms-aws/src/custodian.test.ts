import assert from "node:assert/strict";
import { after, it } from "node:test";
import { inspect } from "node:util";
import { Secret } from "@redoubt/base";
import { custodyContract } from "@redoubt/custody/testing";
import {
  answering,
  describeKms,
  describing,
  failing,
  openTestCustodian,
  sdkAbsent,
  TEST_CREDENTIALS,
} from "./testing/fixture.ts";
import { KmsServer, TEST_ACCESS_KEY_ID, TEST_SECRET } from "./testing/kms-server.ts";

if (sdkAbsent === false) {
  const shared = await KmsServer.start();
  after(async () => shared[Symbol.asyncDispose]());
  custodyContract("AWS KMS (a server of the tests)", async () => openTestCustodian(shared));
} else describeKms("custody: AWS KMS", () => undefined);

const UNKNOWN = { name: "KeyError", code: "ERR_KEY_UNKNOWN" };
const ALG = { name: "KeyError", code: "ERR_KEY_ALG" };
const REFUSED = { name: "KeyError", code: "ERR_KEY_REFUSED" };
const DISABLED = { name: "KeyError", code: "ERR_KEY_DISABLED" };
const ANSWER = { name: "KeyError", code: "ERR_KEY_CUSTODY" };
const OURS = new Map([
  ["redoubt:ring", "consumer"],
  ["redoubt:alg", "ES256"],
]);

/** A key that has both marks without the adapter having made it. */
function plant(
  server: KmsServer,
  keySpec = "ECC_NIST_P256",
  tags: ReadonlyMap<string, string> = OURS,
) {
  const key = server.state.add(keySpec, tags);
  server.state.aliases.set(`alias/redoubt/consumer/${key.id}`, key.id);
  return key;
}

describeKms("AWS KMS: which keys are ours", () => {
  it("asks for a key that never leaves KMS, with both marks", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const { id } = await custodian.generate("PS256");
    const [create, getPublicKey, createAlias] = server.seen;
    assert.deepEqual(create?.input, {
      KeyUsage: "SIGN_VERIFY",
      KeySpec: "RSA_3072",
      Origin: "AWS_KMS",
      MultiRegion: false,
      Description: "Redoubt consumer PS256",
      Tags: [
        { TagKey: "redoubt:ring", TagValue: "consumer" },
        { TagKey: "redoubt:alg", TagValue: "PS256" },
      ],
    });
    const arn = server.state.keys.get(id)?.arn;
    assert.deepEqual(getPublicKey?.input, { KeyId: arn });
    assert.deepEqual(createAlias?.input, {
      AliasName: `alias/redoubt/consumer/${id}`,
      TargetKeyId: id,
    });
    assert.equal(server.seen.length, 3);
  });

  it("lists its own over many pages, and nobody else's", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const ids = Array.from({ length: 5 }, () => plant(server).id);
    const foreign = server.state.add("ECC_NIST_P256");
    for (const alias of [
      "alias/other",
      `alias/redoubt/consumer2/${foreign.id}`,
      `alias/redoubt/consume/${foreign.id}`,
      "alias/redoubt/consumer/name",
      // An alias that was moved to another key.
      "alias/redoubt/consumer/00000000-0000-4000-8000-000000000000",
    ])
      server.state.aliases.set(alias, foreign.id);
    const ending = plant(server);
    ending.state = "PendingDeletion";
    assert.deepEqual(await custodian.list(), ids.toSorted());
    assert.equal(server.count("ListAliases"), 6);
    await assert.rejects(custodian.open(foreign.id), UNKNOWN);
    await assert.rejects(custodian.open(ending.id), UNKNOWN);
  });

  it("takes no part of a list for the whole", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    server.fault = answering("ListAliases", { Aliases: [], Truncated: true, NextMarker: "0" });
    await assert.rejects(custodian.list(), ANSWER);
    assert.equal(server.count("ListAliases"), 500);
    server.fault = answering("ListAliases", { Truncated: true });
    await assert.rejects(custodian.list(), ANSWER);
  });

  it("opens no key whose alias was moved", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const { id } = plant(server);
    server.state.aliases.set(`alias/redoubt/consumer/${id}`, plant(server).id);
    await assert.rejects(custodian.open(id), { ...UNKNOWN, message: /names another key/ });
  });

  it("opens no key without both tags, or with those of another ring", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    for (const [name, value] of [
      ["redoubt:ring", "enterprise"],
      ["redoubt:ring", undefined],
      ["redoubt:alg", "ES384"],
      ["redoubt:alg", undefined],
    ] as const) {
      const tags = new Map(OURS);
      tags.delete(name);
      if (value !== undefined) tags.set(name, value);
      await assert.rejects(custodian.open(plant(server, "ECC_NIST_P256", tags).id), UNKNOWN);
    }
    assert.equal((await custodian.open(plant(server).id)).alg, "ES256");
  });

  it("THREAT-01: opens no key that was imported, replicated, disabled, or is for another algorithm", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const { id } = plant(server);
    for (const [members, expected] of [
      [{ Origin: "EXTERNAL" }, REFUSED],
      [{ Origin: "EXTERNAL_KEY_STORE" }, REFUSED],
      [{ MultiRegion: true }, REFUSED],
      [{ KeyManager: "AWS" }, REFUSED],
      [{ KeyUsage: "ENCRYPT_DECRYPT" }, REFUSED],
      [{ KeySpec: "ECC_SECG_P256K1" }, REFUSED],
      [{ KeyState: "Disabled" }, DISABLED],
      [{ KeyState: "Creating" }, DISABLED],
      [{ KeyState: "PendingReplicaDeletion" }, UNKNOWN],
      [{ KeyState: undefined }, ANSWER],
      [{ Arn: "arn:aws:kms:us-east-1:111122223333:key/" + id }, ANSWER],
      [{ Arn: "arn:aws:s3:eu-central-1:111122223333:key/" + id }, ANSWER],
      [{ KeyId: "mrk-1234abcd12ab34cd56ef1234567890ab" }, ANSWER],
      [{ KeyId: undefined }, ANSWER],
    ] as const) {
      server.fault = describing("DescribeKey", members);
      await assert.rejects(custodian.open(id), expected, inspect(members));
    }
    server.fault = describing("DescribeKey", {});
    assert.equal((await custodian.open(id)).id, id);
  });

  it("checks the public key against what was asked for", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const { id } = plant(server);
    const spkiOf = (spec: string) =>
      server.state.run("GetPublicKey", { KeyId: server.state.add(spec).id }).PublicKey;
    for (const [members, expected] of [
      [{ KeyId: server.state.add("ECC_NIST_P256").arn }, ANSWER],
      [{ KeyId: id }, ANSWER],
      [{ KeySpec: "ECC_NIST_P384" }, ANSWER],
      [{ KeyUsage: "ENCRYPT_DECRYPT" }, ANSWER],
      [{ PublicKey: spkiOf("ECC_NIST_EDWARDS25519") }, ALG],
      [{ PublicKey: Buffer.from("no key").toString("base64") }, ALG],
      [{ PublicKey: "" }, ANSWER],
      [{ PublicKey: Buffer.alloc(1025).toString("base64") }, ANSWER],
      [{ PublicKey: "===" }, ANSWER],
      [{ PublicKey: 5 }, ANSWER],
      [{ PublicKey: undefined }, ANSWER],
    ] as const) {
      server.fault = answering("GetPublicKey", members);
      await assert.rejects(custodian.open(id), expected, inspect(members));
    }
    // Short of the length that we ask for, whatever the answer says of it.
    const tags = new Map([...OURS, ["redoubt:alg", "RS256"] as const]);
    const rsa = plant(server, "RSA_3072", tags);
    server.fault = answering("GetPublicKey", { PublicKey: spkiOf("RSA_2048") });
    await assert.rejects(custodian.open(rsa.id), ALG);
    server.fault = () => undefined;
    assert.equal((await custodian.open(rsa.id)).alg, "RS256");
  });

  it("takes no part of the tags for all", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const { id } = plant(server);
    for (const members of [{ Truncated: true }, { Tags: undefined }, { Tags: [{}] }]) {
      server.fault = answering("ListResourceTags", members);
      await assert.rejects(custodian.open(id), ANSWER, inspect(members));
    }
  });
});

describeKms("AWS KMS: the audit", () => {
  it("THREAT-01: names what went bad since it was opened, which signs no more", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const input = Buffer.from("a");
    const [good, ...bad] = await Promise.all(
      Array.from({ length: 5 }, async () => custodian.generate("ES256")),
    );
    assert.ok(good);
    assert.deepEqual(await custodian.audit?.(), []);
    const [disabled, ending, retagged, moved] = bad.map(({ id }) => server.state.keys.get(id));
    assert.ok(disabled && ending && retagged && moved);
    disabled.state = "Disabled";
    ending.state = "PendingDeletion";
    retagged.tags.set("redoubt:ring", "enterprise");
    server.state.aliases.set(`alias/redoubt/consumer/${moved.id}`, good.id);
    const named = await custodian.audit?.();
    assert.deepEqual(
      named?.map(({ id }) => id),
      bad.map(({ id }) => id),
    );
    const asked = server.count("Sign");
    for (const key of bad) await assert.rejects(async () => key.sign(input), UNKNOWN);
    assert.equal(server.count("Sign"), asked);
    assert.equal((await good.sign(input)).length, 64);
    assert.deepEqual(await custodian.audit?.(), []);
  });

  it("names nothing because custody is away", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const key = await custodian.generate("ES256");
    for (const type of ["ThrottlingException", "AccessDeniedException"]) {
      server.fault = failing("DescribeKey", { type });
      await assert.rejects(async () => custodian.audit?.());
    }
    assert.equal((await key.sign(Buffer.from("a"))).length, 64);
  });
});

describeKms("AWS KMS: the making of a key", () => {
  it("is not repeated where nobody knows whether it was done", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    server.fault = failing("CreateKey", { drop: "after" });
    await assert.rejects(custodian.generate("ES256"), { code: "ERR_KEY_BUSY" });
    assert.equal(server.count("CreateKey"), 1);
    // Without an alias it is none of ours.
    assert.deepEqual(await custodian.list(), []);
  });

  it("is repeated where KMS throttled it, and while KMS does not know the key yet", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    server.fault = failing("CreateKey", { type: "ThrottlingException" }, 2);
    await custodian.generate("ES256");
    assert.deepEqual([server.count("CreateKey"), server.state.keys.size], [3, 1]);
    for (const operation of ["GetPublicKey", "CreateAlias"]) {
      server.seen.length = 0;
      server.fault = failing(operation, { type: "NotFoundException" }, 3);
      const { id } = await custodian.generate("ES256");
      assert.equal(server.count(operation), 4);
      assert.equal((await custodian.list()).includes(id), true);
    }
    server.fault = failing("CreateAlias", { drop: "after" }, 1);
    const { id } = await custodian.generate("ES256");
    assert.equal((await custodian.list()).includes(id), true);
  });

  it("that fails half-way leaves nothing that could be used", async () => {
    await using server = await KmsServer.start();
    const events: unknown[] = [];
    await using custodian = await openTestCustodian(server, {
      sink: (name, fields) => void events.push([name, fields]),
    });
    server.fault = failing("CreateAlias", { type: "AccessDeniedException" });
    await assert.rejects(custodian.generate("ES256"), { code: "ERR_KEY_DENIED" });
    const [key] = server.state.keys.values();
    assert.equal(key?.state, "PendingDeletion");
    assert.deepEqual(events, [["kms_key_abandoned", { id: key?.id }]]);

    server.fault = (operation) =>
      ["CreateAlias", "ScheduleKeyDeletion"].includes(operation)
        ? { type: "AccessDeniedException" }
        : undefined;
    await assert.rejects(custodian.generate("ES256"), { code: "ERR_KEY_DENIED" });
    const left = [...server.state.keys.values()].at(-1);
    assert.deepEqual(events.at(-1), ["kms_key_left", { id: left?.id, code: "ERR_KEY_DENIED" }]);
  });

  it("says when the account has no room, or the region no such keys", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    server.fault = failing("CreateKey", { type: "LimitExceededException" });
    await assert.rejects(custodian.generate("ES256"), { code: "ERR_KEY_CUSTODY" });
    for (const type of ["UnsupportedOperationException", "ValidationException"]) {
      server.fault = failing("CreateKey", { type });
      await assert.rejects(custodian.generate("Ed25519"), { code: "ERR_KEY_CUSTODY" });
    }
    assert.equal(server.state.keys.size, 0);
  });
});

describeKms("AWS KMS: the end of a key", () => {
  it("is scheduled as soon as KMS can, or as late as asked", async () => {
    await using server = await KmsServer.start();
    for (const deletionDays of [undefined, 30]) {
      await using custodian = await openTestCustodian(server, {
        ...(deletionDays !== undefined && { deletionDays }),
      });
      const { id } = plant(server);
      await custodian.destroy(id);
      assert.equal(server.seen.at(-1)?.input.PendingWindowInDays, deletionDays ?? 7);
      assert.equal(server.state.keys.get(id)?.state, "PendingDeletion");
      server.seen.length = 0;
      await custodian.destroy(id);
      assert.equal(server.count("ScheduleKeyDeletion"), 0);
    }
  });

  it("is no error where the key is gone, its alias is lost, or it is disabled", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    await custodian.destroy("00000000-0000-4000-8000-000000000000");
    const { id } = plant(server);
    server.state.aliases.clear();
    await custodian.destroy(id);
    assert.equal(server.state.keys.get(id)?.state, "PendingDeletion");
    const disabled = plant(server);
    disabled.state = "Disabled";
    await custodian.destroy(disabled.id);
    assert.equal(disabled.state, "PendingDeletion");
  });

  it("is the same when the answer is lost", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const { id } = plant(server);
    server.fault = failing("ScheduleKeyDeletion", { drop: "after" }, 1);
    await custodian.destroy(id);
    assert.equal(server.count("ScheduleKeyDeletion"), 2);
    assert.equal(server.state.keys.get(id)?.state, "PendingDeletion");
  });

  it("is never that of a key of somebody else", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const foreign = server.state.add("ECC_NIST_P256");
    const neighbour = server.state.add("ECC_NIST_P256", new Map([...OURS, ["redoubt:ring", "b"]]));
    for (const { id } of [foreign, neighbour]) await assert.rejects(custodian.destroy(id), UNKNOWN);
    for (const id of ["", "alias/redoubt/consumer/x", foreign.arn, "../x"])
      await assert.rejects(custodian.destroy(id), UNKNOWN);
    assert.deepEqual([foreign.state, neighbour.state], ["Enabled", "Enabled"]);
    assert.equal(server.count("ScheduleKeyDeletion"), 0);
  });

  it("disables a key that it may not delete, and says so", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const { id } = plant(server);
    const key = await custodian.open(id);
    server.fault = failing("ScheduleKeyDeletion", { type: "AccessDeniedException" });
    await assert.rejects(custodian.destroy(id), { code: "ERR_KEY_DENIED" });
    assert.equal(server.state.keys.get(id)?.state, "Disabled");
    await assert.rejects(async () => key.sign(Buffer.from("a")), UNKNOWN);
    assert.equal(server.count("Sign"), 0);
    server.fault = () => undefined;
    await custodian.destroy(id);
    assert.equal(server.state.keys.get(id)?.state, "PendingDeletion");
  });

  it("is not believed without its state", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const { id } = plant(server);
    for (const members of [{ KeyState: "Enabled" }, { KeyId: id }, { KeyId: undefined }]) {
      const key = server.state.keys.get(id);
      if (key) key.state = "Enabled";
      server.fault = answering("ScheduleKeyDeletion", members);
      await assert.rejects(custodian.destroy(id), ANSWER, inspect(members));
    }
    server.fault = failing("ScheduleKeyDeletion", { type: "KMSInvalidStateException" });
    const key = server.state.keys.get(id);
    if (key) key.state = "Enabled";
    await assert.rejects(custodian.destroy(id), UNKNOWN);
  });
});

describeKms("AWS KMS: credentials", () => {
  it("signs every request with those it was given, session token and all", async () => {
    const secrets = new Map([
      ["AKIDTEMPORARY1", { secret: "one", sessionToken: "token one" }],
      ["AKIDTEMPORARY2", { secret: "two", sessionToken: "token two" }],
    ]);
    await using server = await KmsServer.start({ secrets });
    let current = "AKIDTEMPORARY1";
    await using custodian = await openTestCustodian(server, {
      credentials: async () => {
        const { secret = "", sessionToken = "" } = secrets.get(current) ?? {};
        return {
          accessKeyId: current,
          secretAccessKey: new Secret(secret),
          sessionToken: new Secret(sessionToken),
          // Past: the next request asks anew.
          expiresAtMs: 0,
        };
      },
    });
    await custodian.list();
    current = "AKIDTEMPORARY2";
    await custodian.list();
    const ids = new Set(server.seen.map(({ accessKeyId }) => accessKeyId));
    assert.deepEqual([...ids], [...secrets.keys()]);
    assert.deepEqual(server.refused, []);
  });

  it("THREAT-19: are in no error, no event and no answer of inspect", async () => {
    await using server = await KmsServer.start({
      secrets: new Map([[TEST_ACCESS_KEY_ID, { secret: "another" }]]),
    });
    const events: unknown[] = [];
    await using custodian = await openTestCustodian(server, {
      sink: (...event) => void events.push(event),
      credentials: { ...TEST_CREDENTIALS, secretAccessKey: new Secret("wrong-secret") },
    });
    const error: unknown = await custodian.list().catch((reason: unknown) => reason);
    assert.ok(error instanceof Error && "code" in error);
    assert.equal(error.code, "ERR_KEY_DENIED");
    assert.deepEqual(server.refused, ["InvalidSignatureException"]);
    const shown = inspect([error, custodian, events], { depth: null, showHidden: true });
    for (const secret of ["wrong-secret", TEST_SECRET, "AWS4-HMAC", TEST_ACCESS_KEY_ID])
      assert.equal(shown.includes(secret), false, secret);
  });

  it("that cannot be had, or never come, are a coded error", async () => {
    await using server = await KmsServer.start();
    for (const [credentials, code] of [
      [async () => Promise.reject(new Error("no")), "ERR_KEY_DENIED"],
      [async () => new Promise<never>(() => undefined), "ERR_KEY_BUSY"],
    ] as const) {
      const limits = { attemptTimeoutMs: 20, maxAttempts: 2 };
      await using custodian = await openTestCustodian(server, { credentials, limits });
      await assert.rejects(custodian.list(), { code });
    }
    assert.equal(server.seen.length, 0);
  });

  it("THREAT-29: an answer does not move the clock that requests are signed by", async () => {
    await using server = await KmsServer.start();
    await using custodian = await openTestCustodian(server);
    const date = "Mon, 01 Jan 2001 00:00:00 GMT";
    server.date = date;
    await custodian.list();
    const body = JSON.stringify({ __type: "ValidationException", ServerTime: date });
    server.fault = failing("ListAliases", { status: 400, body }, 1);
    await assert.rejects(custodian.list(), { code: "ERR_KEY_CUSTODY" });
    await custodian.list();
    assert.deepEqual([server.refused, server.count("ListAliases")], [[], 3]);
  });
});
