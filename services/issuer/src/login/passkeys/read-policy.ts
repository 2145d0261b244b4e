import { configError, UUID, type MemberReader } from "@redoubt/base";
import { decodePemChain, parseCertificate, type Certificate } from "@redoubt/evidence";
import type { PasskeyPolicy } from "./policy.ts";

const MAX_AAGUIDS = 1000;
const MAX_ROOTS = 100;
const MAX_PEM_CHARACTERS = 65_536;
const MAX_CERTIFICATES = 8;

/**
 * Reads the policy from configuration. Every member is required: each is a security decision, and `null` says aloud
 * that all models will do.
 *
 * @throws ServiceError `ERR_REQUEST_MEMBER`, `ERR_CONFIG`
 * @example
 * config.attempt((from) => readPasskeyPolicy(from.object("passkeys")));
 */
export function readPasskeyPolicy(from: MemberReader): PasskeyPolicy {
  const policy: PasskeyPolicy = {
    attestation: from.oneOf("attestation", ["none", "required"]),
    synced: from.oneOf("synced", ["allowed", "refused"]),
    allowAaguids: from.isNull("allowAaguids") ? null : readAaguids(from, "allowAaguids"),
    denyAaguids: readAaguids(from, "denyAaguids"),
    roots: readRoots(from),
  };
  from.done();
  const { allowAaguids, denyAaguids, attestation } = policy;
  // Browsers hide the model unless attestation is asked for: nobody could register.
  if (allowAaguids !== null && attestation === "none")
    throw configError("passkeys: allowAaguids needs attestation required");
  if (allowAaguids?.some((aaguid) => denyAaguids.includes(aaguid)) === true)
    throw configError("passkeys: a model is both in allowAaguids and in denyAaguids");
  return policy;
}

function readAaguids(from: MemberReader, name: string): readonly string[] {
  const list = from.strings(name, MAX_AAGUIDS, 36);
  if (!list.every((item) => UUID.test(item) && /[1-9a-f]/.test(item)))
    throw configError(`passkeys: ${name} must hold AAGUIDs in lower case, none of them zero`);
  return list;
}

function readRoots(from: MemberReader): PasskeyPolicy["roots"] {
  const roots = new Map<string, readonly Certificate[]>();
  for (const each of from.objects("roots", MAX_ROOTS)) {
    const aaguid = each.string("aaguid", 36, UUID);
    if (roots.has(aaguid)) throw configError("passkeys: roots names a model twice");
    roots.set(aaguid, readCertificates(each.string("certificates", MAX_PEM_CHARACTERS)));
    each.done();
  }
  return roots;
}

/** @throws ServiceError `ERR_CONFIG` */
export function readCertificates(pem: string): readonly Certificate[] {
  try {
    const options = { maxCertificates: MAX_CERTIFICATES, what: "root" };
    return decodePemChain(pem, options).map((der) => parseCertificate(der, "root"));
  } catch (cause) {
    throw configError("passkeys: roots certificates must be PEM", { cause });
  }
}
