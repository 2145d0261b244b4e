import { ByteReader } from "../byte-reader.ts";
import { readSized } from "../tpm/algorithms.ts";
import { TPM_ST_NO_SESSIONS, TPM_ST_SESSIONS } from "../tpm/command.ts";
import { sized, u16, u32 } from "../tpm/marshal.ts";
import { TPMA_OBJECT } from "../tpm/public-area.ts";
import { ofSession, RC, TpmRefusal } from "./refusal.ts";
import type { SoftObject } from "./soft-key.ts";
import type { PolicySession, SoftState } from "./soft-state.ts";

/** TPM_RS_PW. */
const PASSWORD = 0x4000_0009;
const MAX_AUTH_BYTES = 512;
const MAX_NONCE_BYTES = 64;
const CONTINUE_SESSION = 1;
const RESERVED = 0x18;
const NOTHING = Buffer.alloc(0);

interface Auth {
  readonly session: number;
  /** TPMA_SESSION (TPM 2.0 Part 2 §8.4). */
  readonly attributes: number;
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
  // Sessions here authorize, and are for nothing else: no audit, no encryption.
  if (auths.length > shape.auths) throw new TpmRefusal(ofSession(RC.attributes, shape.auths));
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
    const attributes = area.u8();
    const proof = readSized(area, MAX_NONCE_BYTES, "proof");
    checkAuth(session, attributes, auths);
    auths.push({ session, attributes, proof });
  }
  return auths;
}

function checkAuth(session: number, attributes: number, before: readonly Auth[]): void {
  const index = before.length;
  if (attributes & RESERVED) throw new TpmRefusal(ofSession(RC.reservedBits, index));
  if (attributes & ~CONTINUE_SESSION) throw new TpmRefusal(ofSession(RC.attributes, index));
  if (session !== PASSWORD && before.some((auth) => auth.session === session))
    throw new TpmRefusal(ofSession(RC.anyHandle, index));
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
  const session = state.session(auth.session, RC.sessionReference + index);
  if (session.isTrial) throw new TpmRefusal(ofSession(RC.attributes, index));
  checkPcrsAreSame(state, session);
  if (!session.digest.equals(object.authPolicy))
    throw new TpmRefusal(ofSession(RC.policyFail, index));
}

/** A policy over PCRs holds only as long as no PCR changes (TPM 2.0 Part 1 §19). */
export function checkPcrsAreSame(state: SoftState, { pcrUpdates }: PolicySession): void {
  if (pcrUpdates !== undefined && pcrUpdates !== state.pcrs.updates)
    throw new TpmRefusal(RC.pcrChanged);
}

/** Policy sessions of a command that succeeded authorize no other: they end, or begin again. */
export function endUse(state: SoftState, { auths }: SoftCommand): void {
  for (const { session, attributes } of auths)
    if (session !== PASSWORD) state.endUse(session, (attributes & CONTINUE_SESSION) !== 0);
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
        ...auths.map(({ session, attributes }) =>
          // A password is no session that could end.
          Buffer.concat([
            sized(),
            Buffer.of(session === PASSWORD ? CONTINUE_SESSION : attributes),
            sized(),
          ]),
        ),
      ])
    : Buffer.concat([made, parameters]);
  const tag = hasSessions ? TPM_ST_SESSIONS : TPM_ST_NO_SESSIONS;
  return Buffer.concat([u16(tag), u32(body.length + 10), u32(0), body]);
}

export function refuse(code: number): Buffer {
  return Buffer.concat([u16(TPM_ST_NO_SESSIONS), u32(10), u32(code)]);
}
