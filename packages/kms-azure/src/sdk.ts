import { KeyError } from "@redoubt/keys";

/**
 * The parts of `@azure/keyvault-keys` and `@azure/identity` that are used. Both are optional, so that their own types
 * may be missing; what they answer is read member by member, never believed.
 */
export interface KeyClient {
  createKey(name: string, keyType: string, options: object): Promise<unknown>;
  getKey(name: string, options: object): Promise<unknown>;
  updateKeyProperties(name: string, version: string, options: object): Promise<unknown>;
  beginDeleteKey(name: string, options: object): Promise<unknown>;
  listPropertiesOfKeys(options: object): PagedList;
  listPropertiesOfKeyVersions(name: string, options: object): PagedList;
}

export interface PagedList {
  byPage(): AsyncIterable<unknown>;
}

export interface CryptographyClient {
  sign(algorithm: string, digest: Uint8Array, options: object): Promise<unknown>;
}

/** What gives tokens; any credential of `@azure/identity` is one. */
export interface TokenCredential {
  getToken(
    scopes: string | string[],
    options?: object,
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>;
}

export interface KeyVaultSdk {
  readonly KeyClient: new (url: string, credential: TokenCredential, options: object) => KeyClient;
  readonly CryptographyClient: new (
    key: unknown,
    credential: TokenCredential,
    options: object,
  ) => CryptographyClient;
}

export interface IdentitySdk {
  readonly ManagedIdentityCredential: new (options: object) => TokenCredential;
  readonly WorkloadIdentityCredential: new (options: object) => TokenCredential;
}

type Resolve = (name: string) => string;
const resolveHere: Resolve = (name) => import.meta.resolve(name);

/** @throws KeyError `ERR_KEY_MODULE` that says what to install */
export async function loadKeyVaultSdk(resolve: Resolve = resolveHere): Promise<KeyVaultSdk> {
  const sdk = await load("@azure/keyvault-keys", "4.10.2", resolve);
  if (!isKeyVaultSdk(sdk)) throw notExpected("@azure/keyvault-keys");
  return sdk;
}

/** @throws KeyError `ERR_KEY_MODULE` that says what to install */
export async function loadIdentitySdk(resolve: Resolve = resolveHere): Promise<IdentitySdk> {
  const sdk = await load("@azure/identity", "4.14.1", resolve);
  if (!isIdentitySdk(sdk)) throw notExpected("@azure/identity");
  return sdk;
}

async function load(name: string, version: string, resolve: Resolve): Promise<unknown> {
  try {
    const sdk: unknown = await import(resolve(name));
    return sdk;
  } catch (cause) {
    const message = `Keys in Azure Key Vault need its SDK: npm install ${name}@${version}`;
    throw new KeyError("ERR_KEY_MODULE", message, { cause });
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isKeyVaultSdk(value: unknown): value is KeyVaultSdk {
  return (
    isRecord(value) &&
    typeof value.KeyClient === "function" &&
    typeof value.CryptographyClient === "function"
  );
}

function isIdentitySdk(value: unknown): value is IdentitySdk {
  return (
    isRecord(value) &&
    typeof value.ManagedIdentityCredential === "function" &&
    typeof value.WorkloadIdentityCredential === "function"
  );
}

function notExpected(name: string): KeyError {
  return new KeyError("ERR_KEY_MODULE", `The installed ${name} is not the expected one`);
}
