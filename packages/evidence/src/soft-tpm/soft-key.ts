import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { ByteReader } from "../byte-reader.ts";
import { readHash, readSized, TPM_ALG, TPM_HASHES, type TpmHash } from "../tpm/algorithms.ts";
import { sized, u16, u32 } from "../tpm/marshal.ts";
import { TPM_CURVES, type TpmCurve } from "../tpm/public-area.ts";
import { checkKey } from "./object-attributes.ts";
import type { EccKey, PrimarySeed } from "./primary-seed.ts";
import { ofParameter, RC, TpmRefusal } from "./refusal.ts";

/** What every TPMT_PUBLIC begins with. */
export interface AreaHead {
  readonly type: number;
  readonly nameAlgorithm: TpmHash;
  readonly attributes: number;
  readonly authPolicy: Buffer;
}

/** An object in the soft TPM's memory: a key, or what was sealed. */
export interface SoftObject extends AreaHead {
  /** Handle of the hierarchy or name of the parent: what its qualified name begins with. */
  readonly parent: Buffer;
  readonly publicArea: Buffer;
  readonly name: Buffer;
  readonly privateKey: KeyObject | undefined;
  readonly sealed: Buffer | undefined;
}

const MAX_POLICY_BYTES = 64;

export function readAreaHead(reader: ByteReader): AreaHead {
  return {
    type: reader.u16be(),
    nameAlgorithm: readHash(reader, "nameAlg"),
    attributes: reader.u32be(),
    authPolicy: readSized(reader, MAX_POLICY_BYTES, "authPolicy"),
  };
}

/** Name of an object (TPM 2.0 Part 1 §16): its hash algorithm and the digest of its public area. */
export function nameOf(nameAlgorithm: TpmHash, publicArea: Uint8Array): Buffer {
  return Buffer.concat([
    u16(TPM_HASHES[nameAlgorithm].id),
    createHash(nameAlgorithm).update(publicArea).digest(),
  ]);
}

/** Makes a primary key after a template: RSA of 2048 bits, P-256 or P-384. */
export function makePrimary(template: Buffer, hierarchy: number, seed: PrimarySeed): SoftObject {
  const reader = new ByteReader(template, "template");
  const head = readAreaHead(reader);
  const symmetric = reader.u16be();
  if (symmetric !== TPM_ALG.null) reader.bytes(4);
  const scheme = reader.u16be();
  if (scheme !== TPM_ALG.null) reader.bytes(2);
  checkKey(head, { symmetric, scheme });
  const { privateKey, unique, end } =
    head.type === TPM_ALG.rsa
      ? makeRsa(reader, seed)
      : makeEcc(head.type, reader, (curve) => seed.eccKey(hierarchy, template, curve));
  const publicArea = Buffer.concat([template.subarray(0, end), unique]);
  return {
    ...head,
    parent: u32(hierarchy),
    publicArea,
    name: nameOf(head.nameAlgorithm, publicArea),
    privateKey,
    sealed: undefined,
  };
}

interface Made {
  readonly privateKey: KeyObject;
  readonly unique: Buffer;
  /** Where `unique` begins in the template. */
  readonly end: number;
}

function makeRsa(reader: ByteReader, seed: PrimarySeed): Made {
  // Node makes no RSA key from a seed, and another one after every start would be none that a seed promises.
  if (seed.isGiven) throw new TpmRefusal(ofParameter(RC.value, 1));
  if (reader.u16be() !== 2048 || reader.u32be() !== 0) throw new TpmRefusal(RC.value);
  const end = reader.offset;
  readSized(reader, 256, "unique");
  reader.end();
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const { n = "" } = publicKey.export({ format: "jwk" });
  return { privateKey, unique: sized(Buffer.from(n, "base64url")), end };
}

function makeEcc(type: number, reader: ByteReader, eccKey: (curve: TpmCurve) => EccKey): Made {
  if (type !== TPM_ALG.ecc) throw new TpmRefusal(RC.type);
  const id = reader.u16be();
  const curve = (["P-256", "P-384"] as const).find((name) => TPM_CURVES[name].id === id);
  if (curve === undefined || reader.u16be() !== TPM_ALG.null) throw new TpmRefusal(RC.value);
  const end = reader.offset;
  const { size } = TPM_CURVES[curve];
  readSized(reader, size, "unique.x");
  readSized(reader, size, "unique.y");
  reader.end();
  const { privateKey, x, y } = eccKey(curve);
  return { privateKey, unique: Buffer.concat([sized(x), sized(y)]), end };
}
