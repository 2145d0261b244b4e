import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { appraise } from "../envelope/appraise.ts";
import { parseEvidence } from "../envelope/parse-evidence.ts";
import { EvidenceError } from "../evidence-error.ts";
import { envelopeText } from "../testing/envelopes.ts";
import { type OpenTpm, tpmContract } from "../testing/tpm-contract.ts";
import { encodeRaw } from "../testing/tpm-table.ts";
import { TPM_ALG, TPM_HASHES } from "../tpm/algorithms.ts";
import { activateCredential, quote, readTpmKey, seal } from "../tpm/client.ts";
import { execute, TPM_CC, TPM_RH, type TpmCommand, type TpmCommandName } from "../tpm/command.ts";
import { withKey, withObject } from "../tpm/key-commands.ts";
import { makeCredential } from "../tpm/make-credential.ts";
import { sized, u16, u32 } from "../tpm/marshal.ts";
import { readNv, writeNv } from "../tpm/nv-commands.ts";
import { extendPcr, readPcrs } from "../tpm/pcr-commands.ts";
import { encodeSelection } from "../tpm/pcr-selection.ts";
import { parsePublicArea, TPMA_OBJECT } from "../tpm/public-area.ts";
import { policyOr, policyPcr, withPolicySession } from "../tpm/session-commands.ts";
import {
  AK_P256,
  EK_P384,
  EK_RSA_2048,
  type KeyTemplate,
  sealedTemplate,
  STORAGE_P256,
} from "../tpm/templates.ts";
import type { Transport } from "../tpm/transport.ts";
import { createSoftTpm } from "./create-soft-tpm.ts";

async function open(): Promise<OpenTpm> {
  const transport = createSoftTpm();
  return { transport, [Symbol.asyncDispose]: () => transport.close() };
}

const NONCE = Buffer.alloc(32, 0x11);
const ELEVEN = { bank: "sha256", indices: [11] } as const;
const PASSWORD = ["empty password"] as const;

function code(value: string): object {
  return { name: "EvidenceError", code: "ERR_TPM_RESPONSE", found: value };
}

async function refused(
  tpm: Transport,
  name: TpmCommandName,
  command: TpmCommand,
  found: string,
): Promise<void> {
  await assert.rejects(execute(tpm, name, command), code(found), `${name} ${found}`);
}

/** Response code of a raw command. */
async function raw(tpm: Transport, bytes: Uint8Array): Promise<number> {
  return Buffer.from(await tpm.send(bytes)).readUInt32BE(6);
}

function creation(
  template: Uint8Array,
  data: Uint8Array = Buffer.alloc(0),
  password: Uint8Array = Buffer.alloc(0),
): Buffer {
  return Buffer.concat([sized(sized(password), sized(data)), sized(template), sized(), u32(0)]);
}

function nvRead(reader: number, size: number, offset: number): TpmCommand {
  const parameters = Buffer.concat([u16(size), u16(offset)]);
  return { handles: [reader, 0x01c0_0002], authorizations: PASSWORD, parameters };
}

function nvWrite(writer: number, index: number, offset: number): TpmCommand {
  const parameters = Buffer.concat([sized(Buffer.of(1)), u16(offset)]);
  return { handles: [writer, index], authorizations: PASSWORD, parameters };
}

function start(parameters: Buffer, handle: number = TPM_RH.null): TpmCommand {
  return { handles: [TPM_RH.null, handle], parameters };
}

function sessionParts(salt: Buffer, type: number, symmetric: number): Buffer {
  return Buffer.concat([
    sized(NONCE),
    sized(salt),
    Buffer.of(type),
    u16(symmetric),
    u16(TPM_HASHES.sha256.id),
  ]);
}

function changed(template: KeyTemplate, at: number, number: number): Buffer {
  const copy = Buffer.from(template.publicArea);
  copy.writeUInt16BE(number, at);
  return copy;
}

function head(tag: number, size: number, command: number): Buffer {
  return Buffer.concat([u16(tag), u32(size), u32(command)]);
}

const anyBytes = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes));

/** TPML_PCR_SELECTION of banks and sizes that exist and that do not. */
const anySelections = fc
  .array(
    fc
      .tuple(
        fc.constantFrom(TPM_HASHES.sha256.id, TPM_HASHES.sha384.id, TPM_HASHES.sha512.id, 4),
        fc.uint8Array({ maxLength: 5 }),
      )
      .map(([hash, bits]) => Buffer.concat([u16(hash), Buffer.of(bits.length), bits])),
    { maxLength: 3 },
  )
  .map((list) => Buffer.concat([u32(list.length), ...list]));

/** Templates with one byte that is another, and at other attributes. */
const anyTemplate = fc
  .tuple(
    fc.constantFrom(AK_P256.publicArea, EK_P384.publicArea, sealedTemplate(NONCE)),
    fc.nat(),
    fc.nat(255),
  )
  .map(([template, at, byte]) => {
    const copy = Buffer.from(template);
    copy.writeUInt8(byte, at % copy.length);
    return copy;
  });

const anySized = anyBytes.map((bytes) => sized(bytes));
const empty = fc.constant(sized());

function joined(...parts: readonly fc.Arbitrary<Buffer>[]): fc.Arbitrary<Buffer> {
  return fc.tuple(...parts).map((buffers) => Buffer.concat(buffers));
}

const AK_HANDLE = 0x8000_0000;
const STORAGE_HANDLE = 0x8000_0001;
const SESSION_HANDLE = 0x0300_0000;
const made = fc
  .tuple(anyTemplate, anyBytes, anySelections)
  .map(([template, data, pcrs]) =>
    Buffer.concat([sized(sized(), sized(data)), sized(template), sized(), pcrs]),
  );

/** Each command with handles that exist, how many of them are authorized, and parameters of nearly its form. */
const FORMS: readonly (readonly [
  TpmCommandName,
  readonly number[],
  number,
  fc.Arbitrary<Uint8Array>,
])[] = [
  ["CreatePrimary", [TPM_RH.owner], 1, made],
  ["ActivateCredential", [AK_HANDLE, STORAGE_HANDLE], 2, joined(anySized, anySized)],
  ["NV_Read", [TPM_RH.owner, 0x01c0_0002], 1, anyBytes],
  ["PolicySecret", [TPM_RH.endorsement, SESSION_HANDLE], 1, joined(empty, anySized, anyBytes)],
  ["Create", [STORAGE_HANDLE], 1, made],
  ["Load", [STORAGE_HANDLE], 1, joined(anySized, anySized)],
  ["Quote", [AK_HANDLE], 1, joined(anySized, fc.constant(u16(TPM_ALG.null)), anySelections)],
  ["Unseal", [STORAGE_HANDLE], 1, fc.constant(sized())],
  ["FlushContext", [], 0, fc.constantFrom(u32(AK_HANDLE), u32(SESSION_HANDLE))],
  ["NV_ReadPublic", [0x01c0_0002], 0, empty],
  ["PolicyOR", [SESSION_HANDLE], 0, joined(fc.constant(u32(2)), anySized, anySized)],
  ["ReadPublic", [AK_HANDLE], 0, fc.constant(Buffer.alloc(0))],
  ["StartAuthSession", [TPM_RH.null, TPM_RH.null], 0, anyBytes],
  ["PCR_Read", [], 0, anySelections],
  ["PolicyPCR", [SESSION_HANDLE], 0, joined(empty, anySelections)],
  ["PCR_Extend", [11], 1, anyBytes],
  ["PolicyGetDigest", [SESSION_HANDLE], 0, fc.constant(Buffer.alloc(0))],
];

const anyHandle = fc.oneof(
  fc.constantFrom(AK_HANDLE, STORAGE_HANDLE, SESSION_HANDLE, 11, TPM_RH.owner),
  fc.nat(0xffff_ffff),
);
const anyAuth = fc.tuple(
  fc.constantFrom(0x4000_0009, 0x4000_0009, SESSION_HANDLE),
  fc.constantFrom(0, 1, 1, 2),
);

const anyForm = fc.constantFrom(...FORMS).chain(([name, handles, authCount, parameters]) =>
  fc
    .record({
      handles: fc.oneof(
        { weight: 4, arbitrary: fc.constant(handles) },
        fc.array(anyHandle, { minLength: handles.length, maxLength: handles.length }),
      ),
      auths: fc.array(anyAuth, { minLength: authCount, maxLength: authCount }),
      parameters: fc.oneof({ weight: 4, arbitrary: parameters }, anyBytes),
    })
    .map((command) => encodeRaw(name, command)),
);

const anyCommand = fc.oneof(
  { weight: 3, arbitrary: anyForm },
  fc
    .tuple(fc.constantFrom(0x8001, 0x8002), fc.constantFrom(...Object.values(TPM_CC)), anyBytes)
    .map(([tag, command, rest]) => Buffer.concat([head(tag, 10 + rest.length, command), rest])),
);

describe("soft TPM", () => {
  tpmContract(open);

  it("makes evidence that is called soft, and hardware never", async () => {
    await using tpm = await open();
    for (const index of [0, 1, 2, 3, 4, 5, 6, 7, 9, 11])
      await extendPcr(tpm.transport, index, "sha256", NONCE);
    const selection = { bank: "sha256", indices: [0, 1, 2, 3, 4, 5, 6, 7, 9, 11] } as const;
    const signed = await quote(tpm.transport, AK_P256, selection, NONCE);
    const { pcrs, akPublicArea, quote: message, signature } = signed;
    const members = {
      quote: message,
      signature,
      pcrs: Object.fromEntries(pcrs),
      akPublic: akPublicArea,
    };
    const evidence = parseEvidence(envelopeText({ platform: "soft", tpm: members }));
    const name = parsePublicArea(akPublicArea).name.toString("hex");
    const { claims } = appraise(evidence, {
      now: 0,
      expected: NONCE,
      enrolledKeys: new Map([[name, "soft"]]),
    });
    assert.deepEqual([claims.platform, claims.hardware], ["soft", false]);
  });

  it("has the NV indices that it was made with", async () => {
    const data = Buffer.alloc(1200, 7);
    const tpm = createSoftTpm({ nv: new Map([[0x01c0_0002, data]]) });
    assert.deepEqual(await readNv(tpm, 0x01c0_0002), data);
    await execute(tpm, "NV_Read", nvRead(0x01c0_0002, 1200, 0));
    await refused(tpm, "NV_Read", nvRead(TPM_RH.owner, 1, 1200), "0x146 TPM_RC_NV_RANGE");
    await refused(tpm, "NV_Read", nvRead(TPM_RH.endorsement, 1, 0), "0x18b TPM_RC_HANDLE");
    await tpm.close();
    await assert.rejects(readNv(tpm, 0x01c0_0002), { code: "ERR_TPM_TRANSPORT" });
  });

  it("writes NV indices that are there, within their size", async () => {
    const index = 0x0140_0002;
    const tpm = createSoftTpm({ nv: new Map([[index, Buffer.alloc(64)]]) });
    const data = Buffer.alloc(64, 0xab);
    await writeNv(tpm, index, data);
    assert.deepEqual(await readNv(tpm, index), data);
    await execute(tpm, "NV_Write", nvWrite(index, index, 63));
    assert.deepEqual((await readNv(tpm, index)).subarray(62), Buffer.of(0xab, 1));
    await refused(tpm, "NV_Write", nvWrite(TPM_RH.owner, index, 64), "0x146 TPM_RC_NV_RANGE");
    await refused(tpm, "NV_Write", nvWrite(TPM_RH.endorsement, index, 0), "0x18b TPM_RC_HANDLE");
    await refused(tpm, "NV_Write", nvWrite(TPM_RH.owner, 0x0140_0003, 0), "0x18b TPM_RC_HANDLE");
  });

  it("has other keys than every other one, and RSA keys that sign quotes", async () => {
    await using first = await open();
    await using second = await open();
    assert.notDeepEqual(
      await readTpmKey(first.transport, AK_P256),
      await readTpmKey(second.transport, AK_P256),
    );
    const { fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign } =
      TPMA_OBJECT;
    const attributes =
      fixedTPM | fixedParent | sensitiveDataOrigin | userWithAuth | restricted | sign;
    const area = (scheme: number): KeyTemplate => ({
      hierarchy: TPM_RH.endorsement,
      publicArea: Buffer.concat([
        u16(TPM_ALG.rsa),
        u16(TPM_HASHES.sha256.id),
        u32(attributes),
        sized(),
        u16(TPM_ALG.null),
        u16(scheme),
        u16(TPM_HASHES.sha256.id),
        u16(2048),
        u32(0),
        sized(),
      ]),
    });
    await extendPcr(first.transport, 11, "sha256", NONCE);
    const signed = await quote(first.transport, area(TPM_ALG.rsassa), ELEVEN, NONCE);
    assert.equal(signed.signature.length, 6 + 256);
    await assert.rejects(
      quote(first.transport, area(TPM_ALG.rsapss), ELEVEN, NONCE),
      code("0x2d2 TPM_RC_SCHEME"),
    );
  });

  it("leaves the PCRs of a dynamic root of trust alone", async () => {
    await using tpm = await open();
    for (const index of [17, 22])
      await assert.rejects(extendPcr(tpm.transport, index, "sha256", NONCE), code("0x907"));
    const values = await readPcrs(tpm.transport, { bank: "sha256", indices: [16, 17, 22, 23] });
    assert.deepEqual(
      [...values.values()].map(([first]) => first),
      [0, 0xff, 0xff, 0],
    );
    await extendPcr(tpm.transport, 11, "sha512", Buffer.alloc(64));
    assert.deepEqual((await readPcrs(tpm.transport, ELEVEN)).get(11), Buffer.alloc(32));
    await refused(
      tpm.transport,
      "PCR_Extend",
      { handles: [24], authorizations: PASSWORD, parameters: u32(0) },
      "0x18b TPM_RC_HANDLE",
    );
    await refused(
      tpm.transport,
      "PCR_Extend",
      { handles: [11], authorizations: PASSWORD, parameters: u32(4) },
      "0x84 TPM_RC_VALUE",
    );
    await refused(
      tpm.transport,
      "PCR_Extend",
      { handles: [11], parameters: u32(0) },
      "0x125 TPM_RC_AUTH_MISSING",
    );
    await refused(
      tpm.transport,
      "PCR_Extend",
      { handles: [11], authorizations: [5], parameters: u32(0) },
      "0x9a2 TPM_RC_BAD_AUTH",
    );
    for (const selections of [
      u32(0),
      Buffer.concat([
        u32(2),
        encodeSelection(ELEVEN).subarray(4),
        encodeSelection(ELEVEN).subarray(4),
      ]),
    ]) {
      await refused(tpm.transport, "PCR_Read", { parameters: selections }, "0x84 TPM_RC_VALUE");
    }
  });

  it("notices a PCR that changes between policy and use", async () => {
    await using tpm = await open();
    const sealed = await seal(tpm.transport, NONCE, ELEVEN);
    const opening = withKey(tpm.transport, STORAGE_P256, (parent) =>
      withObject(tpm.transport, parent, sealed, (object) =>
        withPolicySession(tpm.transport, "policy", "sha256", async (session) => {
          await policyPcr(tpm.transport, session, ELEVEN);
          await extendPcr(tpm.transport, 4, "sha256", NONCE);
          await execute(tpm.transport, "Unseal", { handles: [object], authorizations: [session] });
        }),
      ),
    );
    await assert.rejects(opening, code("0x128 TPM_RC_PCR_CHANGED"));
  });

  it("takes no trial session, and none that is not there, for an authorization", async () => {
    await using tpm = await open();
    const sealed = await seal(tpm.transport, NONCE, ELEVEN);
    const unsealWith = (session: number) =>
      withKey(tpm.transport, STORAGE_P256, (parent) =>
        withObject(tpm.transport, parent, sealed, (object) =>
          execute(tpm.transport, "Unseal", { handles: [object], authorizations: [session] }),
        ),
      );
    const trial = withPolicySession(tpm.transport, "trial", "sha256", async (session) => {
      await policyPcr(tpm.transport, session, ELEVEN);
      await unsealWith(session);
    });
    await assert.rejects(trial, code("0x982 TPM_RC_ATTRIBUTES"));
    await assert.rejects(unsealWith(0x0300_0000), code("0x918"));
    await withKey(tpm.transport, AK_P256, async ({ handle }) => {
      // A key without a policy is not opened by an empty one.
      const policy = withPolicySession(tpm.transport, "policy", "sha256", (session) =>
        execute(tpm.transport, "Quote", {
          handles: [handle],
          authorizations: [session],
          parameters: Buffer.concat([sized(NONCE), u16(TPM_ALG.null), encodeSelection(ELEVEN)]),
        }),
      );
      await assert.rejects(policy, code("0x99d TPM_RC_POLICY_FAIL"));
    });
  });

  it("policies are held to their parameters", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    await withPolicySession(transport, "policy", "sha256", async (session) => {
      const value = "0x84 TPM_RC_VALUE";
      await refused(
        transport,
        "PolicyPCR",
        { handles: [session], parameters: Buffer.concat([sized(NONCE), encodeSelection(ELEVEN)]) },
        value,
      );
      await refused(
        transport,
        "PolicyPCR",
        { handles: [session], parameters: Buffer.concat([sized(), u32(0)]) },
        value,
      );
      await assert.rejects(policyOr(transport, session, [NONCE]), code(value));
      await assert.rejects(policyOr(transport, session, [NONCE, NONCE]), code(value));
      await assert.rejects(
        policyOr(
          transport,
          session,
          Array.from({ length: 9 }, () => NONCE),
        ),
        code(value),
      );
      const secret = (entity: number, parameters: Buffer): TpmCommand => ({
        handles: [entity, session],
        authorizations: PASSWORD,
        parameters,
      });
      await refused(
        transport,
        "PolicySecret",
        secret(TPM_RH.owner, Buffer.alloc(10)),
        "0x18b TPM_RC_HANDLE",
      );
      await refused(
        transport,
        "PolicySecret",
        secret(TPM_RH.endorsement, Buffer.concat([sized(NONCE), Buffer.alloc(8)])),
        value,
      );
      await refused(
        transport,
        "PolicySecret",
        secret(TPM_RH.endorsement, Buffer.concat([Buffer.alloc(6), u32(1)])),
        value,
      );
    });
    const none = Buffer.alloc(0);
    for (const command of [
      start(sessionParts(NONCE, 1, TPM_ALG.null)),
      start(sessionParts(none, 0, TPM_ALG.null)),
      start(sessionParts(none, 1, TPM_ALG.aes)),
      start(sessionParts(none, 1, TPM_ALG.null), TPM_RH.owner),
    ])
      await refused(transport, "StartAuthSession", command, "0x84 TPM_RC_VALUE");
  });

  it("makes and loads only what its client asks for", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    const primary = (template: Uint8Array, hierarchy: number = TPM_RH.owner): TpmCommand => ({
      handles: [hierarchy],
      authorizations: PASSWORD,
      parameters: creation(template),
    });
    const value = "0x84 TPM_RC_VALUE";
    await refused(
      transport,
      "CreatePrimary",
      primary(AK_P256.publicArea, 5),
      "0x18b TPM_RC_HANDLE",
    );
    await refused(
      transport,
      "CreatePrimary",
      {
        ...primary(AK_P256.publicArea),
        parameters: creation(AK_P256.publicArea, Buffer.alloc(0), NONCE),
      },
      value,
    );
    const end = AK_P256.publicArea.length;
    await refused(
      transport,
      "CreatePrimary",
      primary(changed(AK_P256, 0, TPM_ALG.keyedHash)),
      "0x8a TPM_RC_TYPE",
    );
    await refused(transport, "CreatePrimary", primary(changed(AK_P256, end - 8, 5)), value);
    await refused(
      transport,
      "CreatePrimary",
      primary(changed(AK_P256, end - 6, TPM_ALG.aes)),
      value,
    );
    const rsa = EK_RSA_2048.publicArea.length - 258;
    await refused(transport, "CreatePrimary", primary(changed(EK_RSA_2048, rsa - 6, 1024)), value);
    await refused(transport, "CreatePrimary", primary(changed(EK_RSA_2048, rsa - 2, 3)), value);
    await refused(transport, "CreatePrimary", primary(Buffer.alloc(1024)), value);
    await withKey(transport, STORAGE_P256, async ({ handle }) => {
      const create = (template: Uint8Array): TpmCommand => ({
        handles: [handle],
        authorizations: PASSWORD,
        parameters: creation(template, NONCE),
      });
      await refused(transport, "Create", create(AK_P256.publicArea), "0x8a TPM_RC_TYPE");
      const scheme = Buffer.concat([
        u16(TPM_ALG.keyedHash),
        u16(TPM_HASHES.sha256.id),
        u32(0),
        sized(),
        u16(TPM_ALG.rsassa),
        sized(),
      ]);
      await refused(transport, "Create", create(scheme), value);
      const load = {
        handles: [handle],
        authorizations: PASSWORD,
        parameters: Buffer.concat([sized(Buffer.alloc(20)), sized(AK_P256.publicArea)]),
      };
      await refused(transport, "Load", load, "0x1df TPM_RC_INTEGRITY");
    });
  });

  it("compares what a policy claims, and lets a trial be about anything", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    const [value = NONCE] = (await readPcrs(transport, ELEVEN)).values();
    const digest = createHash("sha256").update(value).digest();
    await withPolicySession(transport, "trial", "sha256", async (session) => {
      await execute(transport, "PolicyPCR", {
        handles: [session],
        parameters: Buffer.concat([sized(digest), encodeSelection(ELEVEN)]),
      });
      const one = encodeSelection(ELEVEN).subarray(4);
      await refused(
        transport,
        "PolicyPCR",
        { handles: [session], parameters: Buffer.concat([sized(), u32(2), one, one]) },
        "0x84 TPM_RC_VALUE",
      );
      await policyOr(transport, session, [NONCE, NONCE]);
      for (const count of [1, 9])
        await assert.rejects(
          policyOr(
            transport,
            session,
            Array.from({ length: count }, () => NONCE),
          ),
          code("0x84 TPM_RC_VALUE"),
        );
    });
  });

  it("takes the empty password, and no other", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    const auth = Buffer.concat([u32(0x4000_0009), sized(), Buffer.of(0), sized(NONCE)]);
    const command = (name: TpmCommandName, handle: number, parameters: Buffer): Buffer => {
      const body = Buffer.concat([u32(handle), u32(auth.length), auth, parameters]);
      return Buffer.concat([head(0x8002, 10 + body.length, TPM_CC[name]), body]);
    };
    assert.equal(await raw(transport, command("PCR_Extend", 11, u32(0))), 0x9a2);
    await withKey(transport, AK_P256, async ({ handle }) => {
      assert.equal(await raw(transport, command("Quote", handle, Buffer.alloc(0))), 0x9a2);
    });
  });

  it("has room for three objects, sixteen keys, and sixty-four sessions", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    const primary: TpmCommand = {
      handles: [TPM_RH.owner],
      authorizations: PASSWORD,
      parameters: creation(AK_P256.publicArea),
    };
    for (let i = 0; i < 3; i += 1) await execute(transport, "CreatePrimary", primary);
    await refused(transport, "CreatePrimary", primary, "0x902 TPM_RC_OBJECT_MEMORY");
    for (let i = 0; i < 3; i += 1)
      await execute(transport, "FlushContext", { handles: [0x8000_0000 + i] });
    const session: TpmCommand = {
      handles: [TPM_RH.null, TPM_RH.null],
      parameters: Buffer.concat([
        sized(NONCE),
        sized(),
        Buffer.of(1),
        u16(TPM_ALG.null),
        u16(TPM_HASHES.sha256.id),
      ]),
    };
    for (let i = 0; i < 64; i += 1) await execute(transport, "StartAuthSession", session);
    await refused(transport, "StartAuthSession", session, "0x903 TPM_RC_SESSION_MEMORY");
    for (let i = 1; i < 16; i += 1) {
      const area = Buffer.from(AK_P256.publicArea);
      // The policy is a part of the template: each is another key.
      const own = Buffer.concat([
        area.subarray(0, 8),
        sized(Buffer.alloc(32, i)),
        area.subarray(10),
      ]);
      const { handle } = await execute(transport, "CreatePrimary", {
        ...primary,
        parameters: creation(own),
      });
      await execute(transport, "FlushContext", { handles: [handle] });
    }
    await refused(
      transport,
      "CreatePrimary",
      { ...primary, parameters: creation(STORAGE_P256.publicArea) },
      "0x902 TPM_RC_OBJECT_MEMORY",
    );
  });

  it("opens no credential that was not made for its keys", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    const { name } = parsePublicArea(await readTpmKey(transport, AK_P256));
    for (const ek of [EK_RSA_2048, EK_P384]) {
      const good = makeCredential(parsePublicArea(await readTpmKey(transport, ek)), name, NONCE);
      const keys = { ek, ak: AK_P256 };
      assert.deepEqual(await activateCredential(transport, keys, good), NONCE);
      await assert.rejects(
        activateCredential(transport, keys, {
          ...good,
          encryptedSecret: Buffer.alloc(good.encryptedSecret.length, 1),
        }),
        EvidenceError,
      );
      const short = {
        ...good,
        credentialBlob: Buffer.concat([sized(Buffer.alloc(4)), good.credentialBlob.subarray(34)]),
      };
      await assert.rejects(
        activateCredential(transport, keys, short),
        code("0x1df TPM_RC_INTEGRITY"),
      );
    }
    const sealed = await seal(transport, NONCE, ELEVEN);
    await withKey(transport, STORAGE_P256, (parent) =>
      withObject(transport, parent, sealed, (object) =>
        refused(
          transport,
          "ActivateCredential",
          {
            handles: [parent.handle, object],
            authorizations: ["empty password"],
            parameters: Buffer.alloc(0),
          },
          "0x125 TPM_RC_AUTH_MISSING",
        ),
      ),
    );
  });

  it("answers every command, whatever it is", async () => {
    await using tpm = await open();
    const { transport } = tpm;
    assert.equal(await raw(transport, Buffer.alloc(0)), 0x9a);
    assert.equal(await raw(transport, head(0x8003, 10, 1)), 0x1e);
    assert.equal(await raw(transport, head(0x8001, 11, 1)), 0x142);
    assert.equal(await raw(transport, head(0x8001, 10, 1)), 0x143);
    assert.equal(
      await raw(transport, Buffer.concat([head(0x8001, 4097, 1), Buffer.alloc(4087)])),
      0x142,
    );
    const long = Buffer.concat([head(0x8002, 18, TPM_CC.PCR_Extend), u32(11), u32(513)]);
    assert.equal(await raw(transport, long), 0x142);
  });

  it("answers where it fails itself", async () => {
    const nv = new Map([[0x01c0_0002, Buffer.alloc(0x1_0000)]]);
    const reading = readNv(createSoftTpm({ nv }), 0x01c0_0002);
    await assert.rejects(reading, code("0x101 TPM_RC_FAILURE"));
  });

  it("answers what is almost a command with a response of its own", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyCommand, { minLength: 1, maxLength: 6 }), async (commands) => {
        const transport = createSoftTpm({ nv: new Map([[0x01c0_0002, NONCE]]) });
        // The handles that `FORMS` names.
        for (const template of [AK_P256, STORAGE_P256])
          await execute(transport, "CreatePrimary", {
            handles: [template.hierarchy],
            authorizations: PASSWORD,
            parameters: creation(template.publicArea),
          });
        await execute(
          transport,
          "StartAuthSession",
          start(sessionParts(Buffer.alloc(0), 1, TPM_ALG.null)),
        );
        for (const command of commands) {
          // One TPM, one command after the other.
          const response = Buffer.from(await transport.send(command));
          assert.equal(response.readUInt32BE(2), response.length);
          assert.notEqual(response.readUInt32BE(6), 0x101, "no fault of its own");
        }
      }),
      { numRuns: 1000 },
    );
  });
});
