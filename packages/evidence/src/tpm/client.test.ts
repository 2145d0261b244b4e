import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EvidenceError } from "../evidence-error.ts";
import {
  AK_ATTRIBUTES,
  encodePublicArea,
  encodeQuote,
  quoteParts,
  signAsTpm,
  syntheticAk,
} from "../testing/tpm-evidence.ts";
import { activateCredential, quote, readTpmKey, seal, unseal } from "./client.ts";
import { TPM_CC, execute } from "./command.ts";
import { makeCredential } from "./make-credential.ts";
import { sized, u16, u32 } from "./marshal.ts";
import { readNv } from "./nv-commands.ts";
import { extendPcr, readPcrs } from "./pcr-commands.ts";
import { encodeSelection, type PcrSelection } from "./pcr-selection.ts";
import { parsePublicArea } from "./public-area.ts";
import { describeResponseCode } from "./response-code.ts";
import { AK_P256, EK_P384, EK_RSA_2048 } from "./templates.ts";
import type { Transport } from "./transport.ts";

const ELEVEN: PcrSelection = { bank: "sha256", indices: [11] };
const NONCE = Buffer.alloc(32, 1);
const AK = syntheticAk("P-256", { name: "ecdsa", hash: "sha256" });
const HANDLE = 0x8000_0001;

function response(parameters: Uint8Array, code = 0): Buffer {
  return Buffer.concat([u16(0x8001), u32(10 + parameters.length), u32(code), parameters]);
}

interface Scripted extends Transport {
  /** Codes of the commands that came. */
  readonly seen: readonly number[];
}

/** Answers each command by a function of ours; without one, with success and nothing else. */
function scripted(
  answers: Readonly<Partial<Record<keyof typeof TPM_CC, () => Uint8Array>>>,
): Scripted {
  const byCode = new Map<number, () => Uint8Array>();
  for (const [name, code] of Object.entries(TPM_CC))
    for (const [known, answer] of Object.entries(answers))
      if (known === name) byCode.set(code, answer);
  const seen: number[] = [];
  return {
    seen,
    send: (command) => {
      const code = Buffer.from(command).readUInt32BE(6);
      seen.push(code);
      return Promise.resolve(byCode.get(code)?.() ?? response(Buffer.alloc(0)));
    },
    close: () => Promise.resolve(),
  };
}

function primary(): Buffer {
  return response(Buffer.concat([u32(HANDLE), sized(AK.publicArea)]));
}

function pcrValue(value: Uint8Array): Buffer {
  return response(Buffer.concat([u32(0), encodeSelection(ELEVEN), u32(1), sized(value)]));
}

function send(bytes: Uint8Array): Promise<unknown> {
  return execute(scripted({ Unseal: () => bytes }), "Unseal", {});
}

describe("a response", () => {
  it("of another size than it says is refused", async () => {
    const bytes = Buffer.concat([response(Buffer.alloc(4)), Buffer.of(0)]);
    await assert.rejects(send(bytes), { code: "ERR_EVIDENCE_FORMAT", part: "Unseal" });
  });

  it("with a code is named, with its number where the name is not known", async () => {
    const refusal = { code: "ERR_TPM_RESPONSE", part: "Unseal", found: "0x99d TPM_RC_POLICY_FAIL" };
    await assert.rejects(send(response(Buffer.alloc(0), 0x99d)), refusal);
    assert.equal(describeResponseCode(0x902), "0x902 TPM_RC_OBJECT_MEMORY");
    assert.equal(describeResponseCode(0x1c4), "0x1c4 TPM_RC_VALUE");
    assert.equal(describeResponseCode(0x155), "0x155");
  });

  it("that is anything at all ends in EvidenceError, or in bytes", async () => {
    const keys = { ek: EK_P384, ak: AK_P256 };
    const object = { privateArea: NONCE, publicArea: NONCE };
    const credential = { credentialBlob: NONCE, encryptedSecret: NONCE };
    const uses: readonly ((transport: Transport) => Promise<unknown>)[] = [
      (transport) => quote(transport, AK_P256, ELEVEN, NONCE),
      (transport) => readTpmKey(transport, { persistentHandle: 1 }),
      (transport) => seal(transport, NONCE, ELEVEN),
      (transport) => unseal(transport, object, ELEVEN),
      (transport) => activateCredential(transport, keys, credential),
      (transport) => readNv(transport, 1),
      (transport) => readPcrs(transport, ELEVEN),
      (transport) => extendPcr(transport, 1, "sha256", NONCE),
    ];
    const answers = fc.array(fc.uint8Array({ maxLength: 80 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        answers,
        fc.boolean(),
        fc.nat(uses.length - 1),
        async (bodies, framed, at) => {
          let count = 0;
          const transport: Transport = {
            send: () => {
              const body = bodies[count % bodies.length] ?? NONCE;
              count += 1;
              assert.ok(count < 1000, "the number of commands is bounded");
              return Promise.resolve(framed ? response(body) : body);
            },
            close: () => Promise.resolve(),
          };
          await uses[at]?.(transport).catch((error: unknown) => {
            assert.ok(error instanceof EvidenceError, String(error));
          });
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("handles", () => {
  it("are flushed when the command that follows is refused, and its refusal is what is said", async () => {
    const transport = scripted({
      CreatePrimary: primary,
      PCR_Read: () => response(Buffer.alloc(0), 0x101),
      FlushContext: () => response(Buffer.alloc(0), 0x18b),
    });
    const expected = { part: "PCR_Read", found: "0x101 TPM_RC_FAILURE" };
    await assert.rejects(quote(transport, AK_P256, ELEVEN, NONCE), expected);
    assert.deepEqual(transport.seen, [TPM_CC.CreatePrimary, TPM_CC.PCR_Read, TPM_CC.FlushContext]);
  });

  it("that cannot be flushed are said", async () => {
    const transport = scripted({
      CreatePrimary: primary,
      FlushContext: () => response(Buffer.alloc(0), 0x18b),
    });
    await assert.rejects(readTpmKey(transport, AK_P256), { part: "FlushContext" });
  });

  it("of the TPM's keeping are left where they are", async () => {
    const transport = scripted({ ReadPublic: () => response(sized(AK.publicArea)) });
    const area = await readTpmKey(transport, { persistentHandle: 0x8100_0003 });
    assert.deepEqual(area, AK.publicArea);
    assert.deepEqual(transport.seen, [TPM_CC.ReadPublic]);
  });
});

const VALUES = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];

/** Reads give the values in turn, then the last; quotes are always over the second. */
function moving(reads: readonly Buffer[]): Scripted {
  let count = 0;
  const quoted = encodeQuote(
    quoteParts(new Map([[11, Buffer.alloc(32, 2)]]), "sha256", "sha256", NONCE),
  );
  return scripted({
    CreatePrimary: primary,
    Quote: () => response(Buffer.concat([sized(quoted), signAsTpm(AK, quoted)])),
    PCR_Read: () => {
      const value = reads[Math.min(count, reads.length - 1)] ?? NONCE;
      count += 1;
      return pcrValue(value);
    },
  });
}

describe("quoting", () => {
  it("reads again what was extended in between", async () => {
    const { pcrs } = await quote(moving(VALUES), AK_P256, ELEVEN, NONCE);
    assert.deepEqual(pcrs, new Map([[11, VALUES[1]]]));
  });

  it("gives up when that goes on", async () => {
    const expected = { code: "ERR_EVIDENCE_BINDING", part: "pcrs", found: 5 };
    const transport = moving(VALUES.slice(0, 1));
    await assert.rejects(quote(transport, AK_P256, ELEVEN, NONCE), expected);
    assert.equal(transport.seen.filter((code) => code === TPM_CC.Quote).length, 5);
    assert.equal(transport.seen.at(-1), TPM_CC.FlushContext);
  });
});

function nvArea(attributes: number): Buffer {
  return sized(u32(1), u16(0x0b), u32(attributes), sized(), u16(600));
}

describe("NV", () => {
  it("that gives less than was asked for is refused", async () => {
    const transport = scripted({
      NV_ReadPublic: () => response(nvArea(0)),
      NV_Read: () => response(sized(NONCE)),
    });
    const expected = { code: "ERR_EVIDENCE_FORMAT", part: "NV_Read.data", expected: 512 };
    await assert.rejects(readNv(transport, 1), expected);
  });

  it("is read in parts, by its owner or by itself as its attributes say", async () => {
    for (const [attributes, expected] of [
      [1 << 17, 0x4000_0001],
      [1 << 18, 0x0100_0000],
    ] as const) {
      const readers: number[] = [];
      const parts = [512, 88].map((size) => response(sized(Buffer.alloc(size, size))));
      const inner = scripted({
        NV_ReadPublic: () => response(nvArea(attributes)),
        NV_Read: () => parts.shift() ?? NONCE,
      });
      const transport: Transport = {
        ...inner,
        send: (command) => {
          const bytes = Buffer.from(command);
          if (bytes.readUInt32BE(6) === TPM_CC.NV_Read) readers.push(bytes.readUInt32BE(10));
          return inner.send(command);
        },
      };
      const expectedBytes = Buffer.concat([Buffer.alloc(512, 0), Buffer.alloc(88, 88)]);
      assert.deepEqual(await readNv(transport, 0x0100_0000), expectedBytes);
      assert.deepEqual(readers, [expected, expected]);
    }
  });
});

describe("the caller's mistakes", () => {
  const transport = scripted({});
  it("a secret that cannot be sealed", async () => {
    for (const size of [0, 129])
      await assert.rejects(seal(transport, Buffer.alloc(size), ELEVEN), { name: "RangeError" });
  });

  it("a PCR without the value that it will have", async () => {
    const values = new Map([[12, NONCE]]);
    await assert.rejects(seal(transport, NONCE, ELEVEN, values), { name: "RangeError" });
  });

  it("PCRs that do not exist", async () => {
    const none: PcrSelection = { bank: "sha256", indices: [24] };
    await assert.rejects(readPcrs(transport, none), { name: "RangeError" });
  });

  it("a secret too long for a credential", () => {
    const { publicKey: key } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const symmetric = Buffer.concat([u16(6), u16(128), u16(0x43)]);
    const ek = parsePublicArea(encodePublicArea({ key, symmetric, scheme: u16(0x10) }));
    assert.throws(() => makeCredential(ek, NONCE, Buffer.alloc(33)), { name: "RangeError" });
    assert.equal(makeCredential(ek, NONCE, Buffer.alloc(32)).encryptedSecret.length, 256);
  });
});

it("no credential is made for a key that protects nothing", () => {
  const area = parsePublicArea(encodePublicArea({ key: AK.publicKey, attributes: AK_ATTRIBUTES }));
  const expected = { code: "ERR_EVIDENCE_KEY", part: "ek.symmetric" };
  assert.throws(() => makeCredential(area, NONCE, NONCE), expected);
});

it("the policies of the EK templates are those that TCG printed", () => {
  const low = "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa";
  const high =
    "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12";
  assert.ok(Buffer.from(EK_RSA_2048.publicArea).includes(Buffer.from(low, "hex")));
  assert.ok(Buffer.from(EK_P384.publicArea).includes(Buffer.from(high, "hex")));
});
