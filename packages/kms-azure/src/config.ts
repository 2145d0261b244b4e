import type { MemberReader } from "@redoubt/base";
import {
  optional,
  readLimits,
  readSettings,
  readUnsafe,
  type JsonObject,
} from "@redoubt/custody/cloud-settings";
import { checkSettings, type AzureIdentity, type AzureKeyVaultSettings } from "./settings.ts";

const UUID = /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;
const MAX_PATH = 4096;
const MAX_ROOTS = 65_536;

/**
 * The `custody` member of a service's configuration, `kind` included (docs/guide/kms-azure.md). Secrets have no place
 * in it.
 *
 * @throws KeyError `ERR_KEY_CUSTODY`
 */
export function parseAzureKeyVaultConfig(settings: JsonObject): AzureKeyVaultSettings {
  const found = readSettings(settings, (from) => {
    from.oneOf("kind", ["azure-keyvault"]);
    return {
      vaultUrl: from.string("vaultUrl", 256),
      ring: from.string("ring", 64),
      identity: readIdentity(from.object("identity")),
      ...optional("unsafeSoftwareKeys", readUnsafe(from)),
      ...optional("roots", from.optionalString("roots", MAX_ROOTS)),
      ...optional("limits", readLimits(from)),
    };
  });
  checkSettings(found);
  return found;
}

function readIdentity(from: MemberReader): AzureIdentity {
  const kind = from.oneOf("kind", ["managed-identity", "workload-identity"]);
  const identity =
    kind === "managed-identity"
      ? { kind, ...optional("clientId", from.optionalString("clientId", 36, UUID)) }
      : {
          kind,
          tenantId: from.string("tenantId", 36, UUID),
          clientId: from.string("clientId", 36, UUID),
          tokenFilePath: from.string("tokenFilePath", MAX_PATH),
        };
  from.done();
  return identity;
}
