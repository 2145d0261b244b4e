/** What peers and strangers can take from a link. */
export interface LinkLimits {
  /** From connecting to a proved key, in both directions. */
  readonly handshakeMs: number;
  /** From there to the first line. */
  readonly firstLineMs: number;
  /** Connections at a time that have not proved a key. */
  readonly maxUnproven: number;
  /** Connections at a time of one peer. */
  readonly maxPerPeer: number;
  /** Connections at a time at one socket of this machine. */
  readonly maxPerSocket: number;
}

/** Per socket, the number that a service takes of one caller (packages/wire). */
export const LINK_LIMITS: LinkLimits = {
  handshakeMs: 5000,
  firstLineMs: 2000,
  maxUnproven: 64,
  maxPerPeer: 256,
  maxPerSocket: 64,
};
