import { ServiceError } from "@redoubt/base";
import type { Registry } from "@redoubt/registry";
import { parseVerifierKey, SIGNATURE_TYPE, TlogError, type VerifierKey } from "@redoubt/tlog";
import { REGISTRY_LOG } from "../layout.ts";
import type { Settings } from "../settings.ts";

/** The keys by which one log's checkpoints are judged. */
export interface LogKeys {
  /** Each of them must have signed. */
  readonly required: readonly VerifierKey[];
  /** Cosigners whose signature is shown but not required: a new entry is cosigned only seconds later. */
  readonly optional: readonly VerifierKey[];
}

/** The name of a key that must have signed, and did not. */
export function missingSigner(
  { required }: Pick<LogKeys, "required">,
  verified: readonly Pick<VerifierKey, "name" | "keyId">[],
): string | undefined {
  const isMissing = ({ name, keyId }: VerifierKey): boolean =>
    !verified.some((one) => one.name === name && one.keyId === keyId);
  return required.find(isMissing)?.name;
}

/**
 * Keys that the caller named. Those of the log and all cosigners must have signed; undefined for a log with no own key.
 */
export function namedKeys(texts: readonly string[]): (origin: string) => LogKeys | undefined {
  if (texts.length === 0) return () => undefined;
  const keys = texts.map(parseKey);
  return (origin) => {
    const own = keys.filter(({ name, type }) =>
      type === SIGNATURE_TYPE.cosignature ? true : name === origin || name === `${origin}/writer`,
    );
    if (own.every(({ type }) => type === SIGNATURE_TYPE.cosignature)) return undefined;
    return { required: own, optional: [] };
  };
}

function parseKey(text: string): VerifierKey {
  try {
    return parseVerifierKey(text);
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    throw new ServiceError("ERR_OPTION", "--vkey must be a verifier key: name+id+key", { cause });
  }
}

/**
 * The keys of every log of this system: the registry's from the settings, the others from its `writer` and `broker`
 * statements. Such a log without its writer's signature counts for nothing (docs/spec/logs.md §3).
 */
export function systemKeys(
  settings: Pick<Settings, "registryKey" | "witness">,
  registry: Pick<Registry, "writers" | "brokers" | "closedLogs" | "pinnedKeys">,
): ReadonlyMap<string, LogKeys> {
  const optional = [parseVerifierKey(settings.witness)];
  const brokers = [...registry.brokers.values()].map(
    ({ log, logKey, writer }) => [log, { required: [logKey, writer], optional }] as const,
  );
  return new Map<string, LogKeys>([...tokenKeys(settings, registry), ...brokers]);
}

/**
 * As `systemKeys`, without the logs of brokers. THREAT-06: their entries have the form of a token's, and a broker that
 * was taken over could enter the digest of a forged token; what stands there proves of no token that it was issued.
 */
export function tokenKeys(
  settings: Pick<Settings, "registryKey" | "witness">,
  { writers, closedLogs, pinnedKeys }: Pick<Registry, "writers" | "closedLogs" | "pinnedKeys">,
): ReadonlyMap<string, LogKeys> {
  const optional = [parseVerifierKey(settings.witness)];
  // A closed log that a former witness cosigned last is never cosigned again, so that witness still counts for it.
  const former = pinnedKeys.flatMap(({ what, before }) =>
    what === "witness" && before !== undefined ? [parseVerifierKey(before)] : [],
  );
  const registry = { required: [parseVerifierKey(settings.registryKey)], optional };
  const issuance = [...writers.values()].map(({ log, logKey, writer }) => {
    const cosigners = closedLogs.has(log) ? [...optional, ...former] : optional;
    return [log, { required: [logKey, writer], optional: cosigners }] as const;
  });
  return new Map<string, LogKeys>([[REGISTRY_LOG, registry], ...issuance]);
}
