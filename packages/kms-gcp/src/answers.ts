import { type SignatureAlgorithm } from "@redoubt/keys";
import { crc32c } from "./crc32c.ts";
import { DamagedAnswer } from "./failure.ts";
import { unexpected } from "./kms-calls.ts";
import { isRecord } from "./sdk.ts";

type Answer = Readonly<Record<string, unknown>>;

export interface KeyVersion {
  readonly name: string;
  readonly state: string;
  readonly algorithm: string;
  readonly protectionLevel: string;
  /** Its material came from outside, so that somebody may have a copy. */
  readonly isImported: boolean;
}

export function readVersion(asked: string, answer: Answer): KeyVersion {
  const { name, state, algorithm, protectionLevel } = answer;
  if (name !== asked) throw unexpected("another key version than asked for");
  if (
    typeof state !== "string" ||
    typeof algorithm !== "string" ||
    typeof protectionLevel !== "string"
  )
    throw unexpected("a key version without a state");
  const isImported = isSaid(answer.importJob) || isSaid(answer.importTime);
  return { name, state, algorithm, protectionLevel, isImported };
}

// Where the service leaves a member out, the SDK gives "" or null.
function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}

/** Scheduled counts as gone: only a person can bring it back, and it signs no more. */
export function isGone({ state }: Pick<KeyVersion, "state">): boolean {
  return state === "DESTROYED" || state === "DESTROY_SCHEDULED";
}

/** The PEM of exactly this version, undamaged (Cloud KMS, "Verify end-to-end data integrity"). */
export function readPublicKeyAnswer(version: KeyVersion, answer: Answer): string {
  const { pem, pemCrc32c, name, algorithm, protectionLevel } = answer;
  if (typeof pem !== "string") throw unexpected("no public key");
  if (checksumOf(pemCrc32c) !== crc32c(Buffer.from(pem)))
    throw new DamagedAnswer("Checksum of the public key");
  if (
    name !== version.name ||
    algorithm !== version.algorithm ||
    protectionLevel !== version.protectionLevel
  )
    throw unexpected("a public key of another key version");
  return pem;
}

export function signRequest(name: string, alg: SignatureAlgorithm, signed: Uint8Array): object {
  const checksum = { value: String(crc32c(signed)) };
  return alg === "Ed25519"
    ? { name, data: signed, dataCrc32c: checksum }
    : { name, digest: { sha256: signed }, digestCrc32c: checksum };
}

/** The signature of exactly this version over what arrived undamaged (same source). */
export function readSignature(
  { name, protectionLevel }: KeyVersion,
  alg: SignatureAlgorithm,
  answer: Answer,
): Buffer {
  const { signature, signatureCrc32c, verifiedDigestCrc32c, verifiedDataCrc32c } = answer;
  if (answer.name !== name) throw unexpected("a signature by another key version");
  if (answer.protectionLevel !== protectionLevel)
    throw unexpected("a signature made at another protection level");
  if ((alg === "Ed25519" ? verifiedDataCrc32c : verifiedDigestCrc32c) !== true)
    throw new DamagedAnswer("Checksum of the request was not verified");
  if (!(signature instanceof Uint8Array)) throw unexpected("no signature");
  if (checksumOf(signatureCrc32c) !== crc32c(signature))
    throw new DamagedAnswer("Checksum of the signature");
  return Buffer.from(signature);
}

// google.protobuf.Int64Value: the SDK gives 64-bit numbers as strings.
function checksumOf(value: unknown): number | undefined {
  if (!isRecord(value)) return undefined;
  const digits = String(value.value);
  return /^(?:0|[1-9][0-9]{0,9})$/.test(digits) ? Number(digits) : undefined;
}
