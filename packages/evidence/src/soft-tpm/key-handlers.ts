import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  privateDecrypt,
  randomBytes,
  sign,
  timingSafeEqual,
} from "node:crypto";
import { ByteReader } from "../byte-reader.ts";
import { readSized, TPM_ALG, TPM_HASHES, type TpmHash } from "../tpm/algorithms.ts";
import { digestBits, kdfA, kdfE } from "../tpm/kdf.ts";
import { sized, u16, u32 } from "../tpm/marshal.ts";
import { encodeSelection } from "../tpm/pcr-selection.ts";
import {
  hasAttribute,
  parsePublicArea,
  TPM_CURVES,
  type TpmPublicArea,
} from "../tpm/public-area.ts";
import { TPM_GENERATED_VALUE, TPM_ST_ATTEST_QUOTE } from "../tpm/quote.ts";
import { checkSealed, isStorageKey } from "./object-attributes.ts";
import { readPcrList } from "./pcr-bank.ts";
import { ofHandle, ofParameter, RC, TpmRefusal } from "./refusal.ts";
import { authorize, checkPassword, respond, type SoftCommand } from "./soft-command.ts";
import { nameOf, readAreaHead, type SoftObject } from "./soft-key.ts";
import type { SoftState } from "./soft-state.ts";

const MAX_BYTES = 1024;
/** MAX_SYM_DATA, TPM 2.0 Part 2, annex. */
const MAX_SEALED_BYTES = 128;
/** TPM_ST_CREATION. */
const CREATION = 0x8021;

function qualifiedName({ nameAlgorithm, parent, name }: SoftObject): Buffer {
  return nameOf(nameAlgorithm, Buffer.concat([parent, name]));
}

interface Creation {
  readonly data: Buffer;
  readonly template: Buffer;
}

function readCreation(parameters: ByteReader): Creation {
  const sensitive = new ByteReader(readSized(parameters, MAX_BYTES, "inSensitive"), "inSensitive");
  // A password for the object is none that the client sets.
  if (readSized(sensitive, 64, "userAuth").length > 0) throw new TpmRefusal(RC.value);
  const data = readSized(sensitive, MAX_BYTES, "data");
  const template = readSized(parameters, MAX_BYTES, "inPublic");
  readSized(parameters, 64, "outsideInfo");
  readPcrList(parameters, 3);
  parameters.end();
  return { data, template };
}

function creationTicket(hierarchy: number): Buffer {
  return Buffer.concat([sized(), sized(), u16(CREATION), u32(hierarchy), sized()]);
}

export function createPrimary(state: SoftState, command: SoftCommand): Buffer {
  checkPassword(command);
  const [hierarchy = 0] = command.handles;
  const object = state.primary(hierarchy, readCreation(command.parameters).template);
  const parameters = Buffer.concat([
    sized(object.publicArea),
    creationTicket(hierarchy),
    sized(object.name),
  ]);
  return respond(command, parameters, state.load(object));
}

export function readPublic(state: SoftState, command: SoftCommand): Buffer {
  const object = state.object(command.handles[0] ?? 0, 0);
  return respond(
    command,
    Buffer.concat([sized(object.publicArea), sized(object.name), sized(qualifiedName(object))]),
  );
}

/** The key below which something is made or loaded. */
function parentOf(state: SoftState, command: SoftCommand): SoftObject {
  const parent = state.object(command.handles[0] ?? 0, 0);
  authorize(state, parent, command, 0);
  if (!isStorageKey(parent)) throw new TpmRefusal(ofHandle(RC.type, 0));
  return parent;
}

/** Only sealed data are created below a key. */
export function create(state: SoftState, command: SoftCommand): Buffer {
  const parent = parentOf(state, command);
  const { data, template } = readCreation(command.parameters);
  const reader = new ByteReader(template, "template");
  const head = readAreaHead(reader);
  if (head.type !== TPM_ALG.keyedHash) throw new TpmRefusal(RC.type);
  if (reader.u16be() !== TPM_ALG.null) throw new TpmRefusal(RC.value);
  readSized(reader, 64, "unique");
  reader.end();
  checkSealed(head, parent, data);
  if (data.length > MAX_SEALED_BYTES) throw new TpmRefusal(ofParameter(RC.size, 0));
  const salt = randomBytes(32);
  const unique = createHash("sha256").update(salt).update(data).digest();
  const publicArea = Buffer.concat([template.subarray(0, template.length - 2), sized(unique)]);
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", state.storageKey, nonce).setAAD(
    Buffer.concat([parent.name, publicArea]),
  );
  const sealed = Buffer.concat([nonce, cipher.update(data), cipher.final(), cipher.getAuthTag()]);
  return respond(command, Buffer.concat([sized(sealed), sized(publicArea), creationTicket(0)]));
}

export function load(state: SoftState, command: SoftCommand): Buffer {
  const parent = parentOf(state, command);
  const privateArea = readSized(command.parameters, MAX_BYTES, "inPrivate");
  const publicArea = Buffer.from(readSized(command.parameters, MAX_BYTES, "inPublic"));
  command.parameters.end();
  const sealed = openSealed(
    state.storageKey,
    privateArea,
    Buffer.concat([parent.name, publicArea]),
  );
  const head = readAreaHead(new ByteReader(publicArea, "inPublic"));
  const name = nameOf(head.nameAlgorithm, publicArea);
  const object: SoftObject = {
    ...head,
    parent: qualifiedName(parent),
    publicArea,
    name,
    privateKey: undefined,
    sealed,
  };
  return respond(command, sized(name), state.load(object));
}

function openSealed(key: Buffer, sealed: Buffer, context: Buffer): Buffer {
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12), {
      authTagLength: 16,
    })
      .setAAD(context)
      .setAuthTag(sealed.subarray(-16));
    return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
  } catch {
    // Altered, cut off, or sealed by another TPM or below another key.
    throw new TpmRefusal(RC.integrity);
  }
}

export function unseal(state: SoftState, command: SoftCommand): Buffer {
  const object = state.object(command.handles[0] ?? 0, 0);
  authorize(state, object, command, 0);
  if (object.sealed === undefined) throw new TpmRefusal(ofHandle(RC.type, 0));
  return respond(command, sized(object.sealed));
}

export function quote(state: SoftState, command: SoftCommand): Buffer {
  const object = state.object(command.handles[0] ?? 0, 0);
  authorize(state, object, command, 0);
  const { key, area } = signingKey(object);
  const extraData = readSized(command.parameters, 64, "qualifyingData");
  if (command.parameters.u16be() !== TPM_ALG.null) throw noScheme();
  const selections = readPcrList(command.parameters, 2);
  command.parameters.end();
  const values = selections
    .flatMap((selection) => state.pcrs.read(selection))
    .map(([, value]) => value);
  const { hash } = area.scheme;
  const clock = Buffer.alloc(8);
  clock.writeBigUInt64BE(state.tick());
  const attest = Buffer.concat([
    u32(TPM_GENERATED_VALUE),
    u16(TPM_ST_ATTEST_QUOTE),
    sized(qualifiedName(object)),
    sized(extraData),
    // clock, resetCount, restartCount, safe; firmwareVersion zero: there is none.
    clock,
    u32(1),
    u32(0),
    Buffer.of(1),
    Buffer.alloc(8),
    u32(selections.length),
    ...selections.map((selection) => encodeSelection(selection).subarray(4)),
    sized(createHash(hash).update(Buffer.concat(values)).digest()),
  ]);
  const parts = sign(hash, attest, { key, dsaEncoding: "ieee-p1363" });
  const half = parts.length / 2;
  const value =
    area.scheme.name === "ecdsa"
      ? [sized(parts.subarray(0, half)), sized(parts.subarray(half))]
      : [sized(parts)];
  const signature = Buffer.concat([
    u16(TPM_ALG[area.scheme.name]),
    u16(TPM_HASHES[hash].id),
    ...value,
  ]);
  return respond(command, Buffer.concat([sized(attest), signature]));
}

/** A signing key with a scheme of its own; PSS is none that the client asks for. */
function signingKey({ attributes, privateKey, publicArea }: SoftObject) {
  if (!hasAttribute({ attributes }, "sign")) throw new TpmRefusal(ofHandle(RC.key, 0));
  // mutate: what may sign has a private key.
  if (privateKey === undefined) throw new TpmRefusal(RC.failure);
  const area = parsePublicArea(publicArea);
  const { scheme } = area;
  if (scheme === undefined || scheme.name === "rsapss") throw noScheme();
  return { key: privateKey, area: { ...area, scheme } };
}

/** Of Quote, whose second parameter may name a scheme for a key that has none. */
function noScheme(): TpmRefusal {
  return new TpmRefusal(ofParameter(RC.scheme, 1));
}

/** TPM 2.0 Part 1 §24: the secret comes out only where both keys are in this TPM. */
export function activateCredential(state: SoftState, command: SoftCommand): Buffer {
  const [ak, ek] = [
    state.object(command.handles[0] ?? 0, 0),
    state.object(command.handles[1] ?? 0, 1),
  ];
  authorize(state, ak, command, 0);
  authorize(state, ek, command, 1);
  const blob = new ByteReader(
    readSized(command.parameters, MAX_BYTES, "credentialBlob"),
    "credentialBlob",
  );
  const encrypted = readSized(command.parameters, MAX_BYTES, "secret");
  command.parameters.end();
  if (!isStorageKey(ek)) throw new TpmRefusal(ofHandle(RC.type, 1));
  const area = parsePublicArea(ek.publicArea);
  const { nameAlgorithm: hash, symmetricBits } = area;
  // mutate: a storage key has a symmetric algorithm
  if (symmetricBits === undefined) throw new TpmRefusal(RC.failure);
  // mutate: and a private key.
  if (ek.privateKey === undefined) throw new TpmRefusal(RC.failure);
  const seed = openSeed(ek.privateKey, area, encrypted);
  const proof = readSized(blob, 64, "integrityHMAC");
  const identity = blob.bytes(blob.left);
  const integrityKey = kdfA(hash, seed, "INTEGRITY", Buffer.alloc(0), digestBits(hash));
  const expected = createHmac(hash, integrityKey).update(identity).update(ak.name).digest();
  if (proof.length !== expected.length || !timingSafeEqual(proof, expected))
    throw new TpmRefusal(RC.integrity);
  const key = kdfA(hash, seed, "STORAGE", ak.name, symmetricBits);
  const decipher = createDecipheriv(`aes-${symmetricBits}-cfb`, key, Buffer.alloc(16));
  const plain = new ByteReader(
    Buffer.concat([decipher.update(identity), decipher.final()]),
    "identity",
  );
  return respond(command, sized(readSized(plain, 64, "certInfo")));
}

function openSeed(privateKey: KeyObject, area: TpmPublicArea, encrypted: Buffer): Buffer {
  const { nameAlgorithm: hash, key } = area;
  const { namedCurve } = key.asymmetricKeyDetails ?? {};
  try {
    return namedCurve === undefined
      ? decryptSeed(privateKey, hash, encrypted)
      : agreeSeed(privateKey, area, encrypted);
  } catch {
    // What does not decrypt, or is no point of the curve.
    throw new TpmRefusal(namedCurve === undefined ? RC.value : ofParameter(RC.eccPoint, 1));
  }
}

function decryptSeed(key: KeyObject, oaepHash: TpmHash, encrypted: Buffer): Buffer {
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  return privateDecrypt(
    { key, padding, oaepHash, oaepLabel: Buffer.from("IDENTITY\0") },
    encrypted,
  );
}

function agreeSeed(
  privateKey: KeyObject,
  { nameAlgorithm: hash, key }: TpmPublicArea,
  encrypted: Buffer,
): Buffer {
  const curve = key.asymmetricKeyDetails?.namedCurve === "prime256v1" ? "P-256" : "P-384";
  const reader = new ByteReader(encrypted, "secret");
  const [x, y] = [0, 1].map(() => readSized(reader, TPM_CURVES[curve].size, "point"));
  reader.end();
  const jwk = {
    kty: "EC",
    crv: curve,
    x: x?.toString("base64url") ?? "",
    y: y?.toString("base64url") ?? "",
  };
  const z = diffieHellman({ privateKey, publicKey: createPublicKey({ key: jwk, format: "jwk" }) });
  const own = key.export({ format: "jwk" }).x ?? "";
  return kdfE(hash, z, "IDENTITY", x ?? Buffer.alloc(0), Buffer.from(own, "base64url"));
}
