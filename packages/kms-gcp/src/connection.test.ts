import assert from "node:assert/strict";
import { connect, createServer, type AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { ServerCredentials } from "@grpc/grpc-js";
import { errorCode, errorLine } from "@redoubt/base";
import { makeCertificate } from "@redoubt/custody/testing/certificate";
import { openGoogleKmsCustodian } from "./index.ts";
import { loadGoogleSdk } from "./sdk.ts";
import { checkSettings, type GoogleKmsSettings } from "./settings.ts";
import { FakeGoogleKms } from "./testing/fake-google-kms.ts";
import {
  assertRefused,
  assertSignRefused,
  describeWithSdk,
  Harness,
  input,
  KEY_RING,
  skip,
} from "./testing/harness.ts";

const settings: GoogleKmsSettings = { keyRing: KEY_RING, ring: "enterprise" };
const token = "Bearer ya29.of-a-test";
const authClient = { getRequestHeaders: async () => new Headers({ authorization: token }) };

async function startSecure() {
  const { key, certificate } = makeCertificate("localhost");
  const [private_key, cert_chain] = [Buffer.from(key), Buffer.from(certificate)];
  const credentials = ServerCredentials.createSsl(null, [{ private_key, cert_chain }]);
  return { fake: await FakeGoogleKms.start(credentials), roots: certificate };
}

describeWithSdk("the way to Google Cloud KMS", () => {
  it("is TLS, with a token of the caller on every call", async () => {
    const { fake, roots } = await startSecure();
    await using harness = new Harness(fake);
    await using custodian = await openGoogleKmsCustodian(
      { ...settings, endpoint: `localhost:${fake.port}`, roots },
      { authClient },
    );
    const key = await custodian.generate("ES256");
    assert.equal((await key.sign(input)).length, 64);
    for (const { metadata } of harness.fake.calls)
      assert.deepEqual(metadata.get("authorization"), [token]);
    const { metadata } = harness.fake.calls[0] ?? {};
    assert.match(String(metadata?.get("x-goog-request-params")), /^parent=projects/);
  });

  it("takes the identity of the machine where none is given, and looks no further than it must", async () => {
    const { fake, roots } = await startSecure();
    await using harness = new Harness(fake);
    const { gax, ...sdk } = await loadGoogleSdk();
    const asked: object[] = [];
    class GoogleAuth {
      constructor(options: object) {
        asked.push(options);
      }
      async getClient() {
        return authClient;
      }
    }
    await using custodian = await openGoogleKmsCustodian(
      { ...settings, endpoint: `localhost:${fake.port}`, roots },
      { sdk: { ...sdk, gax: { grpc: gax.grpc, GoogleAuth } } },
    );
    assert.deepEqual(await custodian.list(), []);
    assert.deepEqual(harness.fake.calls[0]?.metadata.get("authorization"), [token]);
    const scopes = ["https://www.googleapis.com/auth/cloudkms"];
    assert.deepEqual(asked, [{ scopes, projectId: "p-1", universeDomain: "googleapis.com" }]);
  });

  it("ends at a certificate that nobody vouches for, before a token is sent", async () => {
    const { fake } = await startSecure();
    await using harness = new Harness(fake);
    const other = makeCertificate("localhost").certificate;
    let tokens = 0;
    const counting = {
      getRequestHeaders: async () => {
        tokens++;
        return new Headers();
      },
    };
    const limits = { maxAttempts: 1, attemptTimeoutMs: 1000 };
    await using custodian = await openGoogleKmsCustodian(
      { ...settings, endpoint: `localhost:${fake.port}`, roots: other, limits },
      { authClient: counting },
    );
    await assertRefused(() => custodian.list(), "ERR_KEY_BUSY");
    assert.deepEqual([harness.fake.calls.length, tokens], [0, 0]);
  });

  it("fails call by call where there is no token, and goes on when there is one again", async () => {
    const { fake, roots } = await startSecure();
    await using harness = new Harness(fake);
    let isAway = true;
    const flaky = {
      getRequestHeaders: async () => {
        if (isAway) throw new Error("no identity here");
        return new Headers({ authorization: token });
      },
    };
    await using custodian = await openGoogleKmsCustodian(
      { ...settings, endpoint: `localhost:${fake.port}`, roots, limits: { maxAttempts: 1 } },
      { authClient: flaky },
    );
    await assert.rejects(
      () => custodian.list(),
      (error) => errorCode(error) === "ERR_KEY_BUSY" && /no identity/.test(errorLine(error)),
    );
    assert.equal(harness.fake.calls.length, 0);
    isAway = false;
    assert.deepEqual(await custodian.list(), []);
    assert.equal(harness.fake.calls.length, 1);
  });

  it("sends no token to a fake on this machine, and asks nobody for one", async () => {
    await using harness = await Harness.start();
    const noToken = {
      getRequestHeaders: async () => {
        throw new Error("asked for a token");
      },
    };
    const custodian = await harness.open({}, { authClient: noToken });
    assert.deepEqual(await custodian.list(), []);
    assert.deepEqual(harness.fake.calls[0]?.metadata.get("authorization"), []);
  });

  it("opens without asking the service anything", async () => {
    await using custodian = await openGoogleKmsCustodian({ ...settings, unsafeLoopbackPort: 1 });
    assert.equal(custodian.protection, "hsm");
  });

  it("reports a service that is gone, and finds it again", async () => {
    await using harness = await Harness.start();
    const relay = await startRelay(harness.fake.port);
    const limits = { maxAttempts: 1, attemptTimeoutMs: 8000 };
    const custodian = await harness.open({ limits, unsafeLoopbackPort: relay.port });
    const key = await custodian.generate("ES256");
    harness.fake.fault.before = () => relay.cut();
    await assertSignRefused(key, "ERR_KEY_BUSY");
    harness.fake.fault = {};
    assert.equal((await key.sign(input)).length, 64);
    relay.close();
  });

  it("THREAT-26: takes no answer longer than it can be", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey();
    harness.fake.fault.after = (_, answer) => ({ ...answer, signature: Buffer.alloc(1 << 20) });
    await assertSignRefused(key, "ERR_KEY_CUSTODY");
    assert.equal(harness.fake.countOf("asymmetricSign"), 1);
  });
});

/** Something in the middle that can cut connections. */
async function startRelay(to: number) {
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy()).on("close", () => sockets.delete(socket));
    }
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const address: AddressInfo | string | null = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const close = (): void => {
    cut();
    server.close();
  };
  return { port, cut, close };
}

describe("settings for Google Cloud KMS", () => {
  it("stand for an HSM at the public address unless they say otherwise", () => {
    const { host, port, isPlain, protectionLevel } = checkSettings(settings);
    assert.deepEqual(
      [host, port, isPlain, protectionLevel],
      ["cloudkms.googleapis.com", 443, false, "HSM"],
    );
    const own = checkSettings({ ...settings, endpoint: "kms.p.googleapis.com:8443" });
    assert.deepEqual([own.host, own.port, own.isPlain], ["kms.p.googleapis.com", 8443, false]);
  });

  it("may leave TLS out on this machine only", () => {
    const unsafe = { ...settings, endpoint: "evil.example", unsafeLoopbackPort: 4000 };
    const { host, port, isPlain } = checkSettings(unsafe);
    assert.deepEqual([host, port, isPlain], ["127.0.0.1", 4000, true]);
  });

  it("are refused with every problem at once", () => {
    const { limits, ...rest }: GoogleKmsSettings = {
      keyRing: "projects/p",
      ring: "Enterprise",
      endpoint: "https://x",
      unsafeLoopbackPort: 70_000,
      limits: { maxAttempts: 0, attemptTimeoutMs: 0.5 },
    };
    assert.throws(() => checkSettings({ ...rest, ...(limits && { limits }) }), {
      code: "ERR_KEY_CUSTODY",
      message:
        /keyRing.*ring.*endpoint.*unsafeLoopbackPort.*limits\.maxAttempts.*limits\.attemptTimeoutMs/,
    });
    for (const change of [
      { keyRing: `${KEY_RING}/` },
      { keyRing: `${KEY_RING}\n` },
      { keyRing: KEY_RING.replace("tokens", "a/b") },
      { ring: "" },
      { ring: "a".repeat(30) },
      { ring: "-a" },
      { endpoint: "" },
      { endpoint: "host:0" },
      { endpoint: "host:65536" },
      { endpoint: "user@host" },
    ])
      assert.throws(() => checkSettings({ ...settings, ...change }), { code: "ERR_KEY_CUSTODY" });
    assert.equal(checkSettings({ ...settings, ring: "a".repeat(29) }).ring.length, 29);
    assert.equal(checkSettings({ ...settings, endpoint: "host:65535" }).port, 65_535);
  });
});

function resolveNothing(name: string): string {
  throw new Error(`Cannot find ${name}`);
}

describe("the SDK of Google Cloud KMS", () => {
  it("is asked for by name where it is missing", async () => {
    const hint = /npm install @google-cloud\/kms@6\.3\.0/;
    await assertRefused(() => loadGoogleSdk(resolveNothing), "ERR_KEY_MODULE", hint);
  });

  it("is refused where it is something else", { skip }, async () => {
    const other = import.meta.resolve("@grpc/grpc-js");
    const message = /does not load|not the expected/;
    await assertRefused(() => loadGoogleSdk(() => other), "ERR_KEY_MODULE", message);
  });
});
