import type { Clock, EventSink, Secret } from "@redoubt/base";
import type { CallLimits } from "@redoubt/custody/call-gate";
import { custodyError } from "./errors.ts";

/** Whoever opens this custody assigns them, as its own events. */
export type KmsEvent =
  | "kms_retry"
  | "kms_key_made"
  | "kms_key_ended"
  | "kms_key_abandoned"
  | "kms_key_left";

/** Credentials of an IAM principal; a session token comes with temporary ones. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken?: Secret;
  /** Milliseconds since the epoch; a provider is asked again before. */
  readonly expiresAtMs?: number;
}

/**
 * Where credentials come from; said aloud, there is no default. `"default-chain"` is the SDK's own: environment,
 * shared files, single sign-on, web identity, container and, last, the instance metadata service. The other two look
 * nowhere.
 */
export type AwsCredentialSource =
  | AwsCredentials
  | (() => Promise<AwsCredentials>)
  | "default-chain";

export type AwsKmsLimits = CallLimits;

export interface AwsKmsOptions {
  readonly region: string;
  /** Tells apart what shares an AWS account: one name per realm and signer. Part of each key's alias and tags. */
  readonly ring: string;
  readonly credentials: AwsCredentialSource;
  /** Origin of a VPC or FIPS endpoint, `https:` (`http:` on loopback only); default: the region's own. */
  readonly endpoint?: string;
  /** How long AWS keeps a destroyed key, unusable, before its material is gone: 7 (the default) to 30. */
  readonly deletionDays?: number;
  readonly limits?: Partial<AwsKmsLimits>;
  readonly sink?: EventSink<KmsEvent>;
  readonly clock?: Pick<Clock, "monotonic">;
  /** 0 ≤ x < 1, for the jitter of pauses. */
  readonly random?: () => number;
  /** Resolves after the time, rejects when the signal aborts. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

export const DEFAULT_LIMITS: AwsKmsLimits = {
  maxConcurrent: 32,
  maxWaiting: 512,
  maxAttempts: 4,
  attemptTimeoutMs: 3000,
  callTimeoutMs: 10_000,
};

const LIMIT_RANGES: Readonly<Record<keyof AwsKmsLimits, readonly [number, number]>> = {
  maxConcurrent: [1, 1024],
  maxWaiting: [0, 65_536],
  maxAttempts: [1, 10],
  attemptTimeoutMs: [1, 60_000],
  callTimeoutMs: [1, 60_000],
};

const REGION = /^[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\d{1,2}$/;
const RING = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;
/** API Reference, ScheduleKeyDeletion: PendingWindowInDays. */
const DELETION_DAYS = [7, 30] as const;

/** What the operator gave, checked. */
export interface CheckedOptions {
  readonly region: string;
  readonly ring: string;
  readonly endpoint: URL;
  readonly deletionDays: number;
  readonly limits: AwsKmsLimits;
}

/** @throws KeyError `ERR_KEY_CUSTODY` */
export function checkOptions(options: AwsKmsOptions): CheckedOptions {
  const { region, ring, deletionDays = DELETION_DAYS[0] } = options;
  if (!REGION.test(region)) throw wrong("region must be the name of an AWS region");
  if (!RING.test(ring))
    throw wrong("ring must be 1 to 64 of a-z, 0-9 and -, with no - at either end");
  checkRange("deletionDays", deletionDays, DELETION_DAYS);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  checkRange("limits.maxConcurrent", limits.maxConcurrent, LIMIT_RANGES.maxConcurrent);
  checkRange("limits.maxWaiting", limits.maxWaiting, LIMIT_RANGES.maxWaiting);
  checkRange("limits.maxAttempts", limits.maxAttempts, LIMIT_RANGES.maxAttempts);
  checkRange("limits.attemptTimeoutMs", limits.attemptTimeoutMs, LIMIT_RANGES.attemptTimeoutMs);
  checkRange("limits.callTimeoutMs", limits.callTimeoutMs, LIMIT_RANGES.callTimeoutMs);
  return { region, ring, deletionDays, limits, endpoint: endpointOf(options) };
}

function checkRange(name: string, value: number, [min, max]: readonly [number, number]): void {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw wrong(`${name} must be an integer of ${min} to ${max}`);
}

/** Partitions whose endpoints have another form are left to the operator to name. */
const OTHER_PARTITION = /^(?:us-iso|eu-iso|eusc-)/;

// Always an address of our own: without one the SDK takes it from environment or file (AWS_ENDPOINT_URL).
function endpointOf({ region, endpoint }: AwsKmsOptions): URL {
  if (endpoint !== undefined) return checkEndpoint(endpoint);
  if (OTHER_PARTITION.test(region)) throw wrong(`endpoint must be given for region ${region}`);
  const domain = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  return new URL(`https://kms.${region}.${domain}`);
}

// Digests and answers in clear on a network would let anybody on it answer in the place of KMS.
function checkEndpoint(endpoint: string): URL {
  const url = URL.parse(endpoint);
  const isLoopback = ["127.0.0.1", "[::1]", "localhost"].includes(url?.hostname ?? "");
  const isSecure = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback);
  if (!url || !isSecure || url.href !== `${url.origin}/`)
    throw wrong("endpoint must be an https origin, or http on loopback, and nothing more");
  return url;
}

function wrong(message: string) {
  return custodyError("ERR_KEY_CUSTODY", `AWS KMS: ${message}`);
}
