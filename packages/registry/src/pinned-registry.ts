import { configError, type MemberReader } from "@redoubt/base";
import { parseVerifierKey, SIGNATURE_TYPE, type VerifierKey } from "@redoubt/tlog";

/** Which registry a process follows, as its configuration pins it. */
export interface PinnedRegistry {
  /** Its origin. */
  readonly log: string;
  readonly vkey: VerifierKey;
}

/** @throws ServiceError `ERR_CONFIG`, TlogError */
export function readPinnedRegistry(reader: MemberReader): PinnedRegistry {
  const log = reader.string("log", 256);
  const vkey = readEd25519Key(reader, "vkey");
  reader.done();
  if (vkey.name !== log) throw configError(`config: registry vkey must be named ${log}`);
  return { log, vkey };
}

/** A verifier key that signs with Ed25519, such as the operator's. @throws ServiceError `ERR_CONFIG`, TlogError */
export function readEd25519Key(reader: MemberReader, name: string): VerifierKey {
  const key = parseVerifierKey(reader.string(name));
  if (key.type !== SIGNATURE_TYPE.ed25519)
    throw configError(`config: ${name} must be an Ed25519 verifier key`);
  return key;
}
