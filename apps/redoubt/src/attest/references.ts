import {
  joinReferenceSets,
  parsePolicy,
  type Policy,
  type ReferenceSets,
  verifyReferenceValues,
} from "@redoubt/evidence";
import { type CommandContext, fileArgument, optionError } from "../command.ts";
import { readInput } from "../input.ts";
import { readPublicKey } from "./release-key.ts";

export interface ReferenceOptions {
  readonly references?: readonly string[];
  readonly releaseKey?: readonly string[];
  readonly threshold?: number;
  readonly floor?: readonly string[];
}

const MAX_FILE_BYTES = 1_048_576;
export const MAX_POLICY_BYTES = 262_144;
const DEFAULT_THRESHOLD = 2;

/** The sets of all files that were named; each must be signed by enough release keys. */
export function readReferences(
  context: CommandContext,
  options: ReferenceOptions,
  now: number,
): ReferenceSets {
  const { references = [], releaseKey = [] } = options;
  if (references.length > 0 && releaseKey.length === 0) throw noReleaseKey();
  const { release, floors } = readRelease(context, options);
  const trust = { releaseKeys: release.keys, threshold: release.threshold, floors, now };
  return joinReferenceSets(
    references.map((name) =>
      verifyReferenceValues(readInput(fileArgument(context, name), MAX_FILE_BYTES), trust),
    ),
  );
}

/** Whose reference values count, and from which versions on. */
export function readRelease(
  context: CommandContext,
  { releaseKey = [], threshold = DEFAULT_THRESHOLD, floor = [] }: ReferenceOptions,
) {
  const keys = releaseKey.map((name) => readPublicKey(context, name));
  return { release: { keys, threshold }, floors: new Map(floor.map(parseFloor)) };
}

export function noReleaseKey(): Error {
  return optionError("Name --release-key for each key that may sign reference values");
}

/** @throws EvidenceError `ERR_EVIDENCE_POLICY` */
export function readPolicy(
  context: CommandContext,
  file: string,
  references: ReferenceSets,
): Policy {
  return parsePolicy(readPolicyFile(context, file), references);
}

export function readPolicyFile(context: CommandContext, file: string): Buffer {
  return readInput(fileArgument(context, file), MAX_POLICY_BYTES);
}

function parseFloor(text: string): readonly [string, number] {
  const [, name, version] = /^([^=]+)=(\d{1,15})$/.exec(text) ?? [];
  if (name === undefined) throw optionError("--floor is <name>=<version>");
  return [name, Number(version)];
}
