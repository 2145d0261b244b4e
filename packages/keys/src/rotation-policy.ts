import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { DAY_SECONDS, formatDuration } from "./duration.ts";
import { KeyError } from "./errors.ts";
import { PolicyReader } from "./policy-reader.ts";
import { readRotationDocument, type RotationDocument } from "./rotation-document.ts";

/** Which keys a policy is for. */
export interface RotationSubject {
  /** `one`: each key is for a single tenant that is one customer; `many`: anything else, the consumer realm too. */
  readonly tenants: "one" | "many";
  readonly maxLifetimeSeconds: number;
}

/** A ring's policy, every duration decided. Ages count from a key's first activation. */
export interface RotationPolicy {
  /** How long a key is published before it may sign; at least max(2 × longest metadata cache, 2 h), the default. */
  readonly prepublishSeconds: number;
  /** How long one key signs; without a ready successor it signs on until `expirySeconds`. */
  readonly activeSeconds: number;
  /** How long a key is published after it signed last; at least the longest token and 60 s, by default that and 1 h. */
  readonly verifyOnlySeconds: number;
  /** The age at which a key stops signing, whether or not another can follow. */
  readonly expirySeconds: number;
  /** How many pre-published keys stand by. */
  readonly standby: number;
  /** Percent of `expirySeconds` from which the age is an alarm. */
  readonly alarmAtPercent: number;
  /** The age at which Notify tells; null without one. */
  readonly notifySeconds: number | null;
  /** Risks that the document asks for; to be shown wherever the deployment is described. */
  readonly labels: readonly string[];
  /** Where a document means something else here than in Azure, as sentences for its author. */
  readonly notes: readonly string[];
}

const HOUR = 3600;
/** NIST IR 8587: signing keys of many tenants change within 14 days, those of one within 90. */
const NIST_IR8587_SECONDS = { many: 14 * DAY_SECONDS, one: 90 * DAY_SECONDS } as const;
const DEFAULT_ACTIVE_SECONDS = { many: 7 * DAY_SECONDS, one: 30 * DAY_SECONDS } as const;
/** Azure Key Vault: a version lives 28 days at least, and rotation keeps 7 days from either end of it. */
const AZURE_MIN_EXPIRY = 28 * DAY_SECONDS;
const AZURE_MIN_ROTATION = 7 * DAY_SECONDS;
const MIN_ACTIVE = HOUR;
/** ARCHITECTURE §3.3: pre-published for twice the longest metadata cache, two hours at least. */
const MIN_PREPUBLISH = 2 * HOUR;
/** A timestamp lives for one hour, and verifiers work on for the signed grace of two. */
const DEFAULT_METADATA_CACHE = 3 * HOUR;
/** How far a verifier's clock may be off. A key is published at least this much longer than its tokens live. */
export const SKEW_SECONDS = 60;
const DEFAULT_ALARM_PERCENT = 80;
const MAX_POLICY_BYTES = 16 * 1024;

/**
 * Reads an Azure Key Vault rotation policy as it stands, and what `redoubt` in it adds. A key's life as Azure sees
 * it begins when the key becomes the current one, which is its activation here.
 *
 * @throws KeyError `ERR_ROTATION_POLICY` that names every problem
 * @example
 * parseRotationPolicy(
 *   { lifetimeActions: [{ trigger: { timeAfterCreate: "P10D" }, action: { type: "Rotate" } }] },
 *   { tenants: "many", maxLifetimeSeconds: 3600 },
 * ).activeSeconds; // 864000
 */
export function parseRotationPolicy(
  json: JsonObject | Uint8Array,
  subject: RotationSubject,
): RotationPolicy {
  const read = new PolicyReader();
  const document = readRotationDocument(
    read,
    json instanceof Uint8Array ? parsePolicyJson(json) : json,
  );
  checkAzureRules(read, document);
  const policy = derive(read, document, subject);
  checkPolicy(read, policy, document, subject);
  read.done();
  return policy;
}

/** 7 days for keys of many tenants, 30 for those of one. */
export function defaultRotationPolicy(subject: RotationSubject): RotationPolicy {
  return parseRotationPolicy({}, subject);
}

function parsePolicyJson(bytes: Uint8Array): JsonObject {
  try {
    return parseJsonObject(bytes, { maxBytes: MAX_POLICY_BYTES, maxDepth: 6 });
  } catch (cause) {
    throw new KeyError("ERR_ROTATION_POLICY", "Rotation policy: not a strict JSON object", {
      cause,
    });
  }
}

/** What Azure would refuse, except where the extension names shorter durations aloud. */
function checkAzureRules(read: PolicyReader, document: RotationDocument): void {
  const { rotate, notifyBeforeExpiry: notify, expiry, extension } = document;
  const [minExpiry, minRotation] = extension.shortDurations
    ? [2 * MIN_ACTIVE, 1]
    : [AZURE_MIN_EXPIRY, AZURE_MIN_ROTATION];
  const hint = extension.shortDurations ? "" : " (redoubt.shortDurations allows less)";
  const least = formatDuration(minRotation);
  if (expiry !== undefined && expiry < minExpiry)
    read.add(`attributes.expiryTime must be ${formatDuration(minExpiry)} at least${hint}`);
  if (rotate && "beforeExpiry" in rotate && expiry === undefined)
    read.add("Rotate: timeBeforeExpiry needs attributes.expiryTime");
  if (rotate && !("beforeExpiry" in rotate && expiry === undefined)) {
    const after =
      "afterCreate" in rotate ? rotate.afterCreate : (expiry ?? 0) - rotate.beforeExpiry;
    if (after < minRotation) read.add(`Rotate must come ${least} after creation at least${hint}`);
    if (expiry !== undefined && expiry - after < minRotation)
      read.add(`Rotate must come ${least} before expiryTime at least${hint}`);
  }
  if (notify !== undefined && expiry !== undefined && notify >= expiry)
    read.add("Notify: timeBeforeExpiry must be less than attributes.expiryTime");
}

function derive(
  read: PolicyReader,
  { rotate, notifyBeforeExpiry, expiry, extension }: RotationDocument,
  { tenants, maxLifetimeSeconds }: RotationSubject,
): RotationPolicy {
  const bound = NIST_IR8587_SECONDS[tenants];
  const activeSeconds = activeOf(rotate, expiry) ?? DEFAULT_ACTIVE_SECONDS[tenants];
  const wanted = expiry ?? 2 * activeSeconds;
  const expirySeconds = extension.unsafeLongLived ? wanted : Math.min(wanted, bound);
  const alarmAtPercent = extension.alarmAtPercent ?? DEFAULT_ALARM_PERCENT;
  const cache = extension.metadataCache ?? DEFAULT_METADATA_CACHE;
  const notes: string[] = [];
  if (!rotate) notes.push(`No Rotate: rotates after ${formatDuration(activeSeconds)} (P6)`);
  if (expiry !== undefined && expirySeconds < expiry)
    notes.push(
      `expiryTime ${formatDuration(expiry)}: signing ends after ${formatDuration(bound)} (NIST IR 8587)`,
    );
  const notifySeconds = notifyAge(notifyBeforeExpiry, expirySeconds, alarmAtPercent, notes);
  const isLong = activeSeconds > bound || expirySeconds > bound;
  const least = Math.max(2 * cache, MIN_PREPUBLISH);
  const prepublishSeconds = extension.prepublish ?? least;
  if (prepublishSeconds < least)
    read.add(
      `redoubt.prepublish must be ${formatDuration(least)} at least, twice the longest cache`,
    );
  return {
    activeSeconds,
    expirySeconds,
    prepublishSeconds,
    verifyOnlySeconds: extension.verifyOnly ?? maxLifetimeSeconds + HOUR,
    standby: extension.standby ?? 1,
    alarmAtPercent,
    notifySeconds,
    labels: isLong
      ? [
          `unsafe: keys sign for up to ${formatDuration(expirySeconds)} (NIST IR 8587: ${formatDuration(bound)})`,
        ]
      : [],
    notes,
  };
}

function activeOf(
  rotate: RotationDocument["rotate"],
  expiry: number | undefined,
): number | undefined {
  if (!rotate) return undefined;
  if ("afterCreate" in rotate) return rotate.afterCreate;
  const age = (expiry ?? 0) - rotate.beforeExpiry;
  return age > 0 ? age : undefined;
}

/** Counted from the age at which signing ends here; where that leaves no time, with the age alarm. */
function notifyAge(
  before: number | undefined,
  expirySeconds: number,
  alarmAtPercent: number,
  notes: string[],
): number | null {
  if (before === undefined) return null;
  if (before < expirySeconds) return expirySeconds - before;
  notes.push(
    `Notify ${formatDuration(before)} before expiry: told at ${alarmAtPercent} % of the age`,
  );
  return Math.floor((expirySeconds * alarmAtPercent) / 100);
}

function checkPolicy(
  read: PolicyReader,
  policy: RotationPolicy,
  { extension }: RotationDocument,
  { tenants, maxLifetimeSeconds }: RotationSubject,
): void {
  const { activeSeconds, expirySeconds, prepublishSeconds, verifyOnlySeconds } = policy;
  const bound = NIST_IR8587_SECONDS[tenants];
  const active = formatDuration(activeSeconds);
  if (activeSeconds < MIN_ACTIVE) read.add(`Rotate after ${active}: must be PT1H at least`);
  if (activeSeconds > bound && !extension.unsafeLongLived) {
    read.add(
      `Rotate after ${active}: keys of ${tenants} must rotate within ${formatDuration(bound)} (NIST IR 8587; redoubt.unsafeLongLived)`,
    );
    return;
  }
  // P6: a rotation that is due only when the alarm rings or signing ends has no time to go wrong in.
  const alarmAt = Math.floor((expirySeconds * policy.alarmAtPercent) / 100);
  if (activeSeconds >= alarmAt)
    read.add(
      `Rotate after ${active} must come before the age alarm at ${formatDuration(alarmAt)} of ${formatDuration(expirySeconds)}`,
    );
  if (prepublishSeconds >= activeSeconds)
    read.add(
      `redoubt.prepublish ${formatDuration(prepublishSeconds)} must be less than Rotate after ${active}: a standby would never be ready in time`,
    );
  // P6: a key stays published until the last token that it signed has ended everywhere.
  if (verifyOnlySeconds < maxLifetimeSeconds + SKEW_SECONDS)
    read.add(
      `redoubt.verifyOnly must be ${formatDuration(maxLifetimeSeconds + SKEW_SECONDS)} at least: the longest token and ${SKEW_SECONDS} s`,
    );
}
