import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from "@redoubt/keys";
import { KeyError } from "@redoubt/keys";
import { TOKEN_ALGORITHMS } from "./algorithms.ts";
import {
  CKA,
  CKO_PRIVATE_KEY,
  CKO_PUBLIC_KEY,
  returnValue,
  type Attribute,
  type Cryptoki,
  type Handle,
} from "./cryptoki.ts";

/** The handles of both halves of one key of ours. */
export interface KeyObjects {
  readonly alg: SignatureAlgorithm;
  readonly publicKey: Handle;
  readonly privateKey: Handle;
}

const ID_BYTES = 16;
/** Far more keys than a ring has in its whole life. */
const MAX_OBJECTS = 4096;
const FIND_AT_ONCE = 256;

/** Says which algorithm a key is for: RS256 and PS256 keys are alike in every other attribute. */
export function labelOf(alg: SignatureAlgorithm): string {
  return `redoubt/${alg}`;
}

export function templates(
  alg: SignatureAlgorithm,
  id: Buffer,
): { publicKey: Attribute[]; privateKey: Attribute[] } {
  const named = [
    { type: CKA.TOKEN, value: true },
    { type: CKA.LABEL, value: labelOf(alg) },
    { type: CKA.ID, value: id },
    // Name and label stay what they are: they say which algorithm the key is for (P1).
    { type: CKA.MODIFIABLE, value: false },
  ];
  const { domain, denied } = TOKEN_ALGORITHMS[alg];
  return {
    publicKey: [
      ...named,
      { type: CKA.PRIVATE, value: false },
      { type: CKA.VERIFY, value: true },
      ...domain,
    ],
    privateKey: [
      ...named,
      { type: CKA.PRIVATE, value: true },
      { type: CKA.SENSITIVE, value: true },
      { type: CKA.EXTRACTABLE, value: false },
      { type: CKA.SIGN, value: true },
      ...denied.map((type) => ({ type, value: false })),
    ],
  };
}

export function findObjects(
  cryptoki: Cryptoki,
  session: Handle,
  template: readonly Attribute[],
): Handle[] {
  const found: Handle[] = [];
  cryptoki.C_FindObjectsInit(session, template);
  try {
    for (;;) {
      const some = cryptoki.C_FindObjects(session, FIND_AT_ONCE);
      found.push(...some);
      if (some.length === 0) return found;
      if (found.length > MAX_OBJECTS)
        throw new KeyError("ERR_KEY_CUSTODY", `Token holds more than ${MAX_OBJECTS} keys`);
    }
  } finally {
    cryptoki.C_FindObjectsFinal(session);
  }
}

export type AttributeSource = Pick<Cryptoki, "C_GetAttributeValue">;

/** Undefined where the object has no such attribute, or the token does not tell. */
export function readAttribute(
  cryptoki: AttributeSource,
  session: Handle,
  object: Handle,
  type: number,
): Buffer | undefined {
  try {
    return cryptoki.C_GetAttributeValue(session, object, [{ type }])[0]?.value;
  } catch (error) {
    if (returnValue(error) === "CKR_ATTRIBUTE_TYPE_INVALID") return undefined;
    throw error;
  }
}

/**
 * The ids of our keys, as hex: of whole ones, and of private halves without a public one. A crash while a key is made or
 * destroyed may leave such a half.
 */
export function listIds(
  cryptoki: Cryptoki,
  session: Handle,
): { whole: Set<string>; privateOnly: Set<string> } {
  const ids = (objectClass: number): string[] =>
    SIGNATURE_ALGORITHMS.flatMap((alg) =>
      findObjects(cryptoki, session, [
        { type: CKA.CLASS, value: objectClass },
        { type: CKA.TOKEN, value: true },
        { type: CKA.LABEL, value: labelOf(alg) },
      ]).flatMap((object) => {
        const id = readAttribute(cryptoki, session, object, CKA.ID);
        return id?.length === ID_BYTES ? [`${alg} ${id.toString("hex")}`] : [];
      }),
    );
  const inPublic = new Set(ids(CKO_PUBLIC_KEY));
  const [whole, privateOnly] = [new Set<string>(), new Set<string>()];
  for (const found of ids(CKO_PRIVATE_KEY)) {
    const id = found.slice(found.indexOf(" ") + 1);
    (inPublic.has(found) ? whole : privateOnly).add(id);
  }
  return { whole, privateOnly };
}

/**
 * @returns undefined where the token holds no private key of ours with this id
 * @throws KeyError `ERR_KEY_REFUSED` where it holds two: one of them is somebody else's
 */
export function findKey(cryptoki: Cryptoki, session: Handle, id: Buffer): KeyObjects | undefined {
  const privateKeys = findHalves(cryptoki, session, CKO_PRIVATE_KEY, id);
  if (privateKeys.length === 0) return undefined;
  const publicKeys = findHalves(cryptoki, session, CKO_PUBLIC_KEY, id);
  const [ours, theirs] = [privateKeys[0], publicKeys[0]];
  const isPair = privateKeys.length === 1 && publicKeys.length === 1 && ours?.alg === theirs?.alg;
  if (!ours || !theirs || !isPair)
    throw new KeyError(
      "ERR_KEY_REFUSED",
      `Key ${id.toString("hex")} has ${privateKeys.length} private and ${publicKeys.length} public halves, expected one pair`,
    );
  return { alg: ours.alg, privateKey: ours.object, publicKey: theirs.object };
}

/** The objects of this class, private or public, that have this id and a label of ours. */
export function findHalves(
  cryptoki: Cryptoki,
  session: Handle,
  objectClass: number,
  id: Buffer,
): { alg: SignatureAlgorithm; object: Handle }[] {
  return SIGNATURE_ALGORITHMS.flatMap((alg) =>
    findObjects(cryptoki, session, [
      { type: CKA.CLASS, value: objectClass },
      { type: CKA.TOKEN, value: true },
      { type: CKA.LABEL, value: labelOf(alg) },
      { type: CKA.ID, value: id },
    ]).map((object) => ({ alg, object })),
  );
}
