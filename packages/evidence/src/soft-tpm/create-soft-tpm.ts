import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";
import {
  TPM_CC,
  TPM_ST_NO_SESSIONS,
  TPM_ST_SESSIONS,
  type TpmCommandName,
} from "../tpm/command.ts";
import type { Transport } from "../tpm/transport.ts";
import {
  activateCredential,
  create,
  createPrimary,
  load,
  quote,
  readPublic,
  unseal,
} from "./key-handlers.ts";
import {
  flushContext,
  nvRead,
  nvReadPublic,
  nvWrite,
  pcrExtend,
  pcrRead,
  policyGetDigest,
  policyOr,
  policyPcr,
  policySecret,
  startAuthSession,
} from "./other-handlers.ts";
import { RC, TpmRefusal } from "./refusal.ts";
import { endUse, readCommand, refuse, type Shape, type SoftCommand } from "./soft-command.ts";
import { SoftState } from "./soft-state.ts";

type Handler = (state: SoftState, command: SoftCommand) => Buffer;

const HANDLERS: Readonly<Record<TpmCommandName, Shape & { readonly run: Handler }>> = {
  CreatePrimary: { handles: 1, auths: 1, run: createPrimary },
  ActivateCredential: { handles: 2, auths: 2, run: activateCredential },
  NV_Read: { handles: 2, auths: 1, run: nvRead },
  NV_Write: { handles: 2, auths: 1, run: nvWrite },
  PolicySecret: { handles: 2, auths: 1, run: policySecret },
  Create: { handles: 1, auths: 1, run: create },
  Load: { handles: 1, auths: 1, run: load },
  Quote: { handles: 1, auths: 1, run: quote },
  Unseal: { handles: 1, auths: 1, run: unseal },
  FlushContext: { handles: 1, auths: 0, run: flushContext },
  NV_ReadPublic: { handles: 1, auths: 0, run: nvReadPublic },
  PolicyOR: { handles: 1, auths: 0, run: policyOr },
  ReadPublic: { handles: 1, auths: 0, run: readPublic },
  StartAuthSession: { handles: 2, auths: 0, run: startAuthSession },
  PCR_Read: { handles: 0, auths: 0, run: pcrRead },
  PolicyPCR: { handles: 1, auths: 0, run: policyPcr },
  PCR_Extend: { handles: 1, auths: 1, run: pcrExtend },
  PolicyGetDigest: { handles: 1, auths: 0, run: policyGetDigest },
};
const BY_CODE: ReadonlyMap<number | undefined, Shape & { readonly run: Handler }> = new Map(
  Object.entries(HANDLERS).map(([name, handler]) => [codeOf(name), handler]),
);
const MAX_COMMAND_BYTES = 4096;

function codeOf(name: string): number | undefined {
  return Object.entries(TPM_CC).find(([known]) => known === name)?.[1];
}

export interface SoftTpmOptions {
  /** NV indices that exist from the beginning, such as certificates. */
  readonly nv?: ReadonlyMap<number, Uint8Array>;
  /**
   * 32 secret bytes, the primary seed: with the same seed the primary keys of the same templates are the same in every
   * process, P-256 and P-384, and what was sealed is loaded again. As in a real TPM, keys of the null hierarchy are
   * new every time. RSA keys are refused, since they cannot be made from a seed here. PCRs, clock and count of resets
   * begin anew. Default: a random seed, which ends with this TPM.
   */
  readonly seed?: Uint8Array;
}

/**
 * A TPM in this process, for trying and for tests: the commands of this package's client, and what a TPM answers to them.
 * **It proves nothing about a machine**: its keys lie in the memory of whoever runs it. Its platform is `soft`, it is never
 * called hardware, and production policies refuse it.
 *
 * @throws RangeError for a seed that has not 32 bytes
 */
export function createSoftTpm({ nv = new Map(), seed }: SoftTpmOptions = {}): Transport {
  const state = new SoftState(nv, seed);
  let isClosed = false;
  return {
    async send(command) {
      if (isClosed)
        throw new EvidenceError("ERR_TPM_TRANSPORT", "The soft TPM is closed", { part: "tpm" });
      return answer(state, command);
    },
    async close() {
      isClosed = true;
    },
  };
}

/** Every command is answered, whatever it is, and nothing is thrown. */
function answer(state: SoftState, command: Uint8Array): Buffer {
  try {
    return run(state, command);
  } catch (error) {
    if (error instanceof TpmRefusal) return refuse(error.responseCode);
    // What the readers of this package refuse: cut off, too long, an algorithm that is not known.
    if (error instanceof EvidenceError)
      return refuse(error.code === "ERR_EVIDENCE_FORMAT" ? RC.insufficient : RC.value);
    // A fault of ours: TPMs answer their own with this code.
    return refuse(RC.failure);
  }
}

function run(state: SoftState, command: Uint8Array): Buffer {
  const reader = new ByteReader(command, "command");
  const tag = reader.u16be();
  if (tag !== TPM_ST_NO_SESSIONS && tag !== TPM_ST_SESSIONS) throw new TpmRefusal(RC.badTag);
  if (reader.u32be() !== command.length || command.length > MAX_COMMAND_BYTES)
    throw new TpmRefusal(RC.commandSize);
  const handler = BY_CODE.get(reader.u32be());
  if (handler === undefined) throw new TpmRefusal(RC.commandCode);
  const parts = readCommand(reader, tag, handler);
  const response = handler.run(state, parts);
  endUse(state, parts);
  return response;
}
