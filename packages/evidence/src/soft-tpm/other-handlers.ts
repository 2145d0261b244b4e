import { createHash } from "node:crypto";
import { readHash, readSized, TPM_ALG, TPM_HASHES } from "../tpm/algorithms.ts";
import { TPM_CC, TPM_RH } from "../tpm/command.ts";
import { sized, u16, u32 } from "../tpm/marshal.ts";
import { encodeSelection, PCR_COUNT } from "../tpm/pcr-selection.ts";
import { readPcrList } from "./pcr-bank.ts";
import { RC, TpmRefusal } from "./refusal.ts";
import { checkPassword, checkPcrsAreSame, respond, type SoftCommand } from "./soft-command.ts";
import { nameOf } from "./soft-key.ts";
import type { PolicySession, SoftState } from "./soft-state.ts";

const NOTHING = Buffer.alloc(0);
/** A TPM gives as many values at once, and the client asks again. */
const MAX_VALUES = 8;
const POLICY = 1;
const TRIAL = 3;
const MAX_BRANCHES = 8;
/** MAX_NV_BUFFER_SIZE of swtpm. */
const MAX_NV_BYTES = 1024;
/** TPM_ST_AUTH_SECRET. */
const SECRET_TICKET = 0x8023;
/** TPMA_NV: written and read by owner or with the index's own password, written. */
const NV_ATTRIBUTES = (1 << 1) | (1 << 2) | (1 << 17) | (1 << 18) | (1 << 29);

export function pcrRead(state: SoftState, command: SoftCommand): Buffer {
  const [selection, ...more] = readPcrList(command.parameters, 0);
  command.parameters.end();
  if (selection === undefined || more.length > 0) throw new TpmRefusal(RC.value);
  const values = state.pcrs.read(selection).slice(0, MAX_VALUES);
  const read = { ...selection, indices: values.map(([index]) => index) };
  const digests = values.map(([, value]) => sized(value));
  return respond(
    command,
    Buffer.concat([
      u32(state.pcrs.updates),
      encodeSelection(read),
      u32(digests.length),
      ...digests,
    ]),
  );
}

export function pcrExtend(state: SoftState, command: SoftCommand): Buffer {
  checkPassword(command);
  const [index = 0] = command.handles;
  if (index >= PCR_COUNT) throw new TpmRefusal(RC.handle);
  const { parameters } = command;
  const count = parameters.u32be();
  if (count > 3) throw new TpmRefusal(RC.value);
  for (let i = 0; i < count; i += 1) {
    const bank = readHash(parameters, "digests");
    state.pcrs.extend(index, bank, parameters.bytes(TPM_HASHES[bank].size));
  }
  parameters.end();
  return respond(command, NOTHING);
}

export function startAuthSession(state: SoftState, command: SoftCommand): Buffer {
  const { handles, parameters } = command;
  readSized(parameters, 64, "nonceCaller");
  const salt = readSized(parameters, 512, "encryptedSalt");
  const type = parameters.u8();
  const symmetric = parameters.u16be();
  const hash = readHash(parameters, "authHash");
  parameters.end();
  // Sessions here authorize by policy and protect nothing: no salt, no binding, no encryption.
  if (
    salt.length > 0 ||
    symmetric !== TPM_ALG.null ||
    handles.some((handle) => handle !== TPM_RH.null)
  )
    throw new TpmRefusal(RC.value);
  if (type !== POLICY && type !== TRIAL) throw new TpmRefusal(RC.value);
  const digest = Buffer.alloc(TPM_HASHES[hash].size);
  const session = { isTrial: type === TRIAL, hash, digest, pcrUpdates: undefined };
  return respond(command, sized(Buffer.alloc(TPM_HASHES[hash].size)), state.startSession(session));
}

export function flushContext(state: SoftState, command: SoftCommand): Buffer {
  command.parameters.end();
  state.flush(command.handles[0] ?? 0);
  return respond(command, NOTHING);
}

function advance(session: PolicySession, ...parts: readonly Uint8Array[]): void {
  const hash = createHash(session.hash).update(session.digest);
  for (const part of parts) hash.update(part);
  session.digest = hash.digest();
}

export function policyPcr(state: SoftState, command: SoftCommand): Buffer {
  const session = state.session(command.handles[0] ?? 0, RC.handleReference);
  const claimed = readSized(command.parameters, 64, "pcrDigest");
  const selections = readPcrList(command.parameters, 1);
  command.parameters.end();
  const [selection, ...more] = selections;
  if (selection === undefined || more.length > 0) throw new TpmRefusal(RC.value);
  checkPcrsAreSame(state, session);
  const values = state.pcrs.read(selection).map(([, value]) => value);
  const digest = createHash(session.hash).update(Buffer.concat(values)).digest();
  if (claimed.length > 0 && !claimed.equals(digest)) throw new TpmRefusal(RC.value);
  advance(session, u32(TPM_CC.PolicyPCR), encodeSelection(selection), digest);
  session.pcrUpdates = state.pcrs.updates;
  return respond(command, NOTHING);
}

export function policySecret(state: SoftState, command: SoftCommand): Buffer {
  const [entity = 0, handle = 0] = command.handles;
  checkPassword(command);
  if (entity !== TPM_RH.endorsement) throw new TpmRefusal(RC.handle);
  const session = state.session(handle, RC.handleReference + 1);
  for (const name of ["nonceTPM", "cpHashA", "policyRef"])
    if (readSized(command.parameters, 64, name).length > 0) throw new TpmRefusal(RC.value);
  if (command.parameters.u32be() !== 0) throw new TpmRefusal(RC.value);
  command.parameters.end();
  advance(session, u32(TPM_CC.PolicySecret), u32(entity));
  advance(session);
  return respond(command, Buffer.concat([sized(), u16(SECRET_TICKET), u32(TPM_RH.null), sized()]));
}

export function policyOr(state: SoftState, command: SoftCommand): Buffer {
  const session = state.session(command.handles[0] ?? 0, RC.handleReference);
  const { parameters } = command;
  const count = parameters.u32be();
  if (count < 2 || count > MAX_BRANCHES) throw new TpmRefusal(RC.value);
  const branches = Array.from({ length: count }, () => readSized(parameters, 64, "branch"));
  parameters.end();
  if (!session.isTrial && !branches.some((branch) => branch.equals(session.digest)))
    throw new TpmRefusal(RC.value);
  session.digest = Buffer.alloc(session.digest.length);
  advance(session, u32(TPM_CC.PolicyOR), ...branches);
  return respond(command, NOTHING);
}

export function policyGetDigest(state: SoftState, command: SoftCommand): Buffer {
  command.parameters.end();
  return respond(command, sized(state.session(command.handles[0] ?? 0, RC.handleReference).digest));
}

function nvData(state: SoftState, index: number): Buffer {
  const data = state.nv.get(index);
  if (data === undefined) throw new TpmRefusal(RC.handle);
  return data;
}

export function nvReadPublic(state: SoftState, command: SoftCommand): Buffer {
  command.parameters.end();
  const [index = 0] = command.handles;
  const data = nvData(state, index);
  const area = Buffer.concat([
    u32(index),
    u16(TPM_HASHES.sha256.id),
    u32(NV_ATTRIBUTES),
    sized(),
    u16(data.length),
  ]);
  return respond(command, Buffer.concat([sized(area), sized(nameOf("sha256", area))]));
}

export function nvRead(state: SoftState, command: SoftCommand): Buffer {
  checkPassword(command);
  const [reader = 0, index = 0] = command.handles;
  const data = nvData(state, index);
  if (reader !== TPM_RH.owner && reader !== index) throw new TpmRefusal(RC.handle);
  const [size, offset] = [command.parameters.u16be(), command.parameters.u16be()];
  command.parameters.end();
  if (offset + size > data.length) throw new TpmRefusal(RC.nvRange);
  return respond(command, sized(data.subarray(offset, offset + size)));
}

export function nvWrite(state: SoftState, command: SoftCommand): Buffer {
  checkPassword(command);
  const [writer = 0, index = 0] = command.handles;
  const stored = nvData(state, index);
  if (writer !== TPM_RH.owner && writer !== index) throw new TpmRefusal(RC.handle);
  const data = readSized(command.parameters, MAX_NV_BYTES, "data");
  const offset = command.parameters.u16be();
  command.parameters.end();
  if (offset + data.length > stored.length) throw new TpmRefusal(RC.nvRange);
  stored.set(data, offset);
  return respond(command, NOTHING);
}
