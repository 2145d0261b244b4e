import {
  MemberReader,
  privateFileExists,
  readPrivateFile,
  ServiceError,
  writeDurable,
} from "@redoubt/base";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";

/** A tree that was seen once: whatever is shown later must contain it. */
export interface RememberedTree {
  readonly size: number;
  readonly root: Buffer;
  /** From when the age of the witness's word counts; 0 where there was nothing to witness yet. */
  readonly sinceSeconds: number;
}

/** What a signer remembers between runs, only to refuse. */
export interface SignerState {
  readonly log: RememberedTree;
  readonly registry: RememberedTree;
}

/** @throws ServiceError `ERR_SIGNER_STATE` for a file that is not one of ours: it is never taken for none */
export function readState(path: string): SignerState | undefined {
  if (!privateFileExists(path)) return undefined;
  const bytes = readPrivateFile(path);
  try {
    const reader = new MemberReader(parseJsonObject(bytes), "signer state");
    reader.integer("v", 1, 1);
    const state = {
      log: readTree(reader.object("log")),
      registry: readTree(reader.object("registry")),
    };
    reader.done();
    return state;
  } catch (cause) {
    throw new ServiceError("ERR_SIGNER_STATE", "State file is damaged", { cause });
  }
}

export function encodeState({ log, registry }: SignerState): string {
  return JSON.stringify({ v: 1, log: encodeTree(log), registry: encodeTree(registry) });
}

export function writeState(path: string, text: string): void {
  writeDurable(path, text);
}

function readTree(reader: MemberReader): RememberedTree {
  const tree = {
    size: reader.integer("size", 0, Number.MAX_SAFE_INTEGER),
    root: decodeBase64url(reader.string("root", 43), { bytes: 32 }),
    sinceSeconds: reader.integer("since", 0, Number.MAX_SAFE_INTEGER),
  };
  reader.done();
  return tree;
}

function encodeTree({ size, root, sinceSeconds }: RememberedTree): object {
  return { size, root: encodeBase64url(root), since: Math.floor(sinceSeconds) };
}
