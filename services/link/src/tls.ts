import type { SecureVersion, TLSSocket } from "node:tls";
import { pinOf } from "./certificate.ts";
import { linkError } from "./errors.ts";
import type { Identity } from "./identity.ts";

const VERSION: SecureVersion = "TLSv1.3";
/** Idle connections stay open; one whose machine is gone is noticed after this and ten probes, a second apart. */
const KEEP_ALIVE_MS = 30_000;

/** What both ends of a link have in common. */
export function tlsOptions({ key, certificate }: Identity) {
  return {
    key,
    cert: certificate,
    minVersion: VERSION,
    maxVersion: VERSION,
    // No authority stands behind these certificates. TLS still proves that the peer has the key (RFC 8446 §4.4.3),
    // and `provenPin` is asked before a byte is taken from it or given to it.
    rejectUnauthorized: false,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  };
}

/**
 * The pin of the key that the other side has just proved.
 *
 * @throws ServiceError `ERR_LINK_PEER`
 */
export function provenPin(socket: TLSSocket): string {
  // In a resumed session nobody proves a key: only that they once had one, or somebody's ticket.
  if (socket.isSessionReused())
    throw linkError("ERR_LINK_PEER", "Session was resumed, which no link does");
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) throw linkError("ERR_LINK_PEER", "Peer has no certificate");
  return pinOf(certificate);
}
