import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { verifyChain } from "./certificate-chain.ts";
import { EvidenceError } from "./evidence-error.ts";
import {
  algorithmOf,
  authority,
  type CertificateOptions,
  type Extension,
  makeCertificate,
  makeSigner,
  type Signer,
  signWith,
  TEST_NOW,
} from "./testing/certificates.ts";
import {
  bits,
  boolean,
  commonName,
  der,
  integer,
  nothing,
  octets,
  oid,
  sequence,
} from "./testing/der-writer.ts";
import { parseCertificate } from "./x509.ts";

const rootSigner = makeSigner("Root", "ecdsa-sha384");
const middle = makeSigner("Middle", "pss-sha384");
const leafSigner = makeSigner("Leaf", "ecdsa-sha256");

const rootDer = makeCertificate({
  subject: rootSigner,
  issuer: rootSigner,
  extensions: authority(),
});
const middleOptions = { subject: middle, issuer: rootSigner, extensions: authority(0) };
const leafOptions = { subject: leafSigner, issuer: middle };
const root = parseCertificate(rootDer, "root");
const options = { roots: new Set([root.fingerprint]), now: TEST_NOW, what: "chain" };

function made(
  changes: Partial<CertificateOptions> = leafOptions,
  base: CertificateOptions = leafOptions,
) {
  return parseCertificate(makeCertificate({ ...base, ...changes }), "made");
}

const goodMiddle = made(middleOptions);
const goodLeaf = made();

test("a chain in order, up to a pinned root", () => {
  const verified = verifyChain([goodLeaf, goodMiddle, root], options);
  assert.equal(verified.leaf, goodLeaf);
  assert.equal(verified.root, root);
  assert.equal(verified.certificates.length, 3);
});

test("each scheme of a signature verifies", () => {
  for (const scheme of ["ecdsa-sha256", "ecdsa-sha384", "pss-sha384", "rsa-sha256"] as const) {
    const signer = makeSigner("CA", scheme);
    const own = made({ subject: signer, issuer: signer, extensions: authority() });
    const leaf = made({ issuer: signer });
    verifyChain([leaf, own], { ...options, roots: new Set([own.fingerprint]) });
  }
});

test("a root that is not pinned is refused, whatever its name", () => {
  const other = makeSigner("Root", "ecdsa-sha384");
  const foreign = made({ subject: other, issuer: other, extensions: authority() });
  const chain = [made({ issuer: other }), foreign];
  assert.throws(() => verifyChain(chain, options), { code: "ERR_EVIDENCE_ROOT" });
});

const refused = { name: "EvidenceError", code: "ERR_EVIDENCE_CERTIFICATE", part: "chain" };

test("a chain has a leaf and an issuer, and an end", () => {
  for (const chain of [[], [root], [goodLeaf, ...Array.from({ length: 8 }, () => root)]]) {
    assert.throws(() => verifyChain(chain, options), {
      ...refused,
      message: "chain: a chain has 2 to 8 certificates",
    });
  }
});

test("an issuer must be an authority that may sign certificates", () => {
  const [constraints, usage] = authority(0);
  assert.ok(constraints !== undefined && usage !== undefined);
  const noSigning = { ...usage, value: bits(Buffer.of(0x82), 1) };
  const notAuthority = { ...constraints, value: sequence() };
  for (const extensions of [
    [],
    [usage],
    [constraints],
    [constraints, noSigning],
    [notAuthority, usage],
  ]) {
    const issuer = made({ ...middleOptions, extensions });
    assert.throws(() => verifyChain([goodLeaf, issuer, root], options), refused);
  }
});

test("a path is not longer than an authority allows", () => {
  const second = makeSigner("Second", "ecdsa-sha256");
  const below = made({ subject: second, issuer: middle, extensions: authority() });
  const leaf = made({ issuer: second });
  assert.throws(() => verifyChain([leaf, below, goodMiddle, root], options), {
    ...refused,
    message: "chain: path is too long",
  });
  const long = made({ ...middleOptions, extensions: authority(1) });
  verifyChain([leaf, below, long, root], options);
});

test("a leaf is no authority", () => {
  assert.throws(() => verifyChain([goodMiddle, root], options), {
    ...refused,
    message: "chain: leaf is an authority",
  });
});

test("names are chained, byte by byte", () => {
  const renamed = made({ ...middleOptions, subject: { ...middle, name: "Muddle" } });
  assert.throws(() => verifyChain([goodLeaf, renamed, root], options), {
    ...refused,
    message: "chain: issuer has another name",
  });
});

test("an issuer of the same name with another key did not sign", () => {
  for (const scheme of ["pss-sha384", "ecdsa-sha256"] as const) {
    const issuer = made({ ...middleOptions, subject: makeSigner("Middle", scheme) });
    assert.throws(() => verifyChain([goodLeaf, issuer, root], options), {
      code: "ERR_EVIDENCE_SIGNATURE",
    });
  }
});

test("a signature of RSA does not pass under the name of ECDSA", () => {
  const rsa = { ...middle, scheme: "rsa-sha256" as const };
  const named = withAlgorithm(algorithmOf("ecdsa-sha256"), rsa);
  const chain = [parseCertificate(named, "leaf"), goodMiddle, root];
  assert.throws(() => verifyChain(chain, options), { code: "ERR_EVIDENCE_SIGNATURE" });
});

test("validity is inclusive at both ends, with leeway only before", () => {
  const notBefore = TEST_NOW - 5000;
  const notAfter = TEST_NOW + 5000;
  const chain = [made({ notBefore, notAfter }), goodMiddle, root];
  for (const now of [notBefore, notAfter]) verifyChain(chain, { ...options, now });
  verifyChain(chain, { ...options, now: notBefore - 2000, leewayMs: 2000 });
  for (const [now, leewayMs] of [
    [notBefore - 1, 0],
    [notBefore - 2001, 2000],
    [notAfter + 1, 2000],
  ] as const) {
    assert.throws(() => verifyChain(chain, { ...options, now, leewayMs }), {
      code: "ERR_EVIDENCE_TIME",
    });
  }
  const expired = made({ ...middleOptions, notAfter: TEST_NOW - 1 });
  assert.throws(() => verifyChain([goodLeaf, expired, root], options), {
    code: "ERR_EVIDENCE_TIME",
  });
});

test("a critical extension that nobody understands makes a certificate unusable", () => {
  const strange: Extension = { oid: "1.2.3.4", value: nothing(), isCritical: true };
  const chain = [made({ extensions: [strange] }), goodMiddle, root];
  assert.throws(() => verifyChain(chain, options), refused);
  assert.throws(() => verifyChain(chain, { ...options, understood: new Set(["1.2.3"]) }), refused);
  verifyChain(chain, { ...options, understood: new Set(["1.2.3.4"]) });
  verifyChain(
    [made({ extensions: [{ ...strange, isCritical: false }] }), goodMiddle, root],
    options,
  );
});

test("extensions are found by their whole identifier, and stand once", () => {
  const one: Extension = { oid: "1.2.3.4", value: nothing() };
  const longer: Extension = { oid: "1.2.3.4.5", value: boolean(true) };
  const certificate = made({ extensions: [longer, one] });
  assert.deepEqual([...certificate.extensions.keys()], ["1.2.3.4.5", "1.2.3.4"]);
  const twice = { name: "EvidenceError", code: "ERR_EVIDENCE_CERTIFICATE", part: "made" };
  assert.throws(() => made({ extensions: [one, longer, one] }), twice);
  const many = Array.from({ length: 41 }, (_, i) => ({ oid: `1.2.${i}`, value: nothing() }));
  assert.throws(() => made({ extensions: many }), twice);
  assert.equal(made({ extensions: many.slice(1) }).extensions.size, 40);
});

test("a certificate says what it is used for", () => {
  const usage = { oid: "2.5.29.15", value: bits(Buffer.of(0x80), 7) };
  const { keyUsage, isAuthority, pathLength, serialNumber } = made({ extensions: [usage] });
  assert.deepEqual(keyUsage, { digitalSignature: true, keyCertSign: false, crlSign: false });
  assert.deepEqual([isAuthority, pathLength, serialNumber], [false, undefined, "01"]);
  assert.equal(goodMiddle.pathLength, 0);
  assert.equal(made({ serialNumber: 0 }).serialNumber, "00");
  for (const value of [bits(Buffer.of(0x80), 8), der(3)]) {
    assert.throws(() => made({ extensions: [{ oid: "2.5.29.15", value }] }), {
      code: "ERR_EVIDENCE_FORMAT",
    });
  }
  const none = made({ extensions: [{ oid: "2.5.29.15", value: bits(Buffer.alloc(0)) }] });
  assert.equal(none.keyUsage?.keyCertSign, false);
});

test("another version, or two algorithms, are refused", () => {
  assert.throws(() => made({ version: 1 }), { code: "ERR_EVIDENCE_UNSUPPORTED" });
  assert.throws(() => made({ innerAlgorithm: algorithmOf("ecdsa-sha256") }), {
    code: "ERR_EVIDENCE_CERTIFICATE",
    message: "made: two signature algorithms",
  });
});

test("sizes are bounded", () => {
  const padding = { oid: "1.2.3", value: octets(Buffer.alloc(16_384)) };
  assert.throws(() => made({ extensions: [padding] }), { code: "ERR_EVIDENCE_SIZE" });
});

test("keys of other kinds and sizes are refused", () => {
  const pairs = [
    generateKeyPairSync("rsa", { modulusLength: 1024 }),
    generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 }),
    generateKeyPairSync("ed25519"),
    generateKeyPairSync("rsa-pss", { modulusLength: 2048 }),
    generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
  ];
  for (const { publicKey } of pairs) {
    const spki = publicKey.export({ format: "der", type: "spki" });
    assert.throws(() => made({ spki }), { code: "ERR_EVIDENCE_UNSUPPORTED" });
  }
  // A modulus of 8200 bits is enough to be refused; nobody has to make the key.
  const huge = sequence(
    integer(Buffer.concat([Buffer.of(0, 0x80), Buffer.alloc(1023, 1), Buffer.of(1)])),
    integer(65_537),
  );
  const rsa = sequence(oid("1.2.840.113549.1.1.1"), nothing());
  assert.throws(() => made({ spki: sequence(rsa, bits(huge)) }), {
    code: "ERR_EVIDENCE_UNSUPPORTED",
  });
  assert.throws(() => made({ spki: sequence(rsa, bits(Buffer.alloc(4))) }), {
    code: "ERR_EVIDENCE_FORMAT",
  });
  assert.equal(made({ subject: middle }).publicKey.asymmetricKeyType, "rsa");
});

const sha256 = oid("2.16.840.1.101.3.4.2.1");
const sha384 = oid("2.16.840.1.101.3.4.2.2");
const mgf1 = oid("1.2.840.113549.1.1.8");

function pss({
  hash = sequence(sha384),
  mask = sequence(mgf1, sequence(sha384)),
  salt = 48,
  rest = [],
}: {
  hash?: Buffer;
  mask?: Buffer;
  salt?: number;
  rest?: readonly Buffer[];
}): Buffer {
  const parameters = sequence(der(0xa0, hash), der(0xa1, mask), der(0xa2, integer(salt)), ...rest);
  return sequence(oid("1.2.840.113549.1.1.10"), parameters);
}

/** A certificate whose two algorithms are `algorithm`, whatever it was signed with. */
function withAlgorithm(algorithm: Buffer, signer: Signer = middle): Buffer {
  const body = sequence(
    der(0xa0, integer(2)),
    integer(1),
    algorithm,
    commonName("Middle"),
    sequence(der(0x17, Buffer.from("200101000000Z")), der(0x17, Buffer.from("300101000000Z"))),
    commonName("Leaf"),
    leafSigner.publicKey.export({ format: "der", type: "spki" }),
  );
  return sequence(body, algorithm, bits(signWith(signer, body)));
}

test("parameters of PSS: with and without NULL and the default trailer", () => {
  for (const algorithm of [
    pss({}),
    pss({ hash: sequence(sha384, nothing()) }),
    pss({ rest: [der(0xa3, integer(1))] }),
  ]) {
    const leaf = parseCertificate(withAlgorithm(algorithm), "leaf");
    verifyChain([leaf, goodMiddle, root], options);
  }
});

test("other parameters and algorithms are refused by name", () => {
  const unsupported: Readonly<Record<string, Buffer>> = {
    "signature algorithm": sequence(oid("1.2.840.113549.1.1.5"), nothing()),
    hash: pss({ hash: sequence(oid("1.3.14.3.2.26")) }),
    "mask of PSS": pss({ mask: sequence(sha384, sequence(sha384)) }),
    "hash of the mask of PSS": pss({ mask: sequence(mgf1, sequence(sha256)) }),
    "salt of PSS": pss({ salt: 32 }),
    "trailer of PSS": pss({ rest: [der(0xa3, integer(2))] }),
  };
  for (const [name, algorithm] of Object.entries(unsupported)) {
    assert.throws(() => parseCertificate(withAlgorithm(algorithm), "leaf"), {
      code: "ERR_EVIDENCE_UNSUPPORTED",
      message: `leaf: ${name} is not supported`,
    });
  }
  for (const algorithm of [
    sequence(oid("1.2.840.113549.1.1.11"), der(5, Buffer.of(1))),
    sequence(oid("1.2.840.113549.1.1.11")),
    sequence(oid("1.2.840.10045.4.3.2"), nothing()),
    sequence(oid("1.2.840.113549.1.1.10"), sequence(), nothing()),
    pss({ hash: sequence(sha384, der(5, Buffer.of(1))) }),
    pss({ hash: sequence(sha384, integer(1)) }),
    pss({ mask: sequence(mgf1, sequence(sha384), nothing()) }),
    pss({ rest: [nothing()] }),
  ]) {
    assert.throws(() => parseCertificate(withAlgorithm(algorithm), "leaf"), {
      code: "ERR_EVIDENCE_FORMAT",
    });
  }
});

test("elements that nobody reads are refused, wherever they are", () => {
  const nul = nothing();
  const algorithm = algorithmOf("ecdsa-sha256");
  const spki = leafSigner.publicKey.export({ format: "der", type: "spki" });
  const day = der(0x17, Buffer.from("200101000000Z"));
  const body = (more: { validity?: Buffer[]; extensions?: Buffer[]; end?: Buffer[] }): Buffer =>
    sequence(
      der(0xa0, integer(2)),
      integer(1),
      algorithm,
      commonName("a"),
      sequence(day, day, ...(more.validity ?? [])),
      commonName("b"),
      spki,
      ...(more.extensions ?? []),
      ...(more.end ?? []),
    );
  const whole = (signed: Buffer, ...more: Buffer[]): Buffer =>
    sequence(signed, algorithm, bits(Buffer.alloc(8)), ...more);
  parseCertificate(whole(body({})), "x");
  const extension = sequence(oid("2.5.29.19"), octets(sequence(boolean(true))));
  parseCertificate(whole(body({ extensions: [der(0xa3, sequence(extension))] })), "x");
  for (const certificate of [
    whole(body({}), nul),
    whole(body({ validity: [nul] })),
    whole(body({ end: [nul] })),
    whole(body({ extensions: [der(0xa3, sequence(extension), nul)] })),
    whole(body({ extensions: [der(0xa3, sequence(sequence(oid("1.2.3"), octets(nul), nul)))] })),
    whole(
      body({
        extensions: [der(0xa3, sequence(sequence(oid("2.5.29.19"), octets(sequence(nul)))))],
      }),
    ),
    Buffer.concat([whole(body({})), nul]),
  ]) {
    assert.throws(() => parseCertificate(certificate, "x"), { code: "ERR_EVIDENCE_FORMAT" });
  }
});

test("a changed byte is never accepted, and gives a coded error", () => {
  const good = makeCertificate(leafOptions);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(good);
      changed[at] = (changed[at] ?? 0) ^ flip;
      assert.throws(
        () => verifyChain([parseCertificate(changed, "leaf"), goodMiddle, root], options),
        EvidenceError,
      );
    }),
    { numRuns: 400 },
  );
});
