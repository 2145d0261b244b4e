import { readdirSync } from "node:fs";
import { join } from "node:path";
import { errorLine, readPrivateFile, ServiceError } from "@redoubt/base";
import {
  joinReferenceSets,
  parsePolicy,
  type Policy,
  type ReferenceValues,
  verifyReferenceValues,
} from "@redoubt/evidence";
import { MAX_EXPECTED_BYTES, MAX_REFERENCES } from "@redoubt/lease/attestation";
import type { KeyObject } from "node:crypto";

export interface Release {
  readonly keys: readonly KeyObject[];
  readonly threshold: number;
}

export interface Expected {
  readonly policy: Policy;
  readonly policyFile: Buffer;
  /** The signed files, as they were read. */
  readonly referenceFiles: readonly Buffer[];
  /** Versions of the reference values, by name. */
  readonly versions: ReadonlyMap<string, number>;
}

/**
 * Reads what is expected of a realm's signer, each time anew: an operator adds a release by adding a file. Every file
 * below `references/` counts only with enough release keys' signatures, before its end, and not below its floor.
 *
 * @param floors lowest version by name
 * @throws ServiceError `ERR_BROKER_POLICY`: what cannot be read guards nothing, so nobody passes
 */
export function readExpected(
  folder: string,
  realm: string,
  { keys, threshold }: Release,
  floors: ReadonlyMap<string, number>,
  now: number,
): Expected {
  try {
    const trust = { releaseKeys: keys, threshold, floors, now };
    const files = referencePaths(folder).map((path) => readPrivateFile(path, MAX_EXPECTED_BYTES));
    const all = files.map((file) => verifyReferenceValues(file, trust));
    const policyFile = readPrivateFile(
      join(folder, "policies", `${realm}.json`),
      MAX_EXPECTED_BYTES,
    );
    // Each grant keeps them in the log.
    const total = [policyFile, ...files].reduce((sum, { length }) => sum + length, 0);
    if (total > MAX_EXPECTED_BYTES)
      throw new RangeError(`Policy and reference values: more than ${MAX_EXPECTED_BYTES} bytes`);
    return {
      policy: parsePolicy(policyFile, joinReferenceSets(all)),
      policyFile,
      referenceFiles: files,
      versions: versionsOf(all),
    };
  } catch (cause) {
    throw new ServiceError("ERR_BROKER_POLICY", `Policy of ${realm}: ${errorLine(cause)}`, {
      cause,
    });
  }
}

function referencePaths(folder: string): readonly string[] {
  const names = readdirSync(join(folder, "references")).filter((name) => name.endsWith(".json"));
  if (names.length > MAX_REFERENCES)
    throw new RangeError(`More than ${MAX_REFERENCES} reference files`);
  return names.toSorted().map((name) => join(folder, "references", name));
}

/** The lowest of a name: a floor never rises above what is still taken. */
function versionsOf(all: readonly ReferenceValues[]): ReadonlyMap<string, number> {
  const versions = new Map<string, number>();
  for (const { name, version } of all)
    versions.set(name, Math.min(version, versions.get(name) ?? Infinity));
  return versions;
}
