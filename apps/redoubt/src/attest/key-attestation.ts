import { existsSync } from "node:fs";
import { join } from "node:path";
import { readPrivateFile, ServiceError } from "@redoubt/base";
import { parseConfig as parseBrokerConfig } from "@redoubt/broker";
import type { AttestationTrust } from "@redoubt/lease/attestation";
import type { Registry } from "@redoubt/registry";
import { parseVerifierKey } from "@redoubt/tlog";
import { type CommandContext, fileArgument, optionError } from "../command.ts";
import { readInput } from "../input.ts";
import { withOperator } from "../operator.ts";
import { readConfig } from "../recover/service-config.ts";
import { parseEnrolled } from "./enrolled.ts";
import {
  MAX_POLICY_BYTES,
  noReleaseKey,
  readPolicyFile,
  readRelease,
  type ReferenceOptions,
} from "./references.ts";

export interface KeyOptions extends ReferenceOptions {
  /** The attestation, of a system that is another's; then the rest is named, too. */
  readonly document?: string;
  readonly realm?: string;
  readonly log?: string;
  readonly writer?: string;
  readonly policy?: string;
  readonly enrolled?: readonly string[];
  readonly minEvaluation?: number;
}

/** What is known of a key's attestation, and what it is held to. */
export interface KeyQuestion {
  readonly document: Buffer;
  readonly realm: string;
  readonly trust: AttestationTrust;
}

const KID = /^[A-Za-z0-9_-]{43}$/;
const MAX_DOCUMENT_BYTES = 4_194_304;

/** Whether an argument names a key, and no file. */
export function isKid(context: CommandContext, name: string): boolean {
  return KID.test(name) && !existsSync(fileArgument(context, name));
}

/** @throws ServiceError `ERR_ATTEST_KEY` where this system has no attestation of the key */
export function readKeyQuestion(
  context: CommandContext,
  kid: string,
  options: KeyOptions,
): Promise<KeyQuestion> {
  if (options.document === undefined) return fromSystem(context, kid, options);
  return Promise.resolve(fromFile(context, options));
}

/** The attestation alone, unverified. */
export async function readKeyDocument(
  context: CommandContext,
  kid: string,
  document: string | undefined,
): Promise<Buffer> {
  if (document !== undefined) return readInput(fileArgument(context, document), MAX_DOCUMENT_BYTES);
  return await withOperator(context, ({ folder }) => Promise.resolve(published(folder, kid)));
}

/** Everything is named by whoever asks: nothing is taken from those whose key it is. */
function fromFile(context: CommandContext, options: KeyOptions): KeyQuestion {
  const { document = "", realm, log, writer, policy, releaseKey, minEvaluation } = options;
  if (realm === undefined || log === undefined || writer === undefined || policy === undefined)
    throw optionError("With --document, name --realm, --log, --writer, --policy and --release-key");
  if (releaseKey === undefined) throw noReleaseKey();
  const logKey = parseVerifierKey(log);
  return {
    document: readInput(fileArgument(context, document), MAX_DOCUMENT_BYTES),
    realm,
    trust: {
      log: { origin: logKey.name, logKey, writerKey: parseVerifierKey(writer) },
      policy: readPolicyFile(context, policy),
      ...readRelease(context, options),
      enrolledKeys: new Map((options.enrolled ?? []).map(parseEnrolled)),
      ...(minEvaluation !== undefined && { minEvaluation }),
    },
  };
}

/** As this system's own broker holds its signers to it; a policy that is named takes the place of the broker's. */
async function fromSystem(
  context: CommandContext,
  kid: string,
  { policy }: KeyOptions,
): Promise<KeyQuestion> {
  const named = policy === undefined ? undefined : readPolicyFile(context, policy);
  return await withOperator(context, async (operator) => {
    const { folder } = operator;
    const { realm, log } = placeOf(await operator.readRegistry(), kid);
    const { release, enrolled, realms } = parseBrokerConfig(readConfig(folder, "broker"));
    const signers = realms.filter((one) => one.realm === realm).map(({ signer }) => signer);
    const known = enrolled.filter(({ signer }) => signers.includes(signer));
    return {
      document: published(folder, kid),
      realm,
      trust: {
        log,
        policy:
          named ??
          readPrivateFile(join(folder, "broker", "policies", `${realm}.json`), MAX_POLICY_BYTES),
        release,
        enrolledKeys: new Map(known.map(({ akName, platform }) => [akName, platform])),
      },
    };
  });
}

/** What the registry says of a key: its realm, and the log of the broker that grants leases for that. */
function placeOf(registry: Registry, kid: string) {
  const realm = registry.keys.get(kid)?.realm;
  if (realm === undefined) throw noAttestation(kid, "The registry has no such key");
  const broker = registry.grantingBrokers.find(({ realms }) => realms.includes(realm));
  if (broker === undefined)
    throw noAttestation(kid, `Keys of ${realm} need no lease here: redoubt leases enable`);
  const { log: origin, logKey, writer: writerKey } = broker;
  return { realm, log: { origin, logKey, writerKey } };
}

function published(folder: string, kid: string): Buffer {
  const path = join(folder, "publisher", "www", ".well-known", "attestation", `${kid}.json`);
  if (!existsSync(path))
    throw noAttestation(kid, "Nothing is published beside it: no lease named it yet");
  return readInput(path, MAX_DOCUMENT_BYTES);
}

function noAttestation(kid: string, why: string): ServiceError {
  return new ServiceError("ERR_ATTEST_KEY", `No attestation of key ${kid}. ${why}`);
}
