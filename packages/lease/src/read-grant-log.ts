import { configError, type MemberReader } from "@redoubt/base";
import { parseVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import type { GrantLog } from "./grant.ts";

const ORIGIN = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;

/**
 * A broker's log, as configurations pin it: `origin`, `key`, `writer`.
 *
 * @throws ServiceError `ERR_CONFIG`, `ERR_REQUEST_MEMBER`; TlogError
 */
export function readGrantLog(from: MemberReader): GrantLog {
  const origin = from.string("origin", 256, ORIGIN);
  const [logKey, writerKey] = [from.string("key"), from.string("writer")].map(parseVerifierKey);
  from.done();
  if (
    logKey?.name !== origin ||
    writerKey?.name !== `${origin}/writer` ||
    logKey.type !== SIGNATURE_TYPE.ed25519 ||
    writerKey.type !== SIGNATURE_TYPE.ed25519
  )
    throw configError("config: log: keys must be Ed25519 and named as the log");
  return { origin, logKey, writerKey };
}
