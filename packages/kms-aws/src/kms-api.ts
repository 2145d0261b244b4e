import type * as AwsSdk from "@aws-sdk/client-kms";
import type {
  CreateAliasCommandInput,
  CreateKeyCommandInput,
  KMSClient,
  KMSClientConfig,
  ListAliasesCommandInput,
  ScheduleKeyDeletionCommandInput,
  SignCommandInput,
} from "@aws-sdk/client-kms";
import { BoundedHttp, type SdkRequest } from "./bounded-http.ts";
import { custodyError } from "./errors.ts";
import { causeOf, RequestFailure } from "./failures.ts";
import type { AwsCredentials, AwsCredentialSource, CheckedOptions } from "./options.ts";

type Sdk = typeof AwsSdk;

/** What is used of KMS. Answers are `unknown`: the SDK's types are what it hopes for, not what it has checked. */
export interface KmsApi {
  createKey(input: CreateKeyCommandInput, signal: AbortSignal): Promise<unknown>;
  createAlias(input: CreateAliasCommandInput, signal: AbortSignal): Promise<unknown>;
  describeKey(keyId: string, signal: AbortSignal): Promise<unknown>;
  getPublicKey(keyId: string, signal: AbortSignal): Promise<unknown>;
  listResourceTags(keyId: string, signal: AbortSignal): Promise<unknown>;
  listAliases(input: ListAliasesCommandInput, signal: AbortSignal): Promise<unknown>;
  scheduleKeyDeletion(
    input: ScheduleKeyDeletionCommandInput,
    signal: AbortSignal,
  ): Promise<unknown>;
  disableKey(keyId: string, signal: AbortSignal): Promise<unknown>;
  sign(input: SignCommandInput, signal: AbortSignal): Promise<unknown>;
  close(): void;
}

const SDK_VERSION = "3.1164.0";

/** @throws KeyError `ERR_KEY_MODULE` */
export async function loadSdk(load = async () => import("@aws-sdk/client-kms")): Promise<Sdk> {
  try {
    return await load();
  } catch (cause) {
    const what = `@aws-sdk/client-kms@${SDK_VERSION}`;
    throw custodyError(
      "ERR_KEY_MODULE",
      `AWS KMS needs an optional package that does not load: npm install ${what}`,
      cause,
    );
  }
}

export function openKmsApi(
  sdk: Sdk,
  options: CheckedOptions,
  credentials: AwsCredentialSource,
): KmsApi {
  const transport = new BoundedHttp(options.endpoint, options.limits.maxConcurrent);
  const client = new sdk.KMSClient(clientConfig(options, credentials, transport));
  return {
    ...commands(sdk, client),
    close: () => {
      transport.close();
      client.destroy();
    },
  };
}

// Everything that the SDK would else look up in the environment and in shared files is said here.
function clientConfig(
  { region, endpoint }: CheckedOptions,
  credentials: AwsCredentialSource,
  transport: BoundedHttp,
): KMSClientConfig {
  return {
    region,
    endpoint: endpoint.origin,
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    defaultsMode: "standard",
    authSchemePreference: ["sigv4"],
    // Ours is the only retry: two of them multiply.
    maxAttempts: 1,
    retryMode: "standard",
    // THREAT-29: nobody who answers moves the clock that requests are signed by.
    disableClockSkewCorrection: true,
    userAgentAppId: async () => undefined,
    defaultUserAgentProvider: async () => [["redoubt"]],
    requestHandler: {
      handle: async (request: SdkRequest, { abortSignal }: { abortSignal: AbortSignal }) => ({
        response: await transport.send(request, abortSignal),
      }),
      updateHttpClientConfig: () => undefined,
      httpHandlerConfigs: () => ({}),
    },
    ...(credentials !== "default-chain" && { credentials: identityOf(credentials) }),
  };
}

function identityOf(source: AwsCredentials | (() => Promise<AwsCredentials>)) {
  if (typeof source !== "function") return sdkCredentials(source);
  return async () => {
    try {
      return sdkCredentials(await source());
    } catch (error) {
      throw new RequestFailure("denied", `Credentials cannot be had: ${causeOf(error).message}`);
    }
  };
}

function sdkCredentials(credentials: AwsCredentials) {
  const { accessKeyId, secretAccessKey, sessionToken, expiresAtMs } = credentials;
  return {
    accessKeyId,
    secretAccessKey: secretAccessKey.reveal(),
    ...(sessionToken && { sessionToken: sessionToken.reveal() }),
    ...(expiresAtMs !== undefined && { expiration: new Date(expiresAtMs) }),
  };
}

function commands(sdk: Sdk, client: KMSClient): Omit<KmsApi, "close"> {
  return {
    createKey: async (input, abortSignal) =>
      client.send(new sdk.CreateKeyCommand(input), { abortSignal }),
    createAlias: async (input, abortSignal) =>
      client.send(new sdk.CreateAliasCommand(input), { abortSignal }),
    describeKey: async (KeyId, abortSignal) =>
      client.send(new sdk.DescribeKeyCommand({ KeyId }), { abortSignal }),
    getPublicKey: async (KeyId, abortSignal) =>
      client.send(new sdk.GetPublicKeyCommand({ KeyId }), { abortSignal }),
    listResourceTags: async (KeyId, abortSignal) =>
      client.send(new sdk.ListResourceTagsCommand({ KeyId }), { abortSignal }),
    listAliases: async (input, abortSignal) =>
      client.send(new sdk.ListAliasesCommand(input), { abortSignal }),
    scheduleKeyDeletion: async (input, abortSignal) =>
      client.send(new sdk.ScheduleKeyDeletionCommand(input), { abortSignal }),
    disableKey: async (KeyId, abortSignal) =>
      client.send(new sdk.DisableKeyCommand({ KeyId }), { abortSignal }),
    sign: async (input, abortSignal) => client.send(new sdk.SignCommand(input), { abortSignal }),
  };
}
