import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";
import { sized, u16, u32 } from "./marshal.ts";
import { describeResponseCode } from "./response-code.ts";
import type { Transport } from "./transport.ts";

/** TPM_CC, TPM 2.0 Part 2 §6.5.2. */
export const TPM_CC = {
  CreatePrimary: 0x131,
  NV_Write: 0x137,
  ActivateCredential: 0x147,
  NV_Read: 0x14e,
  PolicySecret: 0x151,
  Create: 0x153,
  Load: 0x157,
  Quote: 0x158,
  Unseal: 0x15e,
  FlushContext: 0x165,
  NV_ReadPublic: 0x169,
  PolicyOR: 0x171,
  ReadPublic: 0x173,
  StartAuthSession: 0x176,
  PCR_Read: 0x17e,
  PolicyPCR: 0x17f,
  PCR_Extend: 0x182,
  PolicyGetDigest: 0x189,
} as const;

export type TpmCommandName = keyof typeof TPM_CC;

/** TPM_RH, TPM 2.0 Part 2 §7.4. */
export const TPM_RH = {
  owner: 0x4000_0001,
  null: 0x4000_0007,
  endorsement: 0x4000_000b,
} as const;

/** TPM_RS_PW: an authorization by password; those of hierarchies, PCRs and our keys are empty. */
const TPM_RS_PW = 0x4000_0009;
export const TPM_ST_NO_SESSIONS = 0x8001;
export const TPM_ST_SESSIONS = 0x8002;
/** The session stays until it is flushed, so that flushing it is right on every path. */
const CONTINUE_SESSION = 1;

/** For each handle that needs one, the authorization: the empty password, or a policy session by its handle. */
export type Authorization = "empty password" | number;

export interface TpmCommand {
  readonly handles?: readonly number[];
  readonly authorizations?: readonly Authorization[];
  readonly parameters?: Uint8Array;
}

export interface TpmResponse {
  /** Zero for commands that make no handle. */
  readonly handle: number;
  readonly parameters: ByteReader;
}

const MAKES_HANDLE: ReadonlySet<TpmCommandName> = new Set([
  "CreatePrimary",
  "Load",
  "StartAuthSession",
]);

/**
 * Sends one command (TPM 2.0 Part 1 §18) and takes its response apart.
 *
 * @throws EvidenceError `ERR_TPM_RESPONSE` when the TPM refuses, `ERR_EVIDENCE_FORMAT` for what is no response
 */
export async function execute(
  transport: Transport,
  name: TpmCommandName,
  command: TpmCommand,
): Promise<TpmResponse> {
  const reader = new ByteReader(await transport.send(encode(name, command)), `response to ${name}`);
  const tag = reader.u16be();
  const size = reader.u32be();
  const code = reader.u32be();
  if (size !== reader.offset + reader.left)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "Response of the TPM has another size", {
      part: name,
      found: reader.offset + reader.left,
      expected: size,
    });
  if (code !== 0)
    throw new EvidenceError("ERR_TPM_RESPONSE", `TPM refuses ${name}`, {
      part: name,
      found: describeResponseCode(code),
    });
  const handle = MAKES_HANDLE.has(name) ? reader.u32be() : 0;
  // What follows the parameters of a command with sessions says nothing: there are no sessions with a secret.
  const length = tag === TPM_ST_SESSIONS ? reader.u32be() : reader.left;
  return { handle, parameters: new ByteReader(reader.bytes(length), `response to ${name}`) };
}

function encode(name: TpmCommandName, command: TpmCommand): Buffer {
  const { handles = [], authorizations = [], parameters = Buffer.alloc(0) } = command;
  const area = Buffer.concat(authorizations.map(encodeAuthorization));
  const body = Buffer.concat([
    u32(TPM_CC[name]),
    ...handles.map(u32),
    ...(area.length === 0 ? [] : [u32(area.length), area]),
    parameters,
  ]);
  const tag = area.length === 0 ? TPM_ST_NO_SESSIONS : TPM_ST_SESSIONS;
  return Buffer.concat([u16(tag), u32(body.length + 6), body]);
}

/** TPMS_AUTH_COMMAND: session, nonce, attributes, proof. */
function encodeAuthorization(authorization: Authorization): Buffer {
  const [session, attributes] =
    authorization === "empty password" ? [TPM_RS_PW, 0] : [authorization, CONTINUE_SESSION];
  return Buffer.concat([u32(session), sized(), Buffer.of(attributes), sized()]);
}
