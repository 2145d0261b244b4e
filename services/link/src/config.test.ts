import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./config.ts";

const PIN = "A".repeat(43);
const OTHER_PIN = "E".repeat(43);
const ADDRESS = { host: "10.0.0.2", port: 7443 };
const PAIR = { service: "ledger", caller: "signer-consumer" };
const PEER = {
  name: "b",
  pins: [PIN],
  address: ADDRESS,
  services: [{ service: "monitor", caller: "issuer-a" }],
};
const GOOD = {
  v: 1,
  identity: "link",
  listen: { host: "::1", port: 7443 },
  peers: [PEER],
  connect: [{ ...PAIR, peer: "b" }],
};

function parse(changes: object) {
  return parseConfig(Buffer.from(JSON.stringify({ ...GOOD, ...changes })));
}

describe("config of a link", () => {
  it("says who comes, to what, and whom this machine dials", () => {
    assert.deepEqual(parse({}), {
      identity: "link",
      listen: { host: "::1", port: 7443 },
      peers: [PEER],
      connect: [{ ...PAIR, peer: PEER }],
    });
  });

  it("may say that nobody comes, or that nobody is dialled", () => {
    assert.equal(parse({ listen: null, peers: [{ ...PEER, services: [] }] }).listen, null);
    const { address: _, ...silent } = PEER;
    assert.deepEqual(parse({ connect: [], peers: [silent] }).peers, [silent]);
  });

  it("has all problems named at once", () => {
    const problems = {
      listen: 1,
      identity: "../x",
      peers: [{}, 1],
      connect: [{ ...PAIR, peer: "c" }],
      x: 1,
    };
    assert.throws(
      () => parse(problems),
      (error: Error) => {
        for (const part of ["identity", "listen", "peers 0", "peers 1", "names c", "member x"])
          assert.ok(error.message.includes(part), `${part} in ${error.message}`);
        return true;
      },
    );
  });

  const twice = [PEER, { ...PEER, name: "c" }];
  const refused: Readonly<Record<string, object>> = {
    "another version": { v: 2 },
    "no listen": { listen: undefined },
    "services though nobody comes": { listen: null },
    "a host that is none": { listen: { host: "a b", port: 1 } },
    "a port that is none": { listen: { host: "::1", port: 65_536 } },
    "a member too many": { listen: { host: "::1", port: 1, x: 1 } },
    "a peer without a pin": { peers: [{ ...PEER, pins: [] }] },
    "too many pins": { peers: [{ ...PEER, pins: Array.from({ length: 5 }, () => PIN) }] },
    "a pin that is none": { peers: [{ ...PEER, pins: ["A".repeat(42)] }] },
    "a pin with bits that count for nothing": {
      peers: [{ ...PEER, pins: [`${"A".repeat(42)}B`] }],
    },
    "one pin of two peers": { peers: twice },
    "one name of two peers": { peers: [PEER, { ...PEER, pins: [OTHER_PIN] }] },
    "port 0 of a peer": { peers: [{ ...PEER, address: { host: "::1", port: 0 } }] },
    "a member of a peer too many": { peers: [{ ...PEER, pin: PIN }] },
    "a service that leads elsewhere": {
      peers: [{ ...PEER, services: [{ ...PAIR, service: "../x" }] }],
    },
    "a member of a service too many": { peers: [{ ...PEER, services: [{ ...PAIR, x: 1 }] }] },
    "a peer that is not there": { connect: [{ ...PAIR, peer: "c" }] },
    "a peer without an address": { peers: [{ ...PEER, address: undefined }] },
    "one socket twice": { connect: [GOOD.connect[0], GOOD.connect[0]] },
    "a peer that is handed on": { peers: [{ ...PEER, services: [PAIR] }] },
    "a caller that is none": { connect: [{ ...PAIR, caller: "A", peer: "b" }] },
  };
  for (const [what, changes] of Object.entries(refused))
    it(`refuses ${what}`, () => {
      assert.throws(() => parse(changes), { code: "ERR_CONFIG" });
    });
});
