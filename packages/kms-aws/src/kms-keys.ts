import type { KeyObject } from "node:crypto";
import type { SignatureAlgorithm } from "@redoubt/keys";
import { KeyError } from "@redoubt/keys";
import {
  checkMember,
  KEY_ID,
  readAliases,
  readBytes,
  readMetadata,
  readTags,
  type KeyMetadata,
} from "./answers.ts";
import type { Call, Calls } from "./calls.ts";
import { custodyError } from "./errors.ts";
import type { KmsApi } from "./kms-api.ts";
import type { CheckedOptions } from "./options.ts";
import { KMS_SPECS, parsePublicKey } from "./specs.ts";

export const RING_TAG = "redoubt:ring";
export const ALG_TAG = "redoubt:alg";

const ALIASES_OF_A_PAGE = 100;
/** Those of everybody in the account and region are paged through: 50 000 by the default quota. */
const MAX_PAGES = 500;

/** The operations of KMS, each with what was asked and whether the answer is to that. */
export class KmsKeys {
  readonly #options: CheckedOptions;
  readonly #api: KmsApi;
  readonly #calls: Calls;

  constructor(options: CheckedOptions, api: KmsApi, calls: Calls) {
    this.#options = options;
    this.#api = api;
    this.#calls = calls;
  }

  close(): void {
    this.#calls.close();
    this.#api.close();
  }

  async create(alg: SignatureAlgorithm): Promise<KeyMetadata> {
    const { ring, region } = this.#options;
    const input = {
      KeyUsage: "SIGN_VERIFY",
      KeySpec: KMS_SPECS[alg].keySpec,
      Origin: "AWS_KMS",
      MultiRegion: false,
      Description: `Redoubt ${ring} ${alg}`,
      Tags: [
        { TagKey: RING_TAG, TagValue: ring },
        { TagKey: ALG_TAG, TagValue: alg },
      ],
    } as const;
    const answer = await this.#calls.run({
      operation: "CreateKey",
      request: async (signal) => this.#api.createKey({ ...input, Tags: [...input.Tags] }, signal),
      // Done twice it leaves a key that nobody knows of and somebody pays for.
      repeat: "if-refused",
    });
    return readMetadata(answer, region);
  }

  /** By this alias `list` and `open` know the key. */
  async name(id: string): Promise<void> {
    await this.#calls.run({
      operation: "CreateAlias",
      request: async (signal) =>
        this.#api.createAlias({ AliasName: this.#prefix + id, TargetKeyId: id }, signal),
      // KMS is eventually consistent: a key just made may be unknown for moments.
      retry: ["not-found"],
      // The name holds the key's own id: it is there because an earlier try made it.
      done: ["exists"],
    });
  }

  /** The key that is under our alias for `id`, which must be the one with this id. */
  async describeNamed(id: string): Promise<KeyMetadata | undefined> {
    const metadata = await this.#describe(this.#prefix + id);
    // Whoever may change aliases must not have us use another key under this name.
    if (metadata && metadata.id !== id)
      throw new KeyError("ERR_KEY_UNKNOWN", "Alias in AWS KMS names another key");
    return metadata;
  }

  async describe(id: string): Promise<KeyMetadata | undefined> {
    const metadata = await this.#describe(id);
    if (metadata && metadata.id !== id)
      throw custodyError("ERR_KEY_CUSTODY", "Answer of AWS KMS is about another key");
    return metadata;
  }

  async #describe(name: string): Promise<KeyMetadata | undefined> {
    const answer = await this.#calls.run({
      operation: "DescribeKey",
      request: async (signal) => this.#api.describeKey(name, signal),
      done: ["not-found"],
    });
    return answer === undefined ? undefined : readMetadata(answer, this.#options.region);
  }

  async tags(arn: string): Promise<ReadonlyMap<string, string>> {
    const answer = await this.#calls.run({
      operation: "ListResourceTags",
      request: async (signal) => this.#api.listResourceTags(arn, signal),
    });
    return readTags(answer);
  }

  async publicKey(arn: string, alg: SignatureAlgorithm, isNew = false): Promise<KeyObject> {
    const answer = await this.#calls.run({
      operation: "GetPublicKey",
      request: async (signal) => this.#api.getPublicKey(arn, signal),
      ...(isNew && ({ retry: ["not-found"] } satisfies Partial<Call>)),
    });
    checkMember(answer, "KeyId", arn);
    checkMember(answer, "KeySpec", KMS_SPECS[alg].keySpec);
    checkMember(answer, "KeyUsage", "SIGN_VERIFY");
    return parsePublicKey(alg, readBytes(answer, "PublicKey"));
  }

  /** What KMS signed, not verified yet. */
  async unverifiedSignature(
    arn: string,
    alg: SignatureAlgorithm,
    message: Uint8Array,
  ): Promise<Uint8Array> {
    const { signingAlgorithm, messageType } = KMS_SPECS[alg];
    const input = {
      KeyId: arn,
      Message: message,
      MessageType: messageType,
      SigningAlgorithm: signingAlgorithm,
    };
    const answer = await this.#calls.run({
      operation: "Sign",
      request: async (signal) => this.#api.sign(input, signal),
    });
    checkMember(answer, "KeyId", arn);
    checkMember(answer, "SigningAlgorithm", signingAlgorithm);
    return readBytes(answer, "Signature");
  }

  /** The ids of all keys that bear an alias of this ring, those that are being deleted too. */
  async named(): Promise<readonly string[]> {
    const ids: string[] = [];
    let marker: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const answer = await this.#aliasPage(marker);
      for (const { name, keyId } of answer.aliases) {
        const id = name.startsWith(this.#prefix) ? name.slice(this.#prefix.length) : "";
        if (KEY_ID.test(id) && keyId === id) ids.push(id);
      }
      marker = answer.marker;
      if (marker === undefined) return ids;
    }
    // Never a part of the list: a key left out would look lost.
    throw custodyError("ERR_KEY_CUSTODY", `Aliases in AWS KMS have over ${MAX_PAGES} pages`);
  }

  async #aliasPage(marker: string | undefined) {
    const input = { Limit: ALIASES_OF_A_PAGE, ...(marker !== undefined && { Marker: marker }) };
    const answer = await this.#calls.run({
      operation: "ListAliases",
      request: async (signal) => this.#api.listAliases(input, signal),
    });
    return readAliases(answer);
  }

  async scheduleDeletion(arn: string): Promise<void> {
    const input = { KeyId: arn, PendingWindowInDays: this.#options.deletionDays };
    const answer = await this.#calls.run({
      operation: "ScheduleKeyDeletion",
      request: async (signal) => this.#api.scheduleKeyDeletion(input, signal),
    });
    checkMember(answer, "KeyId", arn);
    checkMember(answer, "KeyState", "PendingDeletion");
  }

  async disable(arn: string): Promise<void> {
    await this.#calls.run({
      operation: "DisableKey",
      request: async (signal) => this.#api.disableKey(arn, signal),
    });
  }

  get #prefix(): string {
    return `alias/redoubt/${this.#options.ring}/`;
  }
}
