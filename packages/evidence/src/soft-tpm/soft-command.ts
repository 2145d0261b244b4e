import { ByteReader } from "../byte-reader.ts";
import { readSized } from "../tpm/algorithms.ts";
import { TPM_ST_NO_SESSIONS, TPM_ST_SESSIONS } from "../tpm/command.ts";
import { sized, u16, u32 } from "../tpm/marshal.ts";
import { TPMA_OBJECT } from "../tpm/public-area.ts";
import { ofSession, RC, TpmRefusal } from "./refusal.ts";
import type { SoftObject } from "./soft-key.ts";
import type { SoftState } from "./soft-state.ts";

/** TPM_RS_PW. */
const PASSWORD = 0x4000_0009;
const MAX_AUTH_BYTES = 512;
const MAX_NONCE_BYTES = 64;
const NOTHING = Buffer.alloc(0);

interface Auth {
  readonly session: number;
  readonly proof: Buffer;
}

/** One command, as a handler sees it. */
export interface SoftCommand {
  readonly handles: readonly number[];
  readonly auths: readonly Auth[];
  readonly parameters: ByteReader;
  readonly hasSessions: boolean;
}

/** How many handles a command has, and how many of them are authorized. */
export interface Shape {
  readonly handles: number;
  readonly auths: number;
}

/** TPM 2.0 Part 1 §18: tag, size, code, handles, authorizations, parameters. */
export function readCommand(reader: ByteReader, tag: number, shape: Shape): SoftCommand {
  const handles = Array.from({ length: shape.handles }, () => reader.u32be());
  const hasSessions = tag === TPM_ST_SESSIONS;
  const auths = hasSessions ? readAuths(reader) : [];
  if (auths.length < shape.auths) throw new TpmRefusal(RC.missingAuth);
  return { handles, auths, parameters: reader, hasSessions };
}

function readAuths(reader: ByteReader): readonly Auth[] {
  const size = reader.u32be();
  if (size > MAX_AUTH_BYTES) throw new TpmRefusal(RC.commandSize);
  const area = new ByteReader(reader.bytes(size), "authorizations");
  const auths: Auth[] = [];
  while (area.left > 0) {
    const session = area.u32be();
    readSized(area, MAX_NONCE_BYTES, "nonce");
    area.u8();
    auths.push({ session, proof: readSized(area, MAX_NONCE_BYTES, "proof") });
  }
  return auths;
}

/** Hierarchies, PCRs and NV indices have the empty password here. */
export function checkPassword({ auths }: SoftCommand): void {
  if (auths[0]?.session !== PASSWORD || auths[0].proof.length > 0) throw new TpmRefusal(RC.badAuth);
}

/** Holds an object's authorization to its attributes and policy (TPM 2.0 Part 1 §19). */
export function authorize(
  state: SoftState,
  object: SoftObject,
  { auths }: SoftCommand,
  index: number,
): void {
  const auth = auths[index];
  // mutate: they were counted when the command was read.
  if (auth === undefined) throw new TpmRefusal(RC.missingAuth);
  if (auth.session === PASSWORD) {
    if ((object.attributes & TPMA_OBJECT.userWithAuth) === 0)
      throw new TpmRefusal(RC.authUnavailable);
    if (auth.proof.length > 0) throw new TpmRefusal(RC.badAuth);
    return;
  }
  const session = state.session(auth.session);
  const { digest, isTrial, pcrUpdates } = session;
  if (isTrial || !digest.equals(object.authPolicy))
    throw new TpmRefusal(ofSession(RC.policyFail, index));
  if (pcrUpdates !== undefined && pcrUpdates !== state.pcrs.updates)
    throw new TpmRefusal(RC.pcrChanged);
}

/** A response that succeeds. */
export function respond(
  { hasSessions, auths }: SoftCommand,
  parameters: Uint8Array,
  handle?: number,
): Buffer {
  const made = handle === undefined ? NOTHING : u32(handle);
  const body = hasSessions
    ? Buffer.concat([
        made,
        u32(parameters.length),
        parameters,
        ...auths.map(() => Buffer.concat([sized(), Buffer.of(1), sized()])),
      ])
    : Buffer.concat([made, parameters]);
  const tag = hasSessions ? TPM_ST_SESSIONS : TPM_ST_NO_SESSIONS;
  return Buffer.concat([u16(tag), u32(body.length + 10), u32(0), body]);
}

export function refuse(code: number): Buffer {
  return Buffer.concat([u16(TPM_ST_NO_SESSIONS), u32(10), u32(code)]);
}
