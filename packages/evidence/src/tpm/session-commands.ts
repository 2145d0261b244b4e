import { MAX_HASH_BYTES, TPM_ALG, TPM_HASHES, readSized, type TpmHash } from "./algorithms.ts";
import { TPM_RH, execute } from "./command.ts";
import { flushedAfter } from "./handles.ts";
import { sized, u16, u32 } from "./marshal.ts";
import { encodeSelection, type PcrSelection } from "./pcr-selection.ts";
import type { Transport } from "./transport.ts";

/** TPM_SE, TPM 2.0 Part 2 §6.11: a trial session only computes a digest. */
const SESSION_TYPES = { policy: 1, trial: 3 } as const;
/** A policy session without a key and a password has no proof that its nonce could enter. */
const NONCE = Buffer.alloc(16);

export async function withPolicySession<T>(
  transport: Transport,
  type: keyof typeof SESSION_TYPES,
  hash: TpmHash,
  use: (session: number) => Promise<T>,
): Promise<T> {
  const { handle } = await execute(transport, "StartAuthSession", {
    handles: [TPM_RH.null, TPM_RH.null],
    parameters: Buffer.concat([
      sized(NONCE),
      sized(),
      Buffer.of(SESSION_TYPES[type]),
      u16(TPM_ALG.null),
      u16(TPM_HASHES[hash].id),
    ]),
  });
  return flushedAfter(transport, handle, () => use(handle));
}

/** The PCRs must have the values that the policy of the object names; the TPM looks when the object is used. */
export async function policyPcr(
  transport: Transport,
  session: number,
  selection: PcrSelection,
): Promise<void> {
  await execute(transport, "PolicyPCR", {
    handles: [session],
    parameters: Buffer.concat([sized(), encodeSelection(selection)]),
  });
}

/** Whoever knows the password of the endorsement hierarchy, which is empty. */
export async function policyEndorsement(transport: Transport, session: number): Promise<void> {
  await execute(transport, "PolicySecret", {
    handles: [TPM_RH.endorsement, session],
    authorizations: ["empty password"],
    parameters: Buffer.concat([sized(), sized(), sized(), u32(0)]),
  });
}

export async function policyOr(
  transport: Transport,
  session: number,
  branches: readonly Uint8Array[],
): Promise<void> {
  const list = branches.map((branch) => sized(branch));
  const parameters = Buffer.concat([u32(list.length), ...list]);
  await execute(transport, "PolicyOR", { handles: [session], parameters });
}

export async function policyDigest(transport: Transport, session: number): Promise<Buffer> {
  const { parameters } = await execute(transport, "PolicyGetDigest", { handles: [session] });
  return readSized(parameters, MAX_HASH_BYTES, "PolicyGetDigest.policyDigest");
}
