import { TPM_ALG } from "../tpm/algorithms.ts";
import { TPMA_OBJECT } from "../tpm/public-area.ts";
import { ofParameter, RC, TpmRefusal } from "./refusal.ts";
import type { AreaHead } from "./soft-key.ts";

const { fixedTPM, fixedParent, sensitiveDataOrigin, restricted, decrypt, sign } = TPMA_OBJECT;
const STORAGE_KEY = restricted | decrypt;
const ENCRYPTED_DUPLICATION = 1 << 11;
/** With stClear and x509sign, which change nothing here: there is no restart, and no command that signs certificates. */
const KNOWN =
  Object.values(TPMA_OBJECT).reduce((all, bit) => all | bit, ENCRYPTED_DUPLICATION) |
  (1 << 2) |
  (1 << 19);
/** The template is the second parameter of Create and CreatePrimary. */
const TEMPLATE = 1;

type Attributes = Pick<AreaHead, "attributes">;

function refusal(code: number): TpmRefusal {
  return new TpmRefusal(ofParameter(code, TEMPLATE));
}

/** A key that protects others, as storage and endorsement keys do (TPM 2.0 Part 1 §25). */
export function isStorageKey({ attributes }: Attributes): boolean {
  return (attributes & (STORAGE_KEY | sign)) === STORAGE_KEY;
}

/** What every object is held to (TPM 2.0 Part 1 §25), with the codes of swtpm. A primary key's parent is fixed. */
function checkHierarchy({ attributes }: Attributes, parent: Attributes): void {
  if (attributes & ~KNOWN) throw refusal(RC.reservedBits);
  const isFixed = (attributes & fixedTPM) !== 0;
  const mayBeFixed = (attributes & fixedParent) !== 0 && (parent.attributes & fixedTPM) !== 0;
  if (isFixed !== mayBeFixed) throw refusal(RC.attributes);
  if (isFixed && attributes & ENCRYPTED_DUPLICATION) throw refusal(RC.attributes);
}

interface KeyAlgorithms {
  readonly symmetric: number;
  readonly scheme: number;
}

/** Of a primary key. */
export function checkKey(key: Attributes, { symmetric, scheme }: KeyAlgorithms): void {
  checkHierarchy(key, { attributes: fixedTPM });
  const { attributes } = key;
  const [signs, decrypts] = [(attributes & sign) !== 0, (attributes & decrypt) !== 0];
  const isRestricted = (attributes & restricted) !== 0;
  if ((attributes & sensitiveDataOrigin) === 0) throw refusal(RC.attributes);
  // A restricted key has one use, or what it decrypts it could sign; every other has one at least.
  if (isRestricted ? signs === decrypts : !signs && !decrypts) throw refusal(RC.attributes);
  const hasScheme = scheme !== TPM_ALG.null;
  // Only a key that does nothing but sign has a scheme, and it must, if it is restricted.
  if (decrypts ? hasScheme : isRestricted && !hasScheme) throw refusal(RC.scheme);
  if ((symmetric !== TPM_ALG.null) !== isStorageKey(key)) throw refusal(RC.symmetric);
}

/** Of data that are sealed: they come from outside, and neither sign nor decrypt. */
export function checkSealed(object: Attributes, parent: Attributes, data: Uint8Array): void {
  checkHierarchy(object, parent);
  const { attributes } = object;
  if (data.length === 0 || attributes & (sensitiveDataOrigin | restricted))
    throw refusal(RC.attributes);
  if (attributes & (sign | decrypt)) throw refusal(RC.scheme);
}
