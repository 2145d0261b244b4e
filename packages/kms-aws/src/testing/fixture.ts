import { describe, it } from "node:test";
import { Secret } from "@redoubt/base";
import type { Custodian } from "@redoubt/custody";
import { openAwsKmsCustodian } from "../custodian.ts";
import { loadSdk } from "../kms-api.ts";
import type { AwsKmsOptions } from "../options.ts";
import { TEST_ACCESS_KEY_ID, TEST_SECRET, type Fault, type KmsServer } from "./kms-server.ts";

/** Why what needs the SDK is skipped, or `false`. */
export const sdkAbsent: string | false = await loadSdk().then(
  () => false,
  () => "optional package @aws-sdk/client-kms is not installed",
);

/** Counted as one skipped test where the SDK is absent: a skipped suite is counted as nothing. */
export function describeKms(name: string, tests: () => void): void {
  if (sdkAbsent === false) describe(name, tests);
  else it(name, { skip: sdkAbsent }, () => undefined);
}

export const TEST_CREDENTIALS = {
  accessKeyId: TEST_ACCESS_KEY_ID,
  secretAccessKey: new Secret(TEST_SECRET),
};

/** A custodian of the fake; its pauses take no time. */
export async function openTestCustodian(
  server: KmsServer,
  options: Partial<AwsKmsOptions> = {},
): Promise<Custodian> {
  return openAwsKmsCustodian({
    region: "eu-central-1",
    ring: "consumer",
    endpoint: server.endpoint,
    credentials: TEST_CREDENTIALS,
    pause: async () => undefined,
    ...options,
  });
}

/** The fault for so many requests of one operation, from the next on. */
export function failing(operation: string, fault: Fault, times = Infinity): KmsServer["fault"] {
  let left = times;
  return (asked) => {
    if (asked !== operation || left === 0) return undefined;
    left -= 1;
    return fault;
  };
}

/** The answer to one operation with other members. */
export function answering(
  operation: string,
  members: Readonly<Record<string, unknown>>,
): KmsServer["fault"] {
  return failing(operation, { change: (answer) => ({ ...answer, ...members }) });
}

/** The metadata in the answer to one operation with other members. */
export function describing(
  operation: string,
  members: Readonly<Record<string, unknown>>,
): KmsServer["fault"] {
  const change = ({ KeyMetadata: metadata }: Readonly<Record<string, unknown>>) => ({
    KeyMetadata: { ...(typeof metadata === "object" && metadata), ...members },
  });
  return failing(operation, { change });
}
