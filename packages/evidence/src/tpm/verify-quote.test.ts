import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "../evidence-error.ts";
import {
  AK_ATTRIBUTES,
  encodePublicArea,
  encodeQuote,
  encodeScheme,
  quoteParts,
  signAsTpm,
  syntheticAk,
  type QuoteParts,
  type SyntheticAk,
} from "../testing/tpm-evidence.ts";
import { encodeSelection } from "./pcr-selection.ts";
import { TPMA_OBJECT, parsePublicArea, type TpmObjectAttribute } from "./public-area.ts";
import { verifyQuote, type QuoteDemand, type QuoteEvidence } from "./verify-quote.ts";

const NONCE = Buffer.alloc(32, 0x11);
const INDICES = [0, 4, 7, 11];
const PCRS = new Map(INDICES.map((index) => [index, Buffer.alloc(32, index + 1)]));
const DEMAND: QuoteDemand = {
  selection: { bank: "sha256", indices: [7, 4, 0, 11] },
  qualifyingData: NONCE,
};
const AK = syntheticAk("P-256", { name: "ecdsa", hash: "sha256" });
const RSA = syntheticAk(2048, { name: "rsassa", hash: "sha256" });

function signed(quote: Uint8Array, ak: SyntheticAk = AK): QuoteEvidence {
  return { quote, signature: signAsTpm(ak, quote), ak: { publicArea: ak.publicArea }, pcrs: PCRS };
}

function genuine(changes: Partial<QuoteParts> = {}, ak = AK): QuoteEvidence {
  const parts = quoteParts(PCRS, "sha256", ak.scheme.hash, NONCE);
  return signed(encodeQuote({ ...parts, ...changes }), ak);
}

function refuses(evidence: QuoteEvidence, code: string, part: string, demand = DEMAND): void {
  assert.throws(() => verifyQuote(evidence, demand), { name: "EvidenceError", code, part });
}

describe("a quote that holds", () => {
  it("says its values, its times and who signed", () => {
    assert.deepEqual(verifyQuote(genuine(), DEMAND), {
      bank: "sha256",
      pcrs: PCRS,
      qualifiedSigner: Buffer.alloc(34, 0xaa),
      akName: parsePublicArea(AK.publicArea).name,
      clock: 1000n,
      resetCount: 7,
      restartCount: 3,
      safe: true,
      firmwareVersion: 9n,
    });
  });

  it("says that a clock is not safe", () => {
    assert.equal(verifyQuote(genuine({ safe: 0 }), DEMAND).safe, false);
  });

  for (const kind of [2048, "P-256", "P-384"] as const)
    for (const name of kind === 2048 ? (["rsassa", "rsapss"] as const) : (["ecdsa"] as const))
      for (const hash of ["sha256", "sha384", "sha512"] as const)
        it(`is signed by ${kind} ${name} ${hash}`, () => {
          const ak = syntheticAk(kind, { name, hash });
          assert.equal(verifyQuote(genuine({}, ak), DEMAND).pcrs.size, 4);
        });

  it("is over a bank other than the hash of the signature", () => {
    const pcrs = new Map(INDICES.map((index) => [index, Buffer.alloc(48, index + 1)]));
    const evidence = signed(encodeQuote(quoteParts(pcrs, "sha384", "sha256", NONCE)));
    const selection = { bank: "sha384", indices: INDICES } as const;
    assert.equal(verifyQuote({ ...evidence, pcrs }, { ...DEMAND, selection }).bank, "sha384");
  });

  it("may name a fourth octet of PCRs", () => {
    const pcrSelect = Buffer.concat([encodeSelection(DEMAND.selection), Buffer.of(0)]);
    pcrSelect.writeUInt8(4, 6);
    assert.equal(verifyQuote(genuine({ pcrSelect }), DEMAND).bank, "sha256");
  });

  it("keeps values of its own", () => {
    const value = Buffer.from(PCRS.get(0) ?? "");
    const evidence = { ...genuine(), pcrs: new Map(PCRS).set(0, value) };
    const { pcrs } = verifyQuote(evidence, DEMAND);
    value.fill(0);
    assert.deepEqual(pcrs.get(0), PCRS.get(0));
  });
});

describe("what a quote is bound to", () => {
  it("THREAT-14: a replayed quote, over an older nonce, is refused", () => {
    const demand = { ...DEMAND, qualifyingData: Buffer.alloc(32, 0x22) };
    refuses(genuine(), "ERR_EVIDENCE_BINDING", "quote.extraData", demand);
  });

  it("a nonce that only begins alike is refused", () => {
    const demand = { ...DEMAND, qualifyingData: NONCE.subarray(0, 31) };
    refuses(genuine(), "ERR_EVIDENCE_BINDING", "quote.extraData", demand);
  });

  it("a demand without qualifying data is the caller's mistake", () => {
    const demand = { ...DEMAND, qualifyingData: Buffer.alloc(0) };
    const message = /Qualifying data is empty/;
    assert.throws(() => verifyQuote(genuine({ extraData: Buffer.alloc(0) }), demand), {
      name: "RangeError",
      message,
    });
  });

  it("every altered bit of the quote is refused", () => {
    const { quote, ...rest } = genuine();
    for (let at = 0; at < quote.length; at += 1) {
      const altered = Buffer.from(quote);
      altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
      refuses({ ...rest, quote: altered }, "ERR_EVIDENCE_SIGNATURE", "signature");
    }
  });

  it("THREAT-14: another key's signature is refused", () => {
    const other = syntheticAk("P-256", AK.scheme);
    const ak = { publicArea: other.publicArea };
    refuses({ ...genuine(), ak }, "ERR_EVIDENCE_SIGNATURE", "signature");
  });
});

describe("PCRs", () => {
  it("THREAT-14: PCR 16 with the value of PCR 0 is refused: what was selected counts, not the list that was claimed", () => {
    const selection = { bank: "sha256", indices: [0] } as const;
    const value = Buffer.alloc(32, 1);
    const evidence = signed(
      encodeQuote(quoteParts(new Map([[16, value]]), "sha256", "sha256", NONCE)),
    );
    const demand = { ...DEMAND, selection };
    const pcrs = new Map([[0, value]]);
    refuses({ ...evidence, pcrs }, "ERR_EVIDENCE_PCR_SELECTION", "quote.pcrSelect", demand);
  });

  for (const [what, selection] of [
    ["fewer PCRs", { bank: "sha256", indices: [0, 4, 7] }],
    ["more PCRs", { bank: "sha256", indices: [0, 4, 7, 11, 12] }],
    ["another bank", { bank: "sha384", indices: INDICES }],
  ] as const)
    it(`THREAT-14: a quote over ${what} is refused`, () => {
      const evidence = genuine({ pcrSelect: encodeSelection(selection) });
      refuses(evidence, "ERR_EVIDENCE_PCR_SELECTION", "quote.pcrSelect");
    });

  it("THREAT-14: a quote over two banks is refused", () => {
    const [one, two] = [
      encodeSelection(DEMAND.selection),
      encodeSelection({ bank: "sha384", indices: [0] }),
    ];
    const pcrSelect = Buffer.concat([one, two.subarray(4)]);
    pcrSelect.writeUInt32BE(2);
    refuses(genuine({ pcrSelect }), "ERR_EVIDENCE_PCR_SELECTION", "quote.pcrSelect");
  });

  it("THREAT-14: a quote over no PCR is refused", () => {
    const evidence = genuine({ pcrSelect: Buffer.alloc(4) });
    refuses(evidence, "ERR_EVIDENCE_PCR_SELECTION", "quote.pcrSelect");
  });

  it("THREAT-14: the value of a PCR that was not selected is refused, not ignored", () => {
    const pcrs = new Map(PCRS).set(8, Buffer.alloc(32));
    refuses({ ...genuine(), pcrs }, "ERR_EVIDENCE_PCR_SELECTION", "pcrs");
  });

  it("a value that is missing, or short, is refused", () => {
    const other = new Map(PCRS).set(8, Buffer.alloc(32));
    other.delete(11);
    refuses({ ...genuine(), pcrs: other }, "ERR_EVIDENCE_PCR_SELECTION", "pcrs[11]");
    const short = new Map(PCRS).set(4, Buffer.alloc(31));
    refuses({ ...genuine(), pcrs: short }, "ERR_EVIDENCE_PCR_SELECTION", "pcrs[4]");
  });

  it("another value than the one quoted is refused", () => {
    const pcrs = new Map(PCRS).set(4, Buffer.alloc(32, 0xee));
    refuses({ ...genuine(), pcrs }, "ERR_EVIDENCE_BINDING", "quote.pcrDigest");
  });

  for (const last of [0, 3])
    it(`PCR 0 that firmware never extended is refused by name (start at locality ${last})`, () => {
      const value = Buffer.alloc(32);
      value.writeUInt8(last, 31);
      const pcrs = new Map(PCRS).set(0, value);
      const quote = encodeQuote(quoteParts(pcrs, "sha256", "sha256", NONCE));
      refuses({ ...signed(quote), pcrs }, "ERR_EVIDENCE_PCR_SELECTION", "pcrs[0]");
    });

  it("every other PCR may be zero", () => {
    const pcrs = new Map(PCRS).set(11, Buffer.alloc(32));
    const quote = encodeQuote(quoteParts(pcrs, "sha256", "sha256", NONCE));
    assert.equal(verifyQuote({ ...signed(quote), pcrs }, DEMAND).pcrs.size, 4);
  });

  for (const indices of [[], [0, 0], [24], [-1], [1.5]])
    it(`a demand for ${JSON.stringify(indices)} is the caller's mistake`, () => {
      const selection = { bank: "sha256", indices } as const;
      assert.throws(() => verifyQuote(genuine(), { ...DEMAND, selection }), { name: "RangeError" });
    });
});

describe("the attestation key", () => {
  const required: readonly TpmObjectAttribute[] = [
    "restricted",
    "sign",
    "fixedTPM",
    "fixedParent",
    "sensitiveDataOrigin",
  ];
  for (const attribute of required)
    it(`THREAT-14: a key without ${attribute} is refused`, () => {
      const attributes = AK_ATTRIBUTES & ~TPMA_OBJECT[attribute];
      const publicArea = encodePublicArea({ key: AK.publicKey, attributes });
      refuses({ ...genuine(), ak: { publicArea } }, "ERR_EVIDENCE_KEY", `ak.${attribute}`);
    });

  it("a key that may decrypt is refused", () => {
    const attributes = AK_ATTRIBUTES | TPMA_OBJECT.decrypt;
    const publicArea = encodePublicArea({ key: AK.publicKey, attributes });
    refuses({ ...genuine(), ak: { publicArea } }, "ERR_EVIDENCE_KEY", "ak.decrypt");
  });

  for (const [what, scheme] of [
    ["another scheme", encodeScheme({ name: "rsapss", hash: "sha256" })],
    ["another hash", encodeScheme({ name: "rsassa", hash: "sha384" })],
    ["no scheme", Buffer.of(0, 0x10)],
  ] as const)
    it(`a key with ${what} is refused`, () => {
      const publicArea = encodePublicArea({ key: RSA.publicKey, scheme });
      const evidence = { ...genuine({}, RSA), ak: { publicArea } };
      refuses(evidence, "ERR_EVIDENCE_KEY", "ak.scheme");
    });

  it("may be a bare key whose attributes are vouched for elsewhere", () => {
    for (const ak of [AK, RSA, syntheticAk("P-384", AK.scheme)]) {
      const bare = { keyVouchedForElsewhere: ak.publicKey };
      const quote = verifyQuote({ ...genuine({}, ak), ak: bare }, DEMAND);
      assert.equal(quote.akName, undefined);
    }
  });

  it("as a bare key is no key of another kind", () => {
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
    const curve = generateKeyPairSync("ec", { namedCurve: "P-521" }).publicKey;
    const pss = generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey;
    for (const [ak, key] of [
      [RSA, weak],
      [RSA, pss],
      [RSA, AK.publicKey],
      [AK, RSA.publicKey],
      [AK, curve],
    ] as const) {
      const evidence = { ...genuine({}, ak), ak: { keyVouchedForElsewhere: key } };
      refuses(evidence, "ERR_EVIDENCE_KEY", "ak.key");
    }
  });

  it("THREAT-14: a signature over a certify structure is no quote", () => {
    refuses(genuine({ type: 0x8017 }), "ERR_EVIDENCE_FORMAT", "quote.type");
  });

  it("THREAT-14: a signature over bytes that the TPM did not make is no quote", () => {
    refuses(genuine({ magic: 0xff544348 }), "ERR_EVIDENCE_FORMAT", "quote.magic");
  });
});

describe("hostile bytes", () => {
  const runs = { numRuns: 500 };

  it("throw nothing but EvidenceError, and never pass", () => {
    const { quote, signature } = genuine();
    const fields = [Buffer.from(quote), signAsTpm(AK, quote), AK.publicArea];
    assert.ok(signature instanceof Uint8Array);
    fc.assert(
      fc.property(
        fc.nat(2),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.option(fc.nat(200)),
        (field, at, mask, cut) => {
          const altered = fields.map((bytes, index) => {
            if (index !== field) return bytes;
            const copy = Buffer.from(bytes);
            const where = at % copy.length;
            copy.writeUInt8(copy.readUInt8(where) ^ mask, where);
            return cut === null ? copy : copy.subarray(0, cut);
          });
          const [q = quote, s = quote, publicArea = quote] = altered;
          const evidence = { quote: q, signature: s, ak: { publicArea }, pcrs: PCRS };
          assertRefusal(() => verifyQuote(evidence, DEMAND), publicArea);
        },
      ),
      runs,
    );
  });

  it("signed by their maker throw nothing but EvidenceError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (tail) => {
        const quote = Buffer.concat([Buffer.from("ff5443478018", "hex"), tail]);
        assertRefusal(() => verifyQuote(signed(quote), DEMAND), AK.publicArea);
      }),
      { numRuns: 200 },
    );
  });
});

/** Attributes and policies that no check looks at may differ: then the name of the key does. */
function assertRefusal(verifying: () => ReturnType<typeof verifyQuote>, area: Uint8Array): void {
  try {
    const { akName } = verifying();
    const name = createHash("sha256").update(area).digest();
    assert.deepEqual(akName?.subarray(2), name);
    assert.notDeepEqual(Buffer.from(area), AK.publicArea);
  } catch (error) {
    assert.ok(error instanceof EvidenceError, String(error));
  }
}

it("a bare key may come as SPKI", () => {
  const spki = AK.publicKey.export({ type: "spki", format: "der" });
  const key = createPublicKey({ key: spki, format: "der", type: "spki" });
  const evidence = { ...genuine(), ak: { keyVouchedForElsewhere: key } };
  assert.equal(verifyQuote(evidence, DEMAND).bank, "sha256");
  const other = encodeQuote(quoteParts(PCRS, "sha256", "sha256", randomBytes(32)));
  refuses({ ...evidence, quote: other }, "ERR_EVIDENCE_SIGNATURE", "signature");
});
