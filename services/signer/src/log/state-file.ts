import { MemberReader, privateFileExists, readPrivateFile, ServiceError } from "@redoubt/base";
import type { TreeHead } from "@redoubt/tlog";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";

/** A tree that was seen once: whatever is shown later must contain it. */
export interface RememberedTree extends TreeHead {
  /** Of the log that it is a tree of. */
  readonly origin: string;
  /** POSIX seconds from which the age of the newest cosignature counts; 0 where there was nothing to witness yet. */
  readonly sinceSeconds: number;
}

/** What a signer remembers between runs. It only ever leads to a refusal. */
export interface SignerState {
  /** Absent when it is of another log, for instance last quarter's. */
  readonly log?: RememberedTree;
  readonly registry: RememberedTree;
}

/** @throws ServiceError `ERR_SIGNER_STATE` for a damaged or foreign file: it is not treated as missing */
export function readState(
  path: string,
  { origin, registry }: { readonly origin: string; readonly registry: { readonly origin: string } },
): SignerState | undefined {
  if (!privateFileExists(path)) return undefined;
  const state = parseState(readPrivateFile(path));
  if (state.registry.origin !== registry.origin)
    throw new ServiceError("ERR_SIGNER_STATE", "State file is of another registry");
  return state.log.origin === origin ? state : { registry: state.registry };
}

function parseState(bytes: Uint8Array): Required<SignerState> {
  try {
    const reader = new MemberReader(parseJsonObject(bytes), "signer state");
    reader.integer("v", 1, 1);
    const log = readTree(reader.object("log"));
    const registry = readTree(reader.object("registry"));
    reader.done();
    return { log, registry };
  } catch (cause) {
    throw new ServiceError("ERR_SIGNER_STATE", "State file is damaged", { cause });
  }
}

export function encodeState({ log, registry }: Required<SignerState>): string {
  return JSON.stringify({ v: 1, log: encodeTree(log), registry: encodeTree(registry) });
}

function readTree(reader: MemberReader): RememberedTree {
  const tree = {
    origin: reader.string("origin", 256),
    size: reader.integer("size", 0, Number.MAX_SAFE_INTEGER),
    root: decodeBase64url(reader.string("root", 43), { bytes: 32 }),
    sinceSeconds: reader.integer("since", 0, Number.MAX_SAFE_INTEGER),
  };
  reader.done();
  return tree;
}

function encodeTree({ origin, size, root, sinceSeconds }: RememberedTree): object {
  return { origin, size, root: encodeBase64url(root), since: Math.floor(sinceSeconds) };
}
