import assert from "node:assert/strict";
import { it } from "node:test";
import { ByteReader } from "../byte-reader.ts";
import { readSized, TPM_ALG, TPM_HASHES } from "../tpm/algorithms.ts";
import { TPM_CC, TPM_RH, type TpmCommandName } from "../tpm/command.ts";
import { withKey } from "../tpm/key-commands.ts";
import { sized, u16, u32 } from "../tpm/marshal.ts";
import { extendPcr } from "../tpm/pcr-commands.ts";
import { TPMA_OBJECT } from "../tpm/public-area.ts";
import { policyPcr, withPolicySession } from "../tpm/session-commands.ts";
import {
  AK_P256,
  EK_RSA_2048,
  sealedTemplate,
  STORAGE_P256,
  type KeyTemplate,
} from "../tpm/templates.ts";
import type { Transport } from "../tpm/transport.ts";
import type { OpenTpm } from "./tpm-contract.ts";

/** A session and its attributes. */
type Auth = readonly [session: number, attributes: number];

export interface RawCommand {
  readonly handles?: readonly number[];
  readonly auths?: readonly Auth[];
  readonly parameters?: Uint8Array;
}

const NONE = Buffer.alloc(0);
const DATA = Buffer.from("abc");
const EVENT = Buffer.alloc(32, 0xe0);
const PASSWORD: Auth = [0x4000_0009, 0];
const CONTINUE = 1;
const ELEVEN = { bank: "sha256", indices: [11] } as const;
const { fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth } = TPMA_OBJECT;
const { restricted, decrypt, sign } = TPMA_OBJECT;
const ENCRYPTED_DUPLICATION = 1 << 11;
const OK = 0;

/** The bytes of a command, with attributes of sessions that the client never sets. */
export function encodeRaw(
  name: TpmCommandName,
  { handles = [], auths = [], parameters = NONE }: RawCommand,
): Buffer {
  const area = Buffer.concat(
    auths.map(([session, attributes]) =>
      Buffer.concat([u32(session), sized(), Buffer.of(attributes), sized()]),
    ),
  );
  const body = Buffer.concat([
    u32(TPM_CC[name]),
    ...handles.map(u32),
    ...(auths.length === 0 ? [] : [u32(area.length), area]),
    parameters,
  ]);
  return Buffer.concat([u16(auths.length === 0 ? 0x8001 : 0x8002), u32(body.length + 6), body]);
}

async function send(tpm: Transport, name: TpmCommandName, command: RawCommand): Promise<Buffer> {
  return Buffer.from(await tpm.send(encodeRaw(name, command)));
}

/** Response code; what the command made is flushed. */
async function codeOf(
  tpm: Transport,
  name: TpmCommandName,
  command: RawCommand,
): Promise<`0x${string}`> {
  const response = await send(tpm, name, command);
  const code = response.readUInt32BE(6);
  if (code === OK && (name === "CreatePrimary" || name === "Load"))
    await send(tpm, "FlushContext", { parameters: response.subarray(10, 14) });
  return hex(code);
}

function hex(code: number): `0x${string}` {
  return `0x${code.toString(16)}`;
}

/** TPML_PCR_SELECTION of one bank, in as many octets. */
function selection(octets: number): Buffer {
  return Buffer.concat([
    u32(1),
    u16(TPM_HASHES.sha256.id),
    Buffer.of(octets),
    Buffer.alloc(octets, 1),
  ]);
}

function creation(template: Uint8Array, data: Uint8Array = NONE, pcrs: Uint8Array = u32(0)) {
  return Buffer.concat([sized(sized(), sized(data)), sized(template), sized(), pcrs]);
}

function primary(template: Uint8Array, pcrs?: Uint8Array): RawCommand {
  return {
    handles: [TPM_RH.owner],
    auths: [PASSWORD],
    parameters: creation(template, NONE, pcrs),
  };
}

/** A template with some of its attributes the other way round. */
function flipped(template: Uint8Array, attributes: number): Buffer {
  const copy = Buffer.from(template);
  copy.writeUInt32BE((copy.readUInt32BE(4) ^ attributes) >>> 0, 4);
  return copy;
}

function replaced(template: Uint8Array, from: number, to: number, by: Uint8Array): Buffer {
  return Buffer.concat([template.subarray(0, from), by, template.subarray(to)]);
}

function quoteOf(key: number, pcrs: Uint8Array = selection(3), scheme: number = TPM_ALG.null) {
  const hash = scheme === TPM_ALG.null ? NONE : u16(TPM_HASHES.sha256.id);
  return {
    handles: [key],
    auths: [PASSWORD],
    parameters: Buffer.concat([sized(), u16(scheme), hash, pcrs]),
  };
}

const AK = AK_P256.publicArea;
const STORAGE = STORAGE_P256.publicArea;
const SEALED = flipped(sealedTemplate(NONE), userWithAuth);
/** Without a symmetric algorithm or a scheme: what may be neither storage key nor restricted signing key. */
const BARE = replaced(STORAGE, 10, 16, u16(TPM_ALG.null));
const BARE_AK = replaced(AK, 12, 16, u16(TPM_ALG.null));
const ECDSA = Buffer.concat([u16(TPM_ALG.ecdsa), u16(TPM_HASHES.sha256.id)]);
const AES = STORAGE.subarray(10, 16);

const TEMPLATES: readonly (readonly [string, Uint8Array, string])[] = [
  ["an attestation key", AK, "0x0"],
  ["one with fixedParent and without fixedTPM", flipped(AK, fixedTPM), "0x2c2"],
  ["one with fixedTPM and without fixedParent", flipped(AK, fixedParent), "0x2c2"],
  ["one with neither", flipped(AK, fixedTPM | fixedParent), "0x0"],
  ["one that came from outside", flipped(AK, sensitiveDataOrigin), "0x2c2"],
  ["one with duplication", flipped(AK, ENCRYPTED_DUPLICATION), "0x2c2"],
  [
    "one with neither and with duplication",
    flipped(AK, fixedTPM | fixedParent | ENCRYPTED_DUPLICATION),
    "0x0",
  ],
  ["one that may decrypt as well", flipped(AK, decrypt), "0x2c2"],
  ["one that may neither sign nor decrypt", flipped(AK, sign), "0x2c2"],
  ["one without restriction", flipped(AK, restricted), "0x0"],
  ["one without restriction or use", flipped(AK, restricted | sign), "0x2c2"],
  ["one without restriction and with both uses", flipped(AK, restricted | decrypt), "0x2d2"],
  ["the same without a scheme", flipped(BARE_AK, restricted | decrypt), "0x0"],
  ["one that decrypts and has a scheme", flipped(AK, sign | decrypt), "0x2d2"],
  ["one without a scheme", BARE_AK, "0x2d2"],
  ["one without a scheme or restriction", flipped(BARE_AK, restricted), "0x0"],
  ["one with a symmetric algorithm", replaced(AK, 10, 12, AES), "0x2d6"],
  [
    "one with a symmetric algorithm and no restriction",
    flipped(replaced(AK, 10, 12, AES), restricted),
    "0x2d6",
  ],
  ...[0, 3, 8, 9, 12, 20, 31].map(
    (bit) => [`one with the reserved bit ${bit}`, flipped(AK, 1 << bit), "0x2e1"] as const,
  ),
  ["a storage key", STORAGE, "0x0"],
  ["one that may sign as well", flipped(STORAGE, sign), "0x2c2"],
  ["one without restriction", flipped(STORAGE, restricted), "0x2d6"],
  ["one without restriction that signs", flipped(STORAGE, restricted | sign), "0x2d6"],
  ["one that signs instead", flipped(STORAGE, sign | decrypt), "0x2d2"],
  ["one without a symmetric algorithm", BARE, "0x2d6"],
  ["one without a symmetric algorithm or restriction", flipped(BARE, restricted), "0x0"],
  ["one with a scheme", replaced(STORAGE, 16, 18, ECDSA), "0x2d2"],
  [
    "an RSA storage key from outside",
    flipped(EK_RSA_2048.publicArea, sensitiveDataOrigin),
    "0x2c2",
  ],
];

const SEALS: readonly (readonly [string, number, Uint8Array, string])[] = [
  ["data", 0, DATA, "0x0"],
  ["data that may go to another TPM", fixedTPM | fixedParent, DATA, "0x0"],
  ["data with fixedParent alone", fixedTPM, DATA, "0x2c2"],
  ["data with fixedTPM alone", fixedParent, DATA, "0x2c2"],
  ["data with duplication", ENCRYPTED_DUPLICATION, DATA, "0x2c2"],
  ["data made by the TPM", sensitiveDataOrigin, DATA, "0x2c2"],
  ["restricted data", restricted, DATA, "0x2c2"],
  ["restricted data that sign", restricted | sign, DATA, "0x2c2"],
  ["restricted data that decrypt", restricted | decrypt, DATA, "0x2c2"],
  ["data that sign", sign, DATA, "0x2d2"],
  ["data that decrypt", decrypt, DATA, "0x2d2"],
  ["data with a reserved bit", 1, DATA, "0x2e1"],
  ["no data", 0, NONE, "0x2c2"],
  ["128 bytes", 0, Buffer.alloc(128), "0x0"],
  ["129 bytes", 0, Buffer.alloc(129), "0x1d5"],
];

/** What Create gave, as Load takes it. */
function forLoad(created: Buffer): Buffer {
  assert.equal(hex(created.readUInt32BE(6)), "0x0");
  const reader = new ByteReader(created.subarray(14), "response to Create");
  const [privateArea, publicArea] = [0, 1].map(() => sized(readSized(reader, 4096, "area")));
  return Buffer.concat([privateArea ?? NONE, publicArea ?? NONE]);
}

function ownerKey(publicArea: Uint8Array): KeyTemplate {
  return { hierarchy: TPM_RH.owner, publicArea };
}

/** Loads something that is sealed by a policy over PCR 11 as it is now. */
async function withSealed(tpm: Transport, use: (object: number) => Promise<void>): Promise<void> {
  const policy = await withPolicySession(tpm, "trial", "sha256", async (session) => {
    await policyPcr(tpm, session, ELEVEN);
    return digestOf(tpm, session);
  });
  await withKey(tpm, STORAGE_P256, async ({ handle }) => {
    const under = { handles: [handle], auths: [PASSWORD] };
    const parameters = creation(sealedTemplate(policy), DATA);
    const created = forLoad(await send(tpm, "Create", { ...under, parameters }));
    const loaded = await send(tpm, "Load", { ...under, parameters: created });
    const object = loaded.readUInt32BE(10);
    await use(object);
    await send(tpm, "FlushContext", { parameters: u32(object) });
  });
}

async function digestOf(tpm: Transport, session: number): Promise<Buffer> {
  return (await send(tpm, "PolicyGetDigest", { handles: [session] })).subarray(12);
}

async function startSession(tpm: Transport): Promise<number> {
  const parameters = Buffer.concat([
    sized(Buffer.alloc(16)),
    sized(),
    Buffer.of(1),
    u16(TPM_ALG.null),
    u16(TPM_HASHES.sha256.id),
  ]);
  const handles = [TPM_RH.null, TPM_RH.null];
  return (await send(tpm, "StartAuthSession", { handles, parameters })).readUInt32BE(10);
}

/** Response codes and what else the client never meets: the fake is held to what swtpm says. */
export function tpmTable(open: () => Promise<OpenTpm>): void {
  for (const octets of [0, 1, 2, 3, 4, 5])
    it(`a selection of PCRs in ${octets} octets is ${octets === 3 ? "taken" : "refused"}`, async () => {
      await using tpm = await open();
      const { transport } = tpm;
      const pcrs = selection(octets);
      const codes = await withKey(transport, AK_P256, ({ handle }) =>
        withPolicySession(transport, "policy", "sha256", async (session) => {
          const policy = { handles: [session], parameters: Buffer.concat([sized(), pcrs]) };
          return [
            await codeOf(transport, "PCR_Read", { parameters: pcrs }),
            await codeOf(transport, "PolicyPCR", policy),
            await codeOf(transport, "Quote", quoteOf(handle, pcrs)),
            await codeOf(transport, "CreatePrimary", primary(AK, pcrs)),
          ];
        }),
      );
      const refused = ["0x1c4", "0x2c4", "0x3c4", "0x4c4"];
      assert.deepEqual(codes, octets === 3 ? refused.map(() => "0x0") : refused);
    });

  it("takes no more than sixteen selections of PCRs", async () => {
    await using tpm = await open();
    const seventeen = { parameters: Buffer.concat([u32(17), selection(3).subarray(4)]) };
    assert.equal(await codeOf(tpm.transport, "PCR_Read", seventeen), "0x1d5");
  });

  it("makes keys with attributes that fit together, and no others", async () => {
    await using tpm = await open();
    for (const [what, template, expected] of TEMPLATES) {
      // One TPM, one command after the other.
      const code = await codeOf(tpm.transport, "CreatePrimary", primary(template));
      assert.equal(code, expected, what);
    }
  });

  it("seals data with attributes that fit together, and no others", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    await withKey(transport, STORAGE_P256, async ({ handle }) => {
      for (const [what, attributes, data, expected] of SEALS) {
        // One TPM, one command after the other.
        const code = await codeOf(transport, "Create", {
          handles: [handle],
          auths: [PASSWORD],
          parameters: creation(flipped(SEALED, attributes), data),
        });
        assert.equal(code, expected, what);
      }
    });
  });

  it("a child has fixedTPM only below a parent that has it", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    const parent = ownerKey(flipped(STORAGE, fixedTPM | fixedParent));
    const codes = await withKey(transport, parent, ({ handle }) =>
      inTurn([0, fixedTPM, fixedParent], (attributes) =>
        codeOf(transport, "Create", {
          handles: [handle],
          auths: [PASSWORD],
          parameters: creation(flipped(SEALED, attributes), DATA),
        }),
      ),
    );
    assert.deepEqual(codes, ["0x2c2", "0x0", "0x2c2"]);
  });

  it("uses each key for what it is for", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    const sealed = await withKey(transport, STORAGE_P256, async ({ handle }) =>
      forLoad(
        await send(transport, "Create", {
          handles: [handle],
          auths: [PASSWORD],
          parameters: creation(SEALED, DATA),
        }),
      ),
    );
    const point = sized(sized(Buffer.alloc(32)), sized(Buffer.alloc(32)));
    const credential = Buffer.concat([sized(sized(Buffer.alloc(32)), EVENT), point]);
    const uses = (template: Uint8Array) =>
      withKey(transport, AK_P256, (ak) =>
        withKey(transport, ownerKey(template), async ({ handle }) => {
          const use = { handles: [handle], auths: [PASSWORD] };
          return [
            await codeOf(transport, "Create", { ...use, parameters: creation(SEALED, DATA) }),
            await codeOf(transport, "Load", { ...use, parameters: sealed }),
            await codeOf(transport, "Quote", quoteOf(handle)),
            await codeOf(transport, "Unseal", use),
            await codeOf(transport, "ActivateCredential", {
              handles: [ak.handle, handle],
              auths: [PASSWORD, PASSWORD],
              parameters: credential,
            }),
          ];
        }),
      );
    assert.deepEqual(await uses(STORAGE), ["0x0", "0x0", "0x19c", "0x18a", "0x2e7"]);
    const signing = ["0x18a", "0x18a", "0x0", "0x18a", "0x28a"];
    assert.deepEqual(await uses(AK), signing);
    assert.deepEqual(await uses(flipped(AK, restricted)), signing);
    const decrypting = ["0x18a", "0x18a", "0x19c", "0x18a", "0x28a"];
    assert.deepEqual(await uses(flipped(BARE, restricted)), decrypting);
    const schemeless = ["0x18a", "0x18a", "0x2d2", "0x18a", "0x28a"];
    assert.deepEqual(await uses(flipped(BARE_AK, restricted)), schemeless);
  });

  it("quotes with the scheme of the key and no other", async () => {
    await using tpm = await open();
    const code = await withKey(tpm.transport, AK_P256, ({ handle }) =>
      codeOf(tpm.transport, "Quote", quoteOf(handle, selection(3), TPM_ALG.rsassa)),
    );
    assert.equal(code, "0x2d2");
  });

  it("THREAT-26: a policy session authorizes one command, and begins again where it goes on", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    await withSealed(transport, async (object) => {
      const session = await startSession(transport);
      const unsealing = { handles: [object], auths: [[session, CONTINUE] as const] };
      await policyPcr(transport, session, ELEVEN);
      const opened = await send(transport, "Unseal", unsealing);
      assert.deepEqual(opened.subarray(16, 19), DATA);
      assert.equal(opened.at(-3), CONTINUE);
      assert.deepEqual(await digestOf(transport, session), Buffer.alloc(32));
      assert.equal(await codeOf(transport, "Unseal", unsealing), "0x99d");
      // What changed in between counts for the policy that was used, not for the one that begins.
      await extendPcr(transport, 4, "sha256", EVENT);
      await policyPcr(transport, session, ELEVEN);
      assert.equal(await codeOf(transport, "Unseal", unsealing), "0x0");
      await send(transport, "FlushContext", { parameters: u32(session) });
    });
  });

  it("a policy session ends with the command that succeeds, if it is not to go on", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    await withSealed(transport, async (object) => {
      const session = await startSession(transport);
      const unsealing = { handles: [object], auths: [[session, 0] as const] };
      // A command that fails ends nothing.
      assert.equal(await codeOf(transport, "Unseal", unsealing), "0x99d");
      await policyPcr(transport, session, ELEVEN);
      const opened = await send(transport, "Unseal", unsealing);
      assert.deepEqual(opened.subarray(16, 19), DATA);
      assert.equal(opened.at(-3), 0);
      assert.equal(await codeOf(transport, "Unseal", unsealing), "0x918");
      assert.equal(await codeOf(transport, "PolicyGetDigest", { handles: [session] }), "0x910");
      const flushing = { parameters: u32(session) };
      assert.equal(await codeOf(transport, "FlushContext", flushing), "0x1cb");
    });
  });

  it("a policy over PCRs that changed in between is refused where it is used and where it goes on", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    await withSealed(transport, async (object) => {
      const session = await startSession(transport);
      await policyPcr(transport, session, ELEVEN);
      await extendPcr(transport, 4, "sha256", EVENT);
      const again = { handles: [session], parameters: Buffer.concat([sized(), selection(3)]) };
      assert.equal(await codeOf(transport, "PolicyPCR", again), "0x128");
      const unsealing = { handles: [object], auths: [[session, 0] as const] };
      assert.equal(await codeOf(transport, "Unseal", unsealing), "0x128");
    });
  });

  it("refuses sessions that authorize nothing", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    await withSealed(transport, async (object) => {
      const trial = await withPolicySession(transport, "trial", "sha256", async (session) => {
        await policyPcr(transport, session, ELEVEN);
        return codeOf(transport, "Unseal", { handles: [object], auths: [[session, 0]] });
      });
      assert.equal(trial, "0x982");
      const session = await startSession(transport);
      const extending = (...auths: readonly Auth[]) =>
        codeOf(transport, "PCR_Extend", { handles: [11], auths, parameters: u32(0) });
      assert.equal(await extending(PASSWORD, [session, 0]), "0xa82");
      const twice = {
        handles: [object, object],
        auths: [[session, 1] as const, [session, 1] as const],
        parameters: Buffer.concat([sized(), sized()]),
      };
      assert.equal(await codeOf(transport, "ActivateCredential", twice), "0xa8b");
      assert.equal((await digestOf(transport, session)).length, 32);
      const [password] = PASSWORD;
      for (const attributes of [0x02, 0x04, 0x20, 0x40, 0x80])
        // One TPM, one command after the other.
        assert.equal(await extending([password, attributes]), "0x982", hex(attributes));
      for (const attributes of [0x08, 0x10])
        // One TPM, one command after the other.
        assert.equal(await extending([password, attributes]), "0x9a1", hex(attributes));
    });
  });

  it("answers a password's session as one that goes on", async () => {
    await using tpm = await open();
    for (const attributes of [0, CONTINUE]) {
      // One TPM, one command after the other.
      const auths = [[PASSWORD[0], attributes] as const];
      const command = { handles: [11], auths, parameters: u32(0) };
      const response = await send(tpm.transport, "PCR_Extend", command);
      assert.equal(response.toString("hex"), "80020000001300000000000000000000010000");
    }
  });

  it("names the handle of an object that is not there", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    const missing = 0x8000_0002;
    assert.equal(await codeOf(transport, "ReadPublic", { handles: [missing] }), "0x910");
    assert.equal(await codeOf(transport, "FlushContext", { parameters: u32(missing) }), "0x1cb");
    await withKey(transport, AK_P256, async ({ handle }) => {
      const second = { handles: [handle, missing], auths: [PASSWORD, PASSWORD] };
      assert.equal(await codeOf(transport, "ActivateCredential", second), "0x911");
    });
  });
}

async function inTurn<T, R>(items: readonly T[], use: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) {
    // One TPM, one command after the other.
    results.push(await use(item));
  }
  return results;
}
