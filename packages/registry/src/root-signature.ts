import { createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { canonicalBytes, MemberReader, ServiceError } from "@redoubt/base";
import { Base64urlError, decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, type JsonValue } from "@redoubt/verify/json";
import { KeyError } from "@redoubt/keys";
import {
  MAX_ROOT_KEYS,
  parseRootForm,
  readRoot,
  type Root,
  type RootDocument,
  type RootKey,
} from "./root-document.ts";
import { encodeRootPublicKey, parseRootPublicKey } from "./root-public-key.ts";

/** docs/spec/trust-data.md §1: keeps a root signature from being read as one over something else. */
export const ROOT_CONTEXT = "redoubt/root/v1\n";
/** A rotation is signed by keys of two versions. */
const MAX_SIGNATURES = 2 * MAX_ROOT_KEYS;
export const MAX_SIGNED_ROOT_BYTES = 32 * 1024;
const SIGNATURE_BYTES = 64;

export interface RootSignature {
  /** Public key of whoever signed, as in the document. */
  readonly key: string;
  readonly sig: string;
}

/** A document and the signatures that came so far, sorted by key; verified by nobody yet. */
export interface SignedRoot extends Root {
  readonly signatures: readonly RootSignature[];
}

export function encodeSignedRoot({ bytes, signatures }: SignedRoot): Buffer {
  const root = parseRootForm(bytes, MAX_SIGNED_ROOT_BYTES);
  return canonicalBytes({ v: 1, root, signatures: signatures.map((line) => ({ ...line })) });
}

/** @throws KeyError `ERR_ROOT_FORM`, `ERR_ROOT_MEMBER` with every problem of the document named */
export function parseSignedRoot(bytes: Uint8Array): SignedRoot {
  const file = new MemberReader(parseRootForm(bytes, MAX_SIGNED_ROOT_BYTES), "signed root");
  return refuseForm(() => {
    file.integer("v", 1, 1);
    const root = readRoot(file.rawObject("root"));
    const signatures = file.array("signatures", MAX_SIGNATURES).map(readSignature);
    // One order, and each key once: two signatures by one key are one.
    if (signatures.some(({ key }, index) => key <= (signatures[index - 1]?.key ?? "")))
      throw new KeyError("ERR_ROOT_FORM", "Signatures must be sorted by key, each key once");
    file.done();
    return { ...root, signatures };
  });
}

function readSignature(value: JsonValue): RootSignature {
  const reader = new MemberReader(isJsonObject(value) ? value : {}, "root signature");
  const key = reader.string("key", 64);
  const sig = reader.string("sig", 128);
  decodeBase64url(key, { bytes: 32 });
  decodeBase64url(sig, { bytes: SIGNATURE_BYTES });
  reader.done();
  return { key, sig };
}

/**
 * Adds the signature of one key, on a machine that has no other. A later version may also be signed by keys of the
 * version before, which is not at hand here, so any key may sign it; one without a say counts for nothing.
 *
 * @throws KeyError `ERR_KEY_ALG`; `ERR_ROOT_SIGNATURE` for a key that a first version does not name
 */
export function signRoot(root: SignedRoot, privateKey: KeyObject): SignedRoot {
  const key = encodeRootPublicKey(createPublicKey(privateKey));
  if (root.document.version === 1 && !root.document.keys.some((own) => own.publicKey === key))
    throw new KeyError("ERR_ROOT_SIGNATURE", "Root does not name this key");
  const sig = encodeBase64url(sign(null, signedBytes(root), privateKey));
  return withSignatures(root, [{ key, sig }]);
}

/**
 * Brings together the signatures that were made on several machines.
 *
 * @throws KeyError `ERR_ROOT_FORK` where it is not one document, `ERR_ROOT_SIGNATURE` for a bad signature
 */
export function combineRoots(first: SignedRoot, ...others: readonly SignedRoot[]): SignedRoot {
  let combined = withSignatures({ ...first, signatures: [] }, first.signatures);
  for (const other of others) {
    if (other.hash !== first.hash)
      throw new KeyError("ERR_ROOT_FORK", "Signatures are over different documents");
    combined = withSignatures(combined, other.signatures);
  }
  return combined;
}

function withSignatures(root: SignedRoot, more: readonly RootSignature[]): SignedRoot {
  const byKey = new Map(root.signatures.map((line) => [line.key, line]));
  for (const line of more) {
    verifyLine(root, line);
    // A key can make many signatures over one document; the first is as good as any.
    if (!byKey.has(line.key)) byKey.set(line.key, line);
  }
  if (byKey.size > MAX_SIGNATURES)
    throw new KeyError("ERR_ROOT_FORM", `Root has more than ${MAX_SIGNATURES} signatures`);
  const signatures = [...byKey.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return { ...root, signatures };
}

/**
 * Which keys of `by` signed. A signature by a key that `by` does not name counts for nothing.
 *
 * @throws KeyError `ERR_ROOT_SIGNATURE` for a bad signature by a key that it names
 */
export function rootSigners(root: SignedRoot, by: RootDocument): readonly RootKey[] {
  return by.keys.filter(({ publicKey }) => {
    const line = root.signatures.find(({ key }) => key === publicKey);
    if (line) verifyLine(root, line);
    return line !== undefined;
  });
}

/**
 * TUF §5.3.4: a threshold of the keys that `by` names, each counted once.
 *
 * @throws KeyError `ERR_ROOT_THRESHOLD`, `ERR_ROOT_SIGNATURE`
 */
export function verifyRootThreshold(root: SignedRoot, by: RootDocument): void {
  const signers = rootSigners(root, by);
  if (signers.length >= by.threshold) return;
  const missing = by.keys.filter((key) => !signers.includes(key)).map(({ name }) => name);
  throw new KeyError(
    "ERR_ROOT_THRESHOLD",
    `Root ${root.document.version} has ${signers.length} of ${by.threshold} signatures by keys of version ${by.version}: of ${missing.join(", ")} there is none`,
  );
}

function verifyLine(root: Root, { key, sig }: RootSignature): void {
  const isGood = refuseForm(() =>
    verify(
      null,
      signedBytes(root),
      parseRootPublicKey(key),
      decodeBase64url(sig, { bytes: SIGNATURE_BYTES }),
    ),
  );
  if (!isGood) throw new KeyError("ERR_ROOT_SIGNATURE", `Signature of key ${key} is bad`);
}

function signedBytes({ bytes }: Root): Buffer {
  return Buffer.concat([Buffer.from(ROOT_CONTEXT, "utf8"), bytes]);
}

function refuseForm<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof ServiceError) && !(cause instanceof Base64urlError)) throw cause;
    throw new KeyError("ERR_ROOT_FORM", `Signed root is malformed: ${cause.message}`, { cause });
  }
}
