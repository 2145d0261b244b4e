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
const MAX_POLICY_BYTES = 262_144;
const DEFAULT_THRESHOLD = 2;

/** The sets of all files that were named; each must be signed by enough release keys. */
export function readReferences(
  context: CommandContext,
  { references = [], releaseKey = [], threshold = DEFAULT_THRESHOLD, floor = [] }: ReferenceOptions,
  now: number,
): ReferenceSets {
  if (references.length > 0 && releaseKey.length === 0)
    throw optionError("Name --release-key for each key that may sign reference values");
  const releaseKeys = releaseKey.map((name) => readPublicKey(context, name));
  const trust = { releaseKeys, threshold, floors: new Map(floor.map(parseFloor)), now };
  return joinReferenceSets(
    references.map((name) =>
      verifyReferenceValues(readInput(fileArgument(context, name), MAX_FILE_BYTES), trust),
    ),
  );
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

export function parseFloor(text: string): readonly [string, number] {
  const [, name, version] = /^([^=]+)=(\d{1,15})$/.exec(text) ?? [];
  if (name === undefined) throw optionError("--floor is <name>=<version>");
  return [name, Number(version)];
}
