import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { addressBlock, ClientAddresses, isAddressRange, type Proxies } from "./client-address.ts";
import { jsonAnswer } from "./message.ts";
import { serveHttp } from "./server.ts";

const ONE: Proxies = { addresses: ["10.0.0.0/8", "::1", "2001:db8:ffff::/48"], hops: 1 };

/** What is taken for the client's address; `lines` are the values of one X-Forwarded-For line each. */
function addressOf(
  lines: readonly string[],
  { peer = "10.0.0.1", proxies = ONE }: { peer?: string; proxies?: Proxies | null } = {},
): string {
  const rawHeaders = ["Host", "a", ...lines.flatMap((line) => ["X-Forwarded-For", line])];
  return new ClientAddresses(proxies).of({ socket: { remoteAddress: peer }, rawHeaders });
}

describe("THREAT-39: the address of a request's client", () => {
  test("the entry that the proxy wrote counts, never one further left", () => {
    assert.equal(addressOf(["192.0.2.7"]), "192.0.2.7");
    assert.equal(addressOf(["203.0.113.1, 192.0.2.7"]), "192.0.2.7");
    assert.equal(addressOf(["10.0.0.9,,x,203.0.113.1 ,\t192.0.2.7 "]), "192.0.2.7");
    for (const peer of ["::1", "2001:db8:ffff::5", "::ffff:10.0.0.1"])
      assert.equal(addressOf(["192.0.2.7"], { peer }), "192.0.2.7", peer);
  });

  test("nobody but a declared proxy is believed", () => {
    for (const peer of ["11.0.0.1", "::2", "127.0.0.1", "::ffff:11.0.0.1", "fe80::1%eth0"])
      assert.equal(addressOf(["192.0.2.7"], { peer }), peer.replace("::ffff:", ""), peer);
    assert.equal(addressOf(["192.0.2.7"], { proxies: null }), "10.0.0.1");
    assert.equal(addressOf(["192.0.2.7"], { peer: "" }), "");
  });

  test("several proxies: so many entries from the right, each of them but the last a proxy's", () => {
    const proxies = { ...ONE, hops: 3 };
    const through = (line: string): string => addressOf([line], { proxies });
    assert.equal(through("203.0.113.1, 192.0.2.7, 10.0.0.3, 10.0.0.2"), "192.0.2.7");
    assert.equal(through("192.0.2.7, 10.0.0.3, 10.0.0.2"), "192.0.2.7");
    // Too short, and past the outermost proxy, and past two of them.
    for (const line of ["10.0.0.3, 10.0.0.2", "10.0.0.2", "7.7.7.7, 192.0.2.7, 10.0.0.2"])
      assert.equal(through(line), "10.0.0.1", line);
    assert.equal(through("7.7.7.7, 10.0.0.3, 192.0.2.7"), "10.0.0.1");
    assert.equal(through("192.0.2.7, 10.0.0.3, x"), "10.0.0.1");
  });

  test("what is missing, malformed, too long or there twice leaves the peer", () => {
    const malformed = [
      "",
      ",",
      "192.0.2.7,",
      "unknown",
      "_hidden",
      "192.0.2.7 192.0.2.8",
      "192.0.2",
      "192.0.2.256",
      "192.0.2.07",
      "192.0.2.7:",
      "192.0.2.7:123456",
      "192.0.2.7:8x",
      "[192.0.2.7]",
      "[2001:db8::1",
      "[2001:db8::1]x",
      "[2001:db8::1]:",
      "[]",
      "2001:db8::1%eth0",
      "[2001:db8::1%1]:80",
      "2001:db8::1::",
      '"192.0.2.7"',
      "for=192.0.2.7",
      "1".repeat(8000),
    ];
    for (const line of malformed) assert.equal(addressOf([line]), "10.0.0.1", line);
    // What stands further left is no way out.
    for (const line of malformed) assert.equal(addressOf([`9.9.9.9, ${line}`]), "10.0.0.1", line);
    assert.equal(addressOf([]), "10.0.0.1");
    assert.equal(addressOf(["192.0.2.7", "192.0.2.8"]), "10.0.0.1");
  });

  test("ports and brackets go, and one address has one text", () => {
    const texts: readonly (readonly [line: string, address: string])[] = [
      ["192.0.2.7:65535", "192.0.2.7"],
      ["[2001:db8::1]:443", "2001:db8::1"],
      ["[2001:db8::1]", "2001:db8::1"],
      ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
      ["::ffff:192.0.2.7", "192.0.2.7"],
      ["[::FFFF:c000:0207]:1", "192.0.2.7"],
      ["0000:0000:0000:0000:0000:ffff:192.168.255.255", "192.168.255.255"],
      [
        "[ffff:ffff:ffff:ffff:ffff:ffff:192.168.255.255]:65535",
        "ffff:ffff:ffff:ffff:ffff:ffff:c0a8:ffff",
      ],
    ];
    for (const [line, address] of texts) assert.equal(addressOf([line]), address, line);
  });

  test("property: it is the peer, or the last entry, and never throws", () => {
    const entry = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string(), fc.constantFrom("", "x", "[::1]:1"));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 5 }), fc.ipV4(), (left, last) => {
        assert.equal(addressOf([[...left, last].join(",")]), last);
        const address = addressOf([left.join(",")]);
        assert.equal(address, addressOf([left.at(-1)?.split(",").at(-1) ?? ""]));
      }),
    );
  });
});

test("THREAT-39: an IPv6 address counts as its /64, an IPv4 address as itself", () => {
  const blocks: readonly (readonly [address: string, block: string])[] = [
    ["192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::", "2001:db8:1:2::/64"],
    ["2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"],
    ["2001:db8:1::2", "2001:db8:1:0::/64"],
    ["2001:db8::3:0:0:0:1", "2001:db8:0:3::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["::1.2.3.4", "0:0:0:0::/64"],
    ["::2:0:0:0:1", "0:0:0:2::/64"],
    ["", ""],
  ];
  for (const [address, block] of blocks) assert.equal(addressBlock(address), block, address);
});

test("what a configuration may name as a proxy", () => {
  for (const text of ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/1", "10.0.0.1/32", "::1", "fd00::/8"])
    assert.ok(isAddressRange(text), text);
  for (const text of [
    "",
    "proxy.example",
    "10.0.0",
    "10.0.0.0/0",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "::/0",
    "fd00::/129",
    "::ffff:10.0.0.1",
    "::ffff:10.0.0.0/104",
    "fe80::1%eth0",
    "[::1]",
    "10.0.0.1:80",
  ]) {
    assert.ok(!isAddressRange(text), text);
    assert.throws(() => new ClientAddresses({ addresses: [text], hops: 1 }), RangeError);
  }
});

/** What a handler says that it saw. */
function seen(address: string): string {
  return JSON.stringify({ method: "GET", path: "/a", address });
}

test("THREAT-39: a handler sees the client's address, and no other word of a forwarding header", async () => {
  await using server = await serveHttp({
    port: 0,
    handler: ({ method, path, address }) => jsonAnswer(200, { method, path, address }),
    sink: () => undefined,
    proxies: { addresses: ["127.0.0.1"], hops: 1 },
  });
  const ask = async (...lines: readonly string[]): Promise<string> => {
    const socket = connect({ host: "127.0.0.1", port: server.port });
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.write(
      ["GET /a HTTP/1.1", "Host: a", "Connection: close", ...lines, "", ""].join("\r\n"),
    );
    await once(socket, "close");
    return received.slice(received.indexOf("{"));
  };
  assert.equal(await ask("x-forwarded-FOR: 1.1.1.1, 192.0.2.7"), seen("192.0.2.7"));
  assert.equal(
    await ask("X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.8"),
    seen("127.0.0.1"),
  );
  assert.equal(
    await ask(
      "Forwarded: for=192.0.2.7;host=evil.example;proto=https",
      "X-Forwarded-Host: evil.example",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Method: POST",
      "X-Original-URL: /b",
      "X-Real-IP: 192.0.2.7",
      "X-Forwarded-For-Original: 192.0.2.7",
    ),
    seen("127.0.0.1"),
  );
});
