import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { TLSSocket } from "node:tls";
import { describe, test, type TestContext } from "node:test";
import { MemberReader } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { makeCertificate, NO_OPENSSL, until } from "@redoubt/testkit";
import type { CertificateFiles } from "./certificate.ts";
import { jsonAnswer } from "./message.ts";
import { serveHttp, type HttpLimits } from "./server.ts";
import { readHttpPlaces, serveEverywhere } from "./public-listener.ts";

interface Folder {
  readonly make: (name: string, days?: number) => CertificateFiles;
}

function folder(t: TestContext): Folder {
  const root = mkdtempSync(join(tmpdir(), "http-tls-"));
  t.after(() => rmSync(root, { recursive: true }));
  return {
    make: (name, days = 90) => makeCertificate(root, [name, "IP:127.0.0.1"], { file: name, days }),
  };
}

function serve(
  tls: CertificateFiles,
  limits: Partial<HttpLimits> = {},
  sink: (name: string) => void = () => undefined,
) {
  return serveHttp({
    port: 0,
    tls,
    handler: ({ address, path }) => jsonAnswer(200, { address, path }),
    sink,
    limits: { checkIntervalMs: 20, ...limits },
  });
}

/** The body, and the common name of the certificate, of an answer over TLS. */
async function ask(port: number): Promise<{ body: string; name: string }> {
  const request = get({
    port,
    host: "127.0.0.1",
    path: "/a",
    rejectUnauthorized: false,
    agent: false,
  });
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.once("response", resolve).once("error", reject);
  const response = await promise;
  const { socket } = response;
  assert.ok(socket instanceof TLSSocket);
  return { body: await text(response), name: String(socket.getPeerCertificate().subject.CN) };
}

describe("a public listener", { skip: NO_OPENSSL }, () => {
  test("answers over TLS, with the peer's own address", async (t) => {
    await using server = await serve(folder(t).make("one"));
    const { body } = await ask(server.port);
    assert.equal(body, '{"address":"127.0.0.1","path":"/a"}');
    assert.equal(server.counts().requests, 1);
  });

  test("THREAT-36: a connection has one place, before its handshake and after", async (t) => {
    const limits = { connections: 2, headersTimeoutMs: 300 };
    await using server = await serve(folder(t).make("one"), limits);
    const silent = Array.from({ length: 3 }, () =>
      connect({ port: server.port, host: "127.0.0.1" }),
    );
    for (const socket of silent) socket.on("error", () => undefined);
    await until(() => server.counts().evicted === 1);
    assert.equal(server.counts().unproven, 2);
    assert.match((await ask(server.port)).body, /127/);
    // Nobody says anything: the time for a handshake ends.
    await until(() => server.counts().unproven === 0);
  });

  test("a certificate that is renewed is taken; a wrong pair is told, and the old one stays", async (t) => {
    const { make } = folder(t);
    const [files, next, other] = [make("old"), make("new"), make("other")];
    const events: string[] = [];
    await using server = await serve(files, { certificateMs: 20 }, (name) => events.push(name));
    assert.equal((await ask(server.port)).name, "old");
    copyFileSync(other.certificate, files.certificate);
    await until(() => events.includes("certificate_refused"));
    assert.equal((await ask(server.port)).name, "old");
    copyFileSync(next.key, files.key);
    copyFileSync(next.certificate, files.certificate);
    await until(() => events.includes("certificate_changed"));
    assert.equal((await ask(server.port)).name, "new");
    assert.ok(!events.includes("certificate_ends"));
  });

  test("a certificate that ends soon is told", async (t) => {
    const events: string[] = [];
    await using _ = await serve(folder(t).make("one", 13), {}, (name) => events.push(name));
    assert.deepEqual(events, ["certificate_ends"]);
  });

  test("THREAT-32: a key that others can read is refused, and so is one of another certificate", async (t) => {
    const { make } = folder(t);
    const [one, other] = [make("one"), make("other")];
    const refused = { code: "ERR_HTTP_CERTIFICATE" };
    await assert.rejects(serve({ ...one, key: other.key }), refused);
    await assert.rejects(serve({ ...one, certificate: one.key }), refused);
    chmodSync(one.key, 0o640);
    await assert.rejects(serve(one), refused);
  });

  test("without TLS only a declared proxy is heard; loopback stays as it is", async () => {
    const listener = { address: "127.0.0.2", port: await freePort(), tls: null };
    const open = (proxy: string) =>
      serveEverywhere(
        { port: 0, proxies: { addresses: [proxy], hops: 1 }, public: listener },
        { handler: empty, sink: () => undefined },
      );
    const url = `http://127.0.0.2:${listener.port}/`;
    {
      await using servers = await open("192.0.2.1");
      await assert.rejects(fetch(url), /fetch failed/);
      assert.equal((await fetch(`http://127.0.0.1:${servers.port}/`)).status, 200);
      assert.equal(servers.counts().requests, 1);
    }
    await using servers = await open("127.0.0.0/8");
    assert.equal((await fetch(url)).status, 200);
    assert.equal(servers.counts().requests, 1);
  });
});

function read(change: JsonObject) {
  const places = { port: 8080, proxies: null, public: null, ...change };
  return readHttpPlaces(new MemberReader(places, "config"));
}

test("where a server listens, and who speaks for others there", () => {
  const tls = { certificate: "/etc/redoubt/tls.pem", key: "/etc/redoubt/tls.key" };
  const proxies = { addresses: ["127.0.0.1", "fd00::/8"], hops: 8 };
  const listener = { address: "::", port: 443, tls };
  for (const good of [
    {},
    { proxies },
    { public: listener },
    { proxies, public: { ...listener, tls: null } },
  ])
    assert.deepEqual(read(good), { port: 8080, proxies: null, public: null, ...good });
  const bad = [
    { port: 65_536 },
    { port: "80" },
    { more: 1 },
    { proxies: [] },
    { proxies: {} },
    { proxies: { addresses: [], hops: 1 } },
    { proxies: { addresses: ["127.0.0.1"] } },
    { proxies: { ...proxies, hops: 0 } },
    { proxies: { ...proxies, hops: 9 } },
    { proxies: { addresses: ["0.0.0.0/0"], hops: 1 } },
    { proxies: { addresses: ["localhost"], hops: 1 } },
    { proxies: { addresses: Array<string>(65).fill("127.0.0.1"), hops: 1 } },
    { proxies: { ...proxies, header: "Forwarded" } },
    { public: { ...listener, address: "localhost" } },
    { public: { ...listener, port: 0 } },
    { public: { ...listener, tls: null } },
    { public: { address: "::", port: 443 } },
    { public: { ...listener, tls: { ...tls, more: 1 } } },
  ];
  for (const change of bad)
    assert.throws(() => read(change), { name: "ServiceError" }, JSON.stringify(change));
});

function empty() {
  return jsonAnswer(200, {});
}

async function freePort(): Promise<number> {
  await using server = await serveHttp({
    port: 0,
    handler: empty,
    sink: () => undefined,
  });
  return server.port;
}
