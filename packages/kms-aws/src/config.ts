import { MemberReader, ServiceError } from "@redoubt/base";
import { custodyError } from "./errors.ts";
import { checkOptions, type AwsKmsOptions } from "./options.ts";

export type AwsKmsConfig = Pick<
  AwsKmsOptions,
  "region" | "ring" | "endpoint" | "deletionDays" | "credentials"
>;

type JsonObject = ConstructorParameters<typeof MemberReader>[0];

/**
 * The `custody` member of a service's configuration, `kind` included (docs/guide/kms-aws.md). Secrets have no place in
 * it: credentials are those of the environment that the operator gave the process.
 *
 * @throws KeyError `ERR_KEY_CUSTODY`
 */
export function parseAwsKmsConfig(settings: JsonObject): AwsKmsConfig {
  try {
    const config = readConfig(new MemberReader(settings, "custody"));
    checkOptions(config);
    return config;
  } catch (cause) {
    if (cause instanceof ServiceError) throw custodyError("ERR_KEY_CUSTODY", cause.message);
    throw cause;
  }
}

function readConfig(from: MemberReader): AwsKmsConfig {
  from.oneOf("kind", ["aws-kms"]);
  const endpoint = from.optionalString("endpoint", 256);
  const deletionDays = from.optionalInteger("deletionDays", 7, 30);
  const config = {
    region: from.string("region", 64),
    ring: from.string("ring", 64),
    credentials: from.oneOf("credentials", ["default-chain"]),
    ...(endpoint !== undefined && { endpoint }),
    ...(deletionDays !== undefined && { deletionDays }),
  };
  from.done();
  return config;
}
