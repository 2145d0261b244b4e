import { isTreeSize } from "./tree-size.ts";

export interface TimestampedSignature {
  /** POSIX time, in seconds. */
  readonly timeSeconds: number;
  readonly signature: Buffer;
}

/** C2SP tlog-cosignature: keeps signatures over other text from passing for cosignatures. */
export const COSIGNATURE_HEADER = "cosignature/v1\n";

const TIME_BYTES = 8;
const ED25519_SIGNATURE_BYTES = 64;

/**
 * C2SP tlog-cosignature: what a cosigner signs. Its second line is never the size of a checkpoint,
 * so it cannot be taken for the body of one.
 */
export function cosignatureMessage(body: string, timeSeconds: number): Buffer {
  return Buffer.from(`${COSIGNATURE_HEADER}time ${timeSeconds}\n${body}`);
}

/** C2SP tlog-cosignature allows times below 2^63; those that a JavaScript number cannot hold are past the year 285,000,000. */
export function isTime(timeSeconds: number): boolean {
  return isTreeSize(timeSeconds);
}

/** The time in 64 bits, big-endian, then the signature. */
export function encodeTimestamped({ timeSeconds, signature }: TimestampedSignature): Buffer {
  const time = Buffer.alloc(TIME_BYTES);
  time.writeBigUInt64BE(BigInt(timeSeconds));
  return Buffer.concat([time, signature]);
}

export function parseTimestamped(bytes: Buffer): TimestampedSignature | undefined {
  if (bytes.length !== TIME_BYTES + ED25519_SIGNATURE_BYTES) return undefined;
  const timeSeconds = Number(bytes.readBigUInt64BE());
  if (!isTime(timeSeconds)) return undefined;
  return { timeSeconds, signature: bytes.subarray(TIME_BYTES) };
}
