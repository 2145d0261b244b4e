import assert from "node:assert/strict";
import { Agent } from "node:https";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { describe, it } from "node:test";
import { errorCode, errorLine } from "@redoubt/base";
import { AttemptTimeout } from "@redoubt/custody/call-gate";
import { makeCertificate } from "@redoubt/custody/testing/certificate";
import { BoundedHttpClient } from "./bounded-http-client.ts";
import { openCredential } from "./credential.ts";
import { openAzureKeyVaultCustodian } from "./index.ts";
import { loadIdentitySdk, loadKeyVaultSdk } from "./sdk.ts";
import { checkSettings } from "./settings.ts";
import { ORIGIN } from "./testing/fake-key-vault.ts";
import {
  assertRefused,
  assertSignRefused,
  describeWithSdk,
  Harness,
  input,
  SETTINGS,
  skip,
} from "./testing/harness.ts";

function isBusy(error: unknown): boolean {
  return errorCode(error) === "ERR_KEY_BUSY" && /no identity here/.test(errorLine(error));
}

describeWithSdk("the way to Azure Key Vault", () => {
  it("begins with a challenge: neither token nor body is sent before it", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    await custodian.generate("ES256");
    const [first, second, ...more] = harness.fake.requests;
    assert.deepEqual([first?.authorization, first?.body], [undefined, {}]);
    assert.equal(second?.authorization, `Bearer ${harness.fake.token}`);
    assert.deepEqual(harness.scopes, ["https://vault.azure.net/.default"]);
    assert.deepEqual(more, []);
    await custodian.list();
    for (const { authorization } of harness.fake.requests.slice(1))
      assert.equal(authorization, `Bearer ${harness.fake.token}`);
  });

  it("asks for no token for another place, whatever the challenge says", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    for (const resource of ["https://evil.example", "https://graph.microsoft.com", "nonsense"]) {
      harness.fake.challenge = `Bearer authorization="https://login.microsoftonline.com/x", resource="${resource}"`;
      await assertRefused(() => custodian.list(), "ERR_KEY_CUSTODY");
    }
    assert.deepEqual(harness.scopes, []);
  });

  it("ends at a certificate that nobody vouches for, before anything is said", async () => {
    await using harness = await Harness.start();
    const other = makeCertificate("redoubt-test.vault.azure.net").certificate;
    const agent = harness.fake.agentWith(other);
    const custodian = await harness.open({ limits: { maxAttempts: 1 } }, { agent });
    await assertRefused(() => custodian.list(), "ERR_KEY_BUSY");
    assert.deepEqual([harness.fake.requests.length, harness.scopes.length], [0, 0]);
    agent.destroy();
  });

  it("fails call by call where there is no token, and goes on when there is one again", async () => {
    await using harness = await Harness.start();
    let isAway = true;
    const credential = {
      getToken: async () => {
        if (isAway) throw new Error("no identity here");
        return harness.credential.getToken("again");
      },
    };
    const custodian = await harness.open({}, { credential });
    await assert.rejects(() => custodian.generate("ES256"), isBusy);
    await assert.rejects(() => custodian.list(), isBusy);
    isAway = false;
    const key = await custodian.generate("ES256");
    assert.deepEqual(await custodian.list(), [key.id]);
  });

  it("opens without asking the vault anything", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    assert.equal(custodian.protection, "hsm");
    assert.deepEqual([harness.fake.requests.length, harness.scopes.length], [0, 0]);
  });

  it("reports a vault that is gone, and finds it again", async () => {
    await using harness = await Harness.start();
    const relay = await startRelay(Number(harness.fake.agent.options.port));
    const agent = new Agent({ ...harness.fake.agent.options, port: relay.port });
    const custodian = await harness.open({ limits: { maxAttempts: 2 } }, { agent });
    const key = await custodian.generate("ES256");
    harness.fake.fault.before = () => relay.cut();
    await assertSignRefused(key, "ERR_KEY_BUSY");
    harness.fake.fault = {};
    assert.equal((await key.sign(input)).length, 64);
    agent.destroy();
    relay.close();
  });

  it("stops an answer that begins and does not end", async () => {
    const { certificate, key } = makeCertificate("redoubt-test.vault.azure.net");
    await using server = await startSlowServer(key, certificate);
    const agent = new Agent({
      ca: certificate,
      port: server.port,
      lookup: (_host, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
    });
    const client = new BoundedHttpClient({ origin: ORIGIN, agent, timeoutMs: 100 });
    const request = { url: `${ORIGIN}/keys`, method: "GET", headers: { toJSON: () => ({}) } };
    const begin = performance.now();
    await assert.rejects(client.sendRequest(request), AttemptTimeout);
    assert.equal(performance.now() - begin < 10_000, true);
    const abortSignal = AbortSignal.abort();
    await assert.rejects(client.sendRequest({ ...request, abortSignal }), /Abandoned/);
    agent.destroy();
  });
});

/** Sends the head of an answer, and a byte of it. */
async function startSlowServer(key: string, cert: string) {
  const { createServer: createSecure } = await import("node:https");
  const server = createSecure({ key, cert }, (_request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write("{");
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    port: portOf(server.address()),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Something in the middle that can cut connections. */
async function startRelay(to: number) {
  const sockets = new Set<Socket>();
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
  const close = (): void => {
    cut();
    server.close();
  };
  return { port: portOf(server.address()), cut, close };
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("settings for Azure Key Vault", () => {
  it("stand for an HSM unless they say otherwise", () => {
    assert.equal(checkSettings(SETTINGS).isHardware, true);
    assert.equal(checkSettings({ ...SETTINGS, unsafeSoftwareKeys: true }).isHardware, false);
  });

  it("name a vault of Azure, in any of its clouds, and nothing else", () => {
    for (const host of [
      "abc.vault.azure.net",
      "a-1.managedhsm.azure.net",
      "abc.vault.azure.cn",
      "abc.vault.usgovcloudapi.net",
      `${"a".repeat(24)}.vault.azure.net`,
    ])
      assert.equal(
        checkSettings({ ...SETTINGS, vaultUrl: `https://${host}` }).origin,
        `https://${host}`,
      );
    for (const vaultUrl of [
      "http://abc.vault.azure.net",
      "https://abc.vault.azure.net/",
      "https://abc.vault.azure.net:8443",
      "https://abc.vault.azure.net.evil.example",
      "https://evil.example/.vault.azure.net",
      "https://u@abc.vault.azure.net",
      "https://a.b.vault.azure.net",
      `https://${"a".repeat(25)}.vault.azure.net`,
      "https://127.0.0.1",
      "",
    ])
      assert.throws(() => checkSettings({ ...SETTINGS, vaultUrl }), { code: "ERR_KEY_CUSTODY" });
  });

  it("are refused with every problem at once", () => {
    const wrong = {
      vaultUrl: "https://abc.managedhsm.azure.net",
      ring: "Enterprise",
      unsafeSoftwareKeys: true,
      limits: { maxAttempts: 0, attemptTimeoutMs: 0.5 },
    };
    assert.throws(() => checkSettings(wrong), {
      code: "ERR_KEY_CUSTODY",
      message: /ring.*unsafeSoftwareKeys.*limits\.maxAttempts.*limits\.attemptTimeoutMs/,
    });
    for (const ring of ["", "a".repeat(30), "-a", "a_b", "a\n"])
      assert.throws(() => checkSettings({ ...SETTINGS, ring }), { code: "ERR_KEY_CUSTODY" });
    assert.equal(checkSettings({ ...SETTINGS, ring: "a".repeat(29) }).ring.length, 29);
  });
});

function resolveNothing(name: string): string {
  throw new Error(`Cannot find ${name}`);
}

const skipIdentity = ((): string | false => {
  try {
    import.meta.resolve("@azure/identity");
    return false;
  } catch {
    return "@azure/identity is not installed";
  }
})();

describe("the SDK of Azure", () => {
  it("is asked for by name where it is missing", async () => {
    const keys = /npm install @azure\/keyvault-keys@4\.10\.2/;
    await assertRefused(() => loadKeyVaultSdk(resolveNothing), "ERR_KEY_MODULE", keys);
    const identity = /npm install @azure\/identity@4\.14\.1/;
    await assertRefused(() => loadIdentitySdk(resolveNothing), "ERR_KEY_MODULE", identity);
  });

  it("is refused where it is something else", async () => {
    const other = import.meta.resolve("./names.ts");
    const message = /not the expected one/;
    await assertRefused(() => loadKeyVaultSdk(() => other), "ERR_KEY_MODULE", message);
    await assertRefused(() => loadIdentitySdk(() => other), "ERR_KEY_MODULE", message);
  });

  it(
    "brings the identity that was named, and asks nobody yet",
    { skip: skipIdentity },
    async () => {
      const managed = await openCredential({ kind: "managed-identity", clientId: "c" });
      const workload = await openCredential({
        kind: "workload-identity",
        tenantId: "9f1c2d3e-0000-4000-8000-000000000001",
        clientId: "c",
        tokenFilePath: "/nowhere/token",
      });
      assert.deepEqual(
        [managed.constructor.name, workload.constructor.name],
        ["ManagedIdentityCredential", "WorkloadIdentityCredential"],
      );
      if (skip !== false) return;
      await using custodian = await openAzureKeyVaultCustodian(SETTINGS);
      assert.equal(custodian.label, "kms");
    },
  );
});
