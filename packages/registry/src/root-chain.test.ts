import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RootDocument } from "./root-document.ts";
import { verifyRootChain, type RootChainOptions } from "./root-chain.ts";
import type { SignedRoot } from "./root-signature.ts";
import { NOW } from "./testing/registry-fixture.ts";
import { RootHolder, rootOf, signedBy, YEAR } from "./testing/root-fixture.ts";

const [alice, bob, carol, dave, erin, mallory] = [
  "alice",
  "bob",
  "carol",
  "dave",
  "erin",
  "mallory",
].map((name) => new RootHolder(name));
assert.ok(alice && bob && carol && dave && erin && mallory);
const first = signedBy(rootOf([alice, bob, carol]), alice, bob);
/** Carol goes, Dave and Erin come, three must sign; the signers are keys of both or of one. */
const next = (change: Partial<RootDocument> = {}) =>
  rootOf([alice, bob, dave, erin], {
    version: 2,
    threshold: 3,
    made: NOW + 10,
    expires: NOW + YEAR + 10,
    ...change,
  });
const second = signedBy(next(), bob, carol, dave, erin);
const third = signedBy(next({ version: 3, made: NOW + 20 }), alice, dave, erin);

function verify(chain: readonly SignedRoot[], change: Partial<RootChainOptions> = {}): SignedRoot {
  return verifyRootChain(chain, {
    pin: first.hash,
    kind: "production",
    nowSeconds: NOW + 30,
    ...change,
  });
}
function refused(
  code: string,
  chain: readonly SignedRoot[],
  change: Partial<RootChainOptions> = {},
): void {
  assert.throws(() => verify(chain, change), { name: "KeyError", code });
}

describe("a chain of roots", () => {
  it("leads from the pinned document to the newest", () => {
    assert.equal(verify([first]).document.version, 1);
    assert.equal(verify([first, second]).hash, second.hash);
    assert.deepEqual(verify([first, second, third]).document, third.document);
    assert.equal(verify([second, third], { pin: second.hash }).hash, third.hash);
  });

  it("begins with the pinned document and no other", () => {
    refused("ERR_ROOT_PIN", [second, third]);
    const other = signedBy(rootOf([mallory, dave, erin]), mallory, dave);
    refused("ERR_ROOT_PIN", [other]);
    refused("ERR_ROOT_FORM", []);
    refused(
      "ERR_ROOT_FORM",
      Array.from({ length: 1025 }, () => first),
    );
  });

  it("TUF §5.3.4: a rotation needs the threshold of the version before and its own", () => {
    // Each is one signature short of one of the two.
    for (const [signers, missing] of [
      [[alice, dave, erin], /1 of 2 signatures by keys of version 1/],
      [[dave, erin], /0 of 2 signatures by keys of version 1/],
      [[alice, carol, dave], /2 of 3 signatures by keys of version 2/],
      [[alice, bob, carol], /2 of 3 signatures by keys of version 2/],
    ] as const) {
      const short = signedBy(next(), ...signers);
      refused("ERR_ROOT_THRESHOLD", [first, short]);
      assert.throws(() => verify([first, short]), missing);
    }
    verify([first, signedBy(next(), alice, bob, dave)]);
    // Carol left with version 2: what she signs later counts for nothing.
    refused("ERR_ROOT_THRESHOLD", [
      first,
      second,
      signedBy(next({ version: 3, made: NOW + 20 }), alice, carol, dave),
    ]);
  });

  it("the pinned version too has its own threshold", () => {
    const lone = signedBy(rootOf([alice, bob, carol]), alice);
    assert.equal(lone.hash, first.hash);
    refused("ERR_ROOT_THRESHOLD", [lone]);
  });

  it("one stolen key does nothing, alone or as its own successor", () => {
    const taken = rootOf([mallory, dave, erin], { version: 2, made: NOW + 10 });
    refused("ERR_ROOT_THRESHOLD", [first, signedBy(taken, alice, mallory, dave)]);
    verify([first, signedBy(taken, alice, bob, mallory, dave)]);
  });

  it("versions grow by one: none is left out, repeated or taken back", () => {
    const skip = signedBy(next({ version: 3 }), alice, bob, dave);
    refused("ERR_ROOT_VERSION", [first, skip]);
    refused("ERR_ROOT_VERSION", [first, first]);
    refused("ERR_ROOT_VERSION", [first, second, first]);
    refused("ERR_ROOT_VERSION", [first, third]);
    refused("ERR_ROOT_VERSION", [first, signedBy(next({ made: NOW - 1 }), alice, bob, dave)]);
    verify([first, signedBy(next({ made: NOW }), alice, bob, dave)]);
  });

  it("two documents of one version are a fork", () => {
    const twin = signedBy(rootOf([alice, bob, carol], { expires: NOW + YEAR + 1 }), alice, bob);
    refused("ERR_ROOT_FORK", [first, twin]);
    const other = signedBy(next({ expires: NOW + YEAR }), alice, bob, dave);
    refused("ERR_ROOT_FORK", [first, other], { seen: { version: 2, hash: second.hash } });
    refused(
      "ERR_ROOT_FORK",
      [first, other, signedBy(next({ version: 3, made: NOW + 20 }), alice, dave, erin)],
      {
        seen: { version: 2, hash: second.hash },
      },
    );
  });

  it("THREAT-10: a chain that was newer is not taken back", () => {
    const seen = { version: 2, hash: second.hash };
    refused("ERR_ROOT_VERSION", [first], { seen });
    assert.equal(verify([first, second], { seen }).hash, second.hash);
    assert.equal(verify([first, second, third], { seen }).hash, third.hash);
  });

  it("only the newest must not have expired", () => {
    const { expires } = second.document;
    assert.equal(verify([first, second], { nowSeconds: expires - 1 }).hash, second.hash);
    refused("ERR_ROOT_EXPIRED", [first, second], { nowSeconds: expires });
    refused("ERR_ROOT_EXPIRED", [first], { nowSeconds: first.document.expires });
  });

  it("ARCHITECTURE §9: a chain with a demo root in it is no production chain, whoever signed it", () => {
    const demo = signedBy(rootOf([alice, bob, carol], { kind: "demo" }), alice, bob);
    const demoNext = signedBy(next({ kind: "demo" }), alice, bob, dave);
    assert.equal(verify([demo, demoNext], { pin: demo.hash, kind: "demo" }).hash, demoNext.hash);
    refused("ERR_ROOT_KIND", [demo], { pin: demo.hash });
    refused("ERR_ROOT_KIND", [demo, second], { pin: demo.hash });
    refused("ERR_ROOT_KIND", [demo, second], { pin: demo.hash, kind: "demo" });
    refused("ERR_ROOT_KIND", [first, demoNext]);
    refused("ERR_ROOT_KIND", [first, demoNext, third]);
    refused("ERR_ROOT_KIND", [first], { kind: "demo" });
  });
});
