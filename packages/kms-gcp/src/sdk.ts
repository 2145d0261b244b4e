import { createRequire } from "node:module";
import { KeyError } from "@redoubt/keys";

/**
 * The part of `@google-cloud/kms` and of the gRPC library under it that is used. The SDK is optional, so that its
 * own types may be missing; what it answers is read member by member, never believed.
 */
export type KmsMethod =
  | "createCryptoKey"
  | "getCryptoKey"
  | "getCryptoKeyVersion"
  | "getPublicKey"
  | "asymmetricSign"
  | "destroyCryptoKeyVersion"
  | "listCryptoKeys"
  | "listCryptoKeyVersions";

export type KmsClient = Readonly<
  Record<KmsMethod, (request: object, options: object) => Promise<unknown>>
> & { initialize(): Promise<{ close(): void }> };

/** What gives the headers that name the caller; any client of `google-auth-library` is one. */
export interface AuthClient {
  getRequestHeaders(url?: string): Promise<Headers>;
}

interface Gax {
  readonly grpc: {
    readonly credentials: {
      createSsl(roots?: Buffer): unknown;
      createInsecure(): unknown;
      createFromGoogleCredential(client: object): unknown;
      combineChannelCredentials(channel: unknown, call: unknown): unknown;
    };
  };
  readonly GoogleAuth: new (options: object) => { getClient(): Promise<AuthClient> };
}

export interface GoogleSdk {
  readonly KeyManagementServiceClient: new (options: object) => KmsClient;
  readonly gax: Gax;
}

/** @throws KeyError `ERR_KEY_MODULE` that says what to install */
export async function loadGoogleSdk(
  resolve: (name: string) => string = (name) => import.meta.resolve(name),
): Promise<GoogleSdk> {
  const { kms, gax } = await importSdk(locateSdk(resolve));
  if (!isKms(kms) || !isGax(gax))
    throw new KeyError("ERR_KEY_MODULE", "The installed @google-cloud/kms is not the expected one");
  return { KeyManagementServiceClient: kms.KeyManagementServiceClient, gax };
}

async function importSdk(url: string): Promise<{ kms: unknown; gax: unknown }> {
  try {
    const kms: unknown = await import(url);
    // The gRPC library of the SDK itself: credentials made by another copy of it would not be known to it.
    return { kms, gax: createRequire(url)("google-gax") };
  } catch (cause) {
    throw new KeyError("ERR_KEY_MODULE", "The installed @google-cloud/kms does not load", {
      cause,
    });
  }
}

function locateSdk(resolve: (name: string) => string): string {
  try {
    return resolve("@google-cloud/kms");
  } catch (cause) {
    throw new KeyError(
      "ERR_KEY_MODULE",
      "Keys in Google Cloud KMS need its SDK: npm install @google-cloud/kms@6.3.0",
      { cause },
    );
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isKms(value: unknown): value is Pick<GoogleSdk, "KeyManagementServiceClient"> {
  return isRecord(value) && typeof value.KeyManagementServiceClient === "function";
}

function isGax(value: unknown): value is Gax {
  return (
    isRecord(value) &&
    typeof value.GoogleAuth === "function" &&
    isRecord(value.grpc) &&
    isRecord(value.grpc.credentials)
  );
}
