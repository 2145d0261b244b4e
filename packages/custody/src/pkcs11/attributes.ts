import type { SignatureAlgorithm } from "@redoubt/keys";
import { TOKEN_ALGORITHMS } from "./algorithms.ts";
import { CKA, type Handle } from "./cryptoki.ts";
import { readAttribute, type AttributeSource } from "./objects.ts";

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(CKA).map(([name, type]) => [type, `CKA_${name}`]),
);

/** P5: made in the token, never readable outside it, not now and not before. */
const REQUIRED = [
  CKA.TOKEN,
  CKA.PRIVATE,
  CKA.SENSITIVE,
  CKA.ALWAYS_SENSITIVE,
  CKA.NEVER_EXTRACTABLE,
  CKA.LOCAL,
  CKA.SIGN,
] as const;

/**
 * What is wrong with a private key that the token holds; undefined where nothing is. The token's word is believed: a key
 * that somebody imported has other attributes than one that the token made.
 */
export function attributeProblem(
  cryptoki: AttributeSource,
  session: Handle,
  key: Handle,
  alg: SignatureAlgorithm,
): string | undefined {
  const isTrue = (type: number): boolean | undefined => {
    const value = readAttribute(cryptoki, session, key, type);
    return value?.length === 1 ? value[0] !== 0 : undefined;
  };
  for (const type of REQUIRED) if (isTrue(type) !== true) return `${NAMES.get(type)} is not true`;
  if (isTrue(CKA.EXTRACTABLE) !== false) return "CKA_EXTRACTABLE is not false";
  // Absent where the kind of key cannot do it at all.
  for (const type of TOKEN_ALGORITHMS[alg].denied)
    if (isTrue(type) === true) return `${NAMES.get(type)} is true`;
  return undefined;
}
