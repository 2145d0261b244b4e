import {
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  sign,
  type KeyObject,
} from "node:crypto";
import {
  derOf,
  ecdsaOfDigest,
  pkcs1OfDigest,
  pssOfDigest,
} from "@redoubt/custody/testing/sign-digest";

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An error of the service, by the name that goes over the wire. */
export class KmsFault extends Error {
  override readonly name = "KmsFault";
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

export interface StoredKey {
  readonly id: string;
  readonly arn: string;
  readonly keySpec: string;
  readonly privateKey: KeyObject;
  readonly tags: Map<string, string>;
  state: string;
  origin: string;
  isMultiRegion: boolean;
}

const SPECS: Readonly<Record<string, readonly string[]>> = {
  ECC_NIST_P256: ["ECDSA_SHA_256"],
  ECC_NIST_EDWARDS25519: ["ED25519_SHA_512", "ED25519_PH_SHA_512"],
  RSA_2048: ["RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256"],
  RSA_3072: ["RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256"],
};
const ALIAS = /^alias\/[a-zA-Z0-9/_-]{1,250}$/;
const DIGEST_BYTES = 32;
const MAX_RAW_BYTES = 4096;

/** The part of KMS that holds keys: real ones, with the states and refusals that the API Reference describes. */
export class KmsState {
  readonly keys = new Map<string, StoredKey>();
  readonly aliases = new Map<string, string>();
  readonly region: string;
  readonly account = "111122223333";
  readonly aliasPage: number;

  constructor(region: string, aliasPage: number) {
    this.region = region;
    this.aliasPage = aliasPage;
  }

  run(operation: string, input: JsonObject): JsonObject {
    switch (operation) {
      case "CreateKey":
        return this.#createKey(input);
      case "CreateAlias":
        return this.#createAlias(input);
      case "DescribeKey":
        return { KeyMetadata: metadataOf(this.#find(input), this.account) };
      case "GetPublicKey":
        return this.#publicKey(this.#usable(input));
      case "ListResourceTags":
        return { Tags: tagList(this.#find(input).tags), Truncated: false };
      case "ListAliases":
        return this.#listAliases(input);
      case "ScheduleKeyDeletion":
        return this.#schedule(input);
      case "DisableKey":
        this.#notEnding(this.#find(input)).state = "Disabled";
        return {};
      case "Sign":
        return this.#sign(input);
      default:
        throw new KmsFault("UnknownOperationException", operation);
    }
  }

  /** A key beside the API, as others in the account make them. */
  add(keySpec: string, tags: ReadonlyMap<string, string> = new Map()): StoredKey {
    const id = randomUUID();
    const key: StoredKey = {
      id,
      arn: `arn:aws:kms:${this.region}:${this.account}:key/${id}`,
      keySpec,
      privateKey: makePrivateKey(keySpec),
      tags: new Map(tags),
      state: "Enabled",
      origin: "AWS_KMS",
      isMultiRegion: false,
    };
    this.keys.set(id, key);
    return key;
  }

  #createKey(input: JsonObject): JsonObject {
    const keySpec = text(input, "KeySpec");
    const isAsked =
      input.KeyUsage === "SIGN_VERIFY" && input.Origin === "AWS_KMS" && input.MultiRegion === false;
    if (!isAsked || !Object.hasOwn(SPECS, keySpec)) throw invalid("KeySpec or KeyUsage");
    const tags = list(input, "Tags").map((tag): [string, string] => [
      text(tag, "TagKey"),
      text(tag, "TagValue"),
    ]);
    return { KeyMetadata: metadataOf(this.add(keySpec, new Map(tags)), this.account) };
  }

  #createAlias(input: JsonObject): JsonObject {
    const name = text(input, "AliasName");
    const key = this.#notEnding(this.#find({ KeyId: text(input, "TargetKeyId") }));
    if (!ALIAS.test(name) || name.startsWith("alias/aws/")) throw invalid("AliasName");
    if (this.aliases.has(name)) throw new KmsFault("AlreadyExistsException", name);
    this.aliases.set(name, key.id);
    return {};
  }

  #publicKey(key: StoredKey): JsonObject {
    const spki = createPublicKey(key.privateKey).export({ format: "der", type: "spki" });
    return {
      KeyId: key.arn,
      KeySpec: key.keySpec,
      KeyUsage: "SIGN_VERIFY",
      PublicKey: spki.toString("base64"),
      SigningAlgorithms: [...(SPECS[key.keySpec] ?? [])],
    };
  }

  #listAliases(input: JsonObject): JsonObject {
    const { Limit: limit, Marker: marker = "0" } = input;
    if (typeof limit !== "number" || limit < 1 || limit > 100) throw invalid("Limit");
    const from = Number(marker);
    const to = from + Math.min(limit, this.aliasPage);
    const all = [...this.aliases].toSorted(([a], [b]) => (a < b ? -1 : 1));
    const page = all.slice(from, to).map(([name, id]) => ({ AliasName: name, TargetKeyId: id }));
    const isMore = to < all.length;
    return { Aliases: page, Truncated: isMore, ...(isMore && { NextMarker: String(to) }) };
  }

  #schedule(input: JsonObject): JsonObject {
    const key = this.#notEnding(this.#find(input));
    const { PendingWindowInDays: days } = input;
    if (typeof days !== "number" || days < 7 || days > 30) throw invalid("PendingWindowInDays");
    key.state = "PendingDeletion";
    return { KeyId: key.arn, KeyState: key.state, PendingWindowInDays: days, DeletionDate: 1.8e9 };
  }

  #sign(input: JsonObject): JsonObject {
    const key = this.#usable(input);
    const algorithm = text(input, "SigningAlgorithm");
    const message = Buffer.from(text(input, "Message"), "base64");
    if (!SPECS[key.keySpec]?.includes(algorithm))
      throw new KmsFault("InvalidKeyUsageException", algorithm);
    const signature = signMessage(key, algorithm, text(input, "MessageType"), message);
    return {
      KeyId: key.arn,
      SigningAlgorithm: algorithm,
      Signature: signature.toString("base64"),
    };
  }

  /** By id, ARN or alias. */
  #find(input: JsonObject): StoredKey {
    const name = text(input, "KeyId");
    const id = name.startsWith("alias/")
      ? this.aliases.get(name)
      : name.replace(/^arn:.*:key\//, "");
    const key = this.keys.get(id ?? "");
    if (!key) throw new KmsFault("NotFoundException", `Key ${name} does not exist`);
    return key;
  }

  #notEnding(key: StoredKey): StoredKey {
    if (key.state === "PendingDeletion")
      throw new KmsFault("KMSInvalidStateException", `${key.arn} is pending deletion.`);
    return key;
  }

  #usable(input: JsonObject): StoredKey {
    const key = this.#notEnding(this.#find(input));
    if (key.state === "Disabled")
      throw new KmsFault("DisabledException", `${key.arn} is disabled.`);
    return key;
  }
}

function makePrivateKey(keySpec: string): KeyObject {
  switch (keySpec) {
    case "ECC_NIST_P256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    case "ECC_NIST_EDWARDS25519":
      return generateKeyPairSync("ed25519").privateKey;
    default:
      return generateKeyPairSync("rsa", { modulusLength: Number(keySpec.slice(4)) }).privateKey;
  }
}

function signMessage(key: StoredKey, algorithm: string, type: string, message: Buffer): Buffer {
  if (algorithm === "ED25519_SHA_512") {
    if (type !== "RAW" || message.length > MAX_RAW_BYTES) throw invalid("Message");
    return sign(null, message, key.privateKey);
  }
  if (type !== "DIGEST" || message.length !== DIGEST_BYTES) throw invalid("Message");
  if (algorithm === "ECDSA_SHA_256") return derOf(ecdsaOfDigest(message, key.privateKey));
  return algorithm === "RSASSA_PSS_SHA_256"
    ? pssOfDigest(message, key.privateKey)
    : pkcs1OfDigest(message, key.privateKey);
}

function metadataOf(key: StoredKey, account: string): JsonObject {
  return {
    AWSAccountId: account,
    KeyId: key.id,
    Arn: key.arn,
    CreationDate: 1.7e9,
    Enabled: key.state === "Enabled",
    KeyState: key.state,
    KeySpec: key.keySpec,
    KeyUsage: "SIGN_VERIFY",
    Origin: key.origin,
    KeyManager: "CUSTOMER",
    MultiRegion: key.isMultiRegion,
    SigningAlgorithms: [...(SPECS[key.keySpec] ?? [])],
  };
}

function tagList(tags: ReadonlyMap<string, string>): JsonObject[] {
  return [...tags].map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
}

function text(value: unknown, name: string): string {
  const found = isJsonObject(value) ? value[name] : undefined;
  if (typeof found !== "string") throw invalid(name);
  return found;
}

function list(input: JsonObject, name: string): readonly unknown[] {
  const found = input[name];
  if (!Array.isArray(found)) throw invalid(name);
  const items: readonly unknown[] = found;
  return items;
}

function invalid(name: string): KmsFault {
  return new KmsFault("ValidationException", `${name} is not valid`);
}
