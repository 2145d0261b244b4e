import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "./evidence-error.ts";
import { AWS_NITRO_ROOTS, type NitroBinding, verifyNitro } from "./nitro.ts";
import { cbor } from "./testing/cbor-writer.ts";
import { authority, makeSigner, TEST_NOW } from "./testing/certificates.ts";
import {
  makeNitroDocument,
  makeSign1,
  NITRO_TEST_ROOTS,
  type NitroMembers,
  nitroLeaf,
  nitroMembers,
  nitroPcrs,
  SIGNING_USAGE,
} from "./testing/nitro.ts";

const bound: NitroBinding = {
  nonce: Buffer.from("nonce"),
  userData: Buffer.from("user data"),
  publicKey: Buffer.from("public key"),
};
const unbound: NitroBinding = { nonce: null, userData: null, publicKey: null };
const options = { now: TEST_NOW, expected: bound, roots: NITRO_TEST_ROOTS };

function refused(encoded: Buffer, expected: object): void {
  assert.throws(() => verifyNitro(encoded, options), { name: "EvidenceError", ...expected });
}

test("a document of an enclave", () => {
  const encoded = makeNitroDocument();
  const document = verifyNitro(encoded, options);
  assert.deepEqual(document, {
    moduleId: "i-0123-enc4567",
    timestamp: TEST_NOW,
    pcrs: nitroPcrs(),
    debug: false,
    publicKey: bound.publicKey,
    userData: bound.userData,
    nonce: bound.nonce,
  });
  assert.deepEqual(verifyNitro(Buffer.concat([Buffer.of(0xd2), encoded]), options), document);
});

test("optional fields are absent or null", () => {
  for (const none of [undefined, null]) {
    const encoded = makeNitroDocument({ nonce: none, user_data: none, public_key: none });
    const { nonce, userData, publicKey } = verifyNitro(encoded, { ...options, expected: unbound });
    assert.deepEqual([nonce, userData, publicKey], [undefined, undefined, undefined]);
    refused(encoded, { code: "ERR_EVIDENCE_BINDING", part: "nonce" });
  }
});

test("THREAT-14: a document of another nonce, for other data or another key is refused", () => {
  const encoded = makeNitroDocument();
  for (const [member, part] of [
    ["nonce", "nonce"],
    ["userData", "user_data"],
    ["publicKey", "public_key"],
  ] as const) {
    for (const other of [Buffer.from("other"), Buffer.alloc(0)]) {
      const expected = { ...unbound, [member]: other };
      assert.throws(() => verifyNitro(encoded, { ...options, expected }), {
        code: "ERR_EVIDENCE_BINDING",
        part,
      });
    }
    verifyNitro(encoded, { ...options, expected: { ...unbound, [member]: bound[member] } });
  }
});

test("debug mode is told by PCR0 to PCR2, all zero", () => {
  const zero = Buffer.alloc(48);
  const pcrs = nitroPcrs();
  for (const index of [0, 1, 2]) {
    assert.equal(verifyNitro(makeNitroDocument({ pcrs }), options).debug, false);
    pcrs.set(index, zero);
  }
  assert.equal(verifyNitro(makeNitroDocument({ pcrs }), options).debug, true);
});

test("the root is pinned", () => {
  assert.throws(() => verifyNitro(makeNitroDocument(), { now: TEST_NOW, expected: bound }), {
    code: "ERR_EVIDENCE_ROOT",
  });
  assert.deepEqual(
    [...AWS_NITRO_ROOTS].map((root) => root.length),
    [64],
  );
});

test("a leaf counts from a minute before its beginning, to its end", () => {
  const notBefore = TEST_NOW - 1000;
  const notAfter = TEST_NOW + 10_800_000;
  const encoded = makeNitroDocument({ certificate: nitroLeaf({ notBefore, notAfter }) });
  for (const now of [notBefore - 60_000, notAfter]) verifyNitro(encoded, { ...options, now });
  for (const now of [notBefore - 60_001, notAfter + 1]) {
    assert.throws(() => verifyNitro(encoded, { ...options, now }), { code: "ERR_EVIDENCE_TIME" });
  }
});

test("a leaf may sign, and is no authority", () => {
  const certificate = { code: "ERR_EVIDENCE_CERTIFICATE" };
  for (const extensions of [[], [{ ...SIGNING_USAGE, value: Buffer.of(3, 2, 6, 0x40) }]]) {
    refused(makeNitroDocument({ certificate: nitroLeaf({ extensions }) }), {
      ...certificate,
      message: "Nitro document: leaf may not sign",
    });
  }
  refused(makeNitroDocument({ certificate: nitroLeaf({ extensions: authority() }) }), certificate);
});

const badSignature = { code: "ERR_EVIDENCE_SIGNATURE" };

test("THREAT-14: who signs is the leaf, with ES384", () => {
  refused(makeNitroDocument({}, { signer: makeSigner("Other", "ecdsa-sha384") }), badSignature);
  for (const scheme of ["rsa-sha256", "ecdsa-sha256"] as const) {
    const signer = makeSigner("Nitro enclave", scheme);
    const certificate = nitroLeaf({ subject: signer });
    refused(makeNitroDocument({ certificate }, { signer }), badSignature);
  }
  refused(makeNitroDocument({}, { context: "Signature2" }), badSignature);
});

test("the header is ES384 and nothing else", () => {
  const other = { code: "ERR_EVIDENCE_UNSUPPORTED" };
  for (const header of [
    Buffer.alloc(0),
    cbor(new Map()),
    cbor(new Map([[1, -7]])),
    cbor(new Map([[1, -36]])),
    cbor(
      new Map<number, number | readonly number[]>([
        [1, -35],
        [2, [1]],
      ]),
    ),
  ]) {
    refused(makeNitroDocument({}, { header }), other);
  }
  refused(makeNitroDocument({}, { unprotected: new Map([[4, Buffer.of(1)]]) }), other);
});

test("only a COSE_Sign1 of four parts is read", () => {
  const header = cbor(new Map([[1, -35]]));
  const payload = cbor(nitroMembers());
  const signature = Buffer.alloc(96);
  const none = new Map<number, number>();
  for (const value of [
    1,
    null,
    [header, none, payload],
    [header, none, payload, signature, null],
    ["", none, payload, signature],
    [header, null, payload, signature],
    [header, [], payload, signature],
    [header, none, null, signature],
    [header, none, payload, null],
  ]) {
    refused(cbor(value), {
      code: "ERR_EVIDENCE_FORMAT",
      message: "Nitro document: not a COSE_Sign1",
    });
  }
  refused(cbor([header, none, payload, signature.subarray(1)]), badSignature);
  refused(cbor([header, none, payload, signature]), badSignature);
});

function pcrsWith(index: number | string, value: Buffer | null): NitroMembers {
  return {
    pcrs: new Map<number | string, Buffer | null>([...nitroPcrs(), [index, value]]),
  };
}

function pcrsWithout(index: number): NitroMembers {
  const pcrs = nitroPcrs();
  pcrs.delete(index);
  return { pcrs };
}

test("each member has its kind and size", () => {
  const pcr = Buffer.alloc(48);
  const long = Buffer.alloc(1025);
  const cases: readonly (readonly [string, NitroMembers])[] = [
    ["module_id", { module_id: undefined }],
    ["module_id", { module_id: Buffer.from("i") }],
    ["module_id", { module_id: "" }],
    ["module_id", { module_id: "i".repeat(257) }],
    ["timestamp", { timestamp: undefined }],
    ["timestamp", { timestamp: "1" }],
    ["timestamp", { timestamp: -1 }],
    ["pcrs", { pcrs: undefined }],
    ["pcrs", { pcrs: [pcr, pcr, pcr] }],
    ["pcrs", pcrsWith(-1, pcr)],
    ["pcrs", pcrsWith(32, pcr)],
    ["pcrs", pcrsWith("5", pcr)],
    ["pcrs", pcrsWith(5, pcr.subarray(1))],
    ["pcrs", pcrsWith(5, Buffer.alloc(64))],
    ["pcrs", pcrsWith(5, null)],
    ["pcrs", pcrsWithout(0)],
    ["pcrs", pcrsWithout(1)],
    ["pcrs", pcrsWithout(2)],
    ["certificate", { certificate: undefined }],
    ["certificate", { certificate: null }],
    ["certificate", { certificate: long }],
    ["cabundle", { cabundle: undefined }],
    ["cabundle", { cabundle: Buffer.alloc(3) }],
    ["cabundle", { cabundle: [null] }],
    ["cabundle", { cabundle: [long] }],
    ["cabundle", { cabundle: Array.from({ length: 8 }, () => pcr) }],
    ["public_key", { public_key: "key" }],
    ["user_data", { user_data: long }],
    ["nonce", { nonce: 1 }],
  ];
  for (const [part, changes] of cases) {
    refused(makeNitroDocument(changes), { code: "ERR_EVIDENCE_FORMAT", part });
  }
  verifyNitro(
    makeNitroDocument({
      module_id: "i".repeat(256),
      timestamp: 0,
      nonce: long.subarray(1),
      ...pcrsWith(31, pcr),
    }),
    { ...options, expected: unbound },
  );
  refused(makeSign1(cbor([])), { code: "ERR_EVIDENCE_FORMAT", part: "map" });
});

test("another digest and a member that is not known are refused by name", () => {
  const unsupported = { code: "ERR_EVIDENCE_UNSUPPORTED" };
  refused(makeNitroDocument({ digest: "SHA256" }), unsupported);
  refused(makeNitroDocument({ digest: undefined }), unsupported);
  refused(makeNitroDocument({ isolation: 1 }), {
    ...unsupported,
    message: "Nitro document: a member is not known",
  });
});

test("THREAT-26: sizes are bounded", () => {
  const tooLarge = { code: "ERR_EVIDENCE_SIZE" };
  refused(Buffer.alloc(20_481), tooLarge);
  refused(makeSign1(Buffer.alloc(16_385)), tooLarge);
  refused(makeSign1(Buffer.alloc(16_384)), { code: "ERR_EVIDENCE_FORMAT" });
});

test("a changed byte is never accepted, and gives a coded error", () => {
  const good = makeNitroDocument();
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(good);
      changed[at] = (changed[at] ?? 0) ^ flip;
      assert.throws(() => verifyNitro(changed, options), EvidenceError);
    }),
    { numRuns: 400 },
  );
});

test("random bytes give a coded error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      assert.throws(() => verifyNitro(bytes, options), EvidenceError);
      assert.throws(() => verifyNitro(makeSign1(Buffer.from(bytes)), options), EvidenceError);
    }),
    { numRuns: 200 },
  );
});
