import {
  optional,
  readLimits,
  readSettings,
  readUnsafe,
  type JsonObject,
} from "@redoubt/custody/cloud-settings";
import { checkSettings, type GoogleKmsSettings } from "./settings.ts";

const MAX_ROOTS = 65_536;

/**
 * The `custody` member of a service's configuration, `kind` included (docs/guide/kms-gcp.md). Secrets have no place in
 * it: credentials are those of the machine, or of the environment that the operator gave the process.
 *
 * @throws KeyError `ERR_KEY_CUSTODY`
 */
export function parseGoogleKmsConfig(settings: JsonObject): GoogleKmsSettings {
  const found = readSettings(settings, (from) => {
    from.oneOf("kind", ["google-kms"]);
    return {
      keyRing: from.string("keyRing", 300),
      ring: from.string("ring", 64),
      ...optional("unsafeSoftwareKeys", readUnsafe(from)),
      ...optional("endpoint", from.optionalString("endpoint", 300)),
      ...optional("roots", from.optionalString("roots", MAX_ROOTS)),
      ...optional("unsafeLoopbackPort", from.optionalInteger("unsafeLoopbackPort", 1, 65_535)),
      ...optional("limits", readLimits(from)),
    };
  });
  checkSettings(found);
  return found;
}
