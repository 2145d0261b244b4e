import { Unreachable } from "./failure.ts";
import { loadIdentitySdk, type TokenCredential } from "./sdk.ts";
import type { AzureIdentity } from "./settings.ts";

/** Exactly the identity that was named: never a search through environment, files and command-line tools. */
export async function openCredential(identity: AzureIdentity): Promise<TokenCredential> {
  const sdk = await loadIdentitySdk();
  const { kind, ...options } = identity;
  switch (kind) {
    case "managed-identity":
      return new sdk.ManagedIdentityCredential(options);
    case "workload-identity":
      return new sdk.WorkloadIdentityCredential(options);
  }
}

/** Whoever gives out tokens is away, or has none for us: only the first passes, and nobody says which it is. */
export function retryableCredential(credential: TokenCredential): TokenCredential {
  return {
    getToken: async (scopes, options) => {
      try {
        return await credential.getToken(scopes, options);
      } catch (cause) {
        throw new Unreachable("No token for Key Vault", { cause });
      }
    },
  };
}
