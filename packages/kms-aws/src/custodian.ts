import type { KeyObject } from "node:crypto";
import { errorCode, type EventSink } from "@redoubt/base";
import { type Custodian, type CustodyKey, type RefusedKey } from "@redoubt/custody";
import { KeyError, publicJwk, SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from "@redoubt/keys";
import { systemParts } from "@redoubt/custody/call-gate";
import { KEY_ID, type KeyMetadata } from "./answers.ts";
import { Calls } from "./calls.ts";
import { loadSdk, openKmsApi } from "./kms-api.ts";
import { ALG_TAG, KmsKeys, RING_TAG } from "./kms-keys.ts";
import { checkOptions, type AwsKmsOptions, type CheckedOptions, type KmsEvent } from "./options.ts";
import { jwsSignature, KMS_SPECS, messageFor } from "./specs.ts";

/**
 * Keys in AWS KMS: made there, and never outside. Ours are those that bear two marks: the tags that they were made
 * with, and an alias `alias/redoubt/<ring>/<key id>` that names just this key. Nothing is asked of KMS until the
 * first use.
 *
 * @throws KeyError `ERR_KEY_CUSTODY` for an option that is wrong; `ERR_KEY_MODULE` where the optional package is absent
 */
export async function openAwsKmsCustodian(options: AwsKmsOptions): Promise<Custodian> {
  const checked = checkOptions(options);
  const api = openKmsApi(await loadSdk(), checked, options.credentials);
  const {
    sink = () => undefined,
    clock = systemParts.clock,
    random = systemParts.random,
    pause = systemParts.wait,
  } = options;
  const calls = new Calls({ limits: checked.limits, clock, random, pause, sink });
  return new AwsKmsCustodian(checked, new KmsKeys(checked, api, calls), sink);
}

interface OpenedKey {
  readonly id: string;
  readonly arn: string;
  readonly alg: SignatureAlgorithm;
  readonly publicKey: KeyObject;
}

class AwsKmsCustodian implements Custodian {
  readonly label = "kms";
  readonly #options: CheckedOptions;
  readonly #keys: KmsKeys;
  readonly #sink: EventSink<KmsEvent>;
  readonly #open = new Set<string>();

  constructor(options: CheckedOptions, keys: KmsKeys, sink: EventSink<KmsEvent>) {
    this.#options = options;
    this.#keys = keys;
    this.#sink = sink;
  }

  async generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    const metadata = await this.#keys.create(alg);
    const { id, arn } = metadata;
    try {
      checkUsable(metadata, alg);
      const publicKey = await this.#keys.publicKey(arn, alg, true);
      // Last: from here on the key is in the list.
      await this.#keys.name(id);
      this.#sink("kms_key_made", { id, alg });
      return this.#custodyKey({ id, arn, alg, publicKey });
    } catch (error) {
      await this.#abandon(id, arn);
      throw error;
    }
  }

  async open(id: string): Promise<CustodyKey> {
    return this.#custodyKey(await this.#inspect(id));
  }

  async #inspect(id: string): Promise<OpenedKey> {
    const metadata = KEY_ID.test(id) ? await this.#keys.describeNamed(id) : undefined;
    if (!metadata) throw unknownKey();
    const { arn } = metadata;
    const alg = await this.#algorithmOf(arn);
    checkUsable(metadata, alg);
    return { id, arn, alg, publicKey: await this.#keys.publicKey(arn, alg) };
  }

  async list(): Promise<readonly string[]> {
    const ids = [];
    for (const id of await this.#keys.named()) {
      const metadata = await this.#keys.describeNamed(id);
      if (metadata && !isEnding(metadata)) ids.push(id);
    }
    return ids.toSorted();
  }

  /**
   * Ends the use of a key at once, here and at KMS; `deletionDays` later KMS deletes its material. To schedule the
   * deletion is what ends the use: until then the key cannot be used, and if it is cancelled, comes back disabled.
   * Where we may not schedule, the key is disabled, and this still fails.
   */
  async destroy(id: string): Promise<void> {
    this.#open.delete(id);
    if (!KEY_ID.test(id)) throw unknownKey();
    const metadata = await this.#keys.describe(id);
    if (!metadata || isEnding(metadata)) return;
    // By its tags, so that a lost alias does not keep a key alive. And never a key of somebody else.
    await this.#algorithmOf(metadata.arn);
    try {
      await this.#keys.scheduleDeletion(metadata.arn);
    } catch (error) {
      if (await this.#isGone(id, error)) return;
      if (errorCode(error) === "ERR_KEY_DENIED") await this.#keys.disable(metadata.arn);
      throw error;
    }
    this.#sink("kms_key_ended", { id, deletionDays: this.#options.deletionDays });
  }

  /** Each key that is open, looked at again: its marks, its state, where it was made. */
  async audit(): Promise<readonly RefusedKey[]> {
    const refused = [];
    for (const id of this.#open)
      try {
        await this.#inspect(id);
      } catch (error) {
        if (!isOfKey(error)) throw error;
        this.#open.delete(id);
        refused.push({ id, reason: error.message });
      }
    return refused;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open.clear();
    this.#keys.close();
  }

  /** Somebody else scheduled it meanwhile, or a try whose answer was lost. */
  async #isGone(id: string, error: unknown): Promise<boolean> {
    if (errorCode(error) !== "ERR_KEY_UNKNOWN") return false;
    const metadata = await this.#keys.describe(id);
    return !metadata || isEnding(metadata);
  }

  /** A key that was made and cannot be used is no key of ours; what cannot be ended is said in the log. */
  async #abandon(id: string, arn: string): Promise<void> {
    try {
      await this.#keys.scheduleDeletion(arn);
      this.#sink("kms_key_abandoned", { id });
    } catch (error) {
      this.#sink("kms_key_left", { id, code: errorCode(error) });
    }
  }

  /** What the key was made for (P1). Who may tag and name keys in the account can still offer us one of theirs. */
  async #algorithmOf(arn: string): Promise<SignatureAlgorithm> {
    const tags = await this.#keys.tags(arn);
    const alg = SIGNATURE_ALGORITHMS.find((name) => name === tags.get(ALG_TAG));
    if (tags.get(RING_TAG) !== this.#options.ring || !alg) throw unknownKey();
    return alg;
  }

  // The right to use a key ends with the key and with the session, for whoever still holds it.
  #custodyKey({ id, arn, alg, publicKey }: OpenedKey): CustodyKey {
    this.#open.add(id);
    const checkOpen = () => {
      if (!this.#open.has(id))
        throw new KeyError("ERR_KEY_UNKNOWN", "Key is destroyed or its custody is closed");
    };
    return {
      id,
      alg,
      publicJwk: publicJwk(publicKey),
      sign: async (input) => {
        checkOpen();
        const answered = await this.#keys.unverifiedSignature(arn, alg, messageFor(alg, input));
        checkOpen();
        return jwsSignature(alg, publicKey, input, answered);
      },
    };
  }
}

/**
 * P1, P5: a key does its one algorithm, and was made in KMS, in this region alone: whoever imports one also has it
 * elsewhere.
 */
function checkUsable(metadata: KeyMetadata, alg: SignatureAlgorithm): void {
  const { state, keySpec, keyUsage, origin, manager, isMultiRegion } = metadata;
  if (isEnding(metadata)) throw unknownKey();
  if (state !== "Enabled") throw new KeyError("ERR_KEY_DISABLED", "Key is not enabled in AWS KMS");
  const isOurs =
    keySpec === KMS_SPECS[alg].keySpec &&
    keyUsage === "SIGN_VERIFY" &&
    origin === "AWS_KMS" &&
    manager === "CUSTOMER" &&
    !isMultiRegion;
  if (!isOurs)
    throw new KeyError("ERR_KEY_REFUSED", `Key in AWS KMS was not made there for ${alg}`);
}

const OF_ONE_KEY: readonly string[] = [
  "ERR_KEY_ALG",
  "ERR_KEY_DISABLED",
  "ERR_KEY_REFUSED",
  "ERR_KEY_UNKNOWN",
];

function isOfKey(error: unknown): error is KeyError {
  return error instanceof KeyError && OF_ONE_KEY.includes(error.code);
}

function isEnding({ state }: KeyMetadata): boolean {
  return state === "PendingDeletion" || state === "PendingReplicaDeletion";
}

function unknownKey(): KeyError {
  return new KeyError("ERR_KEY_UNKNOWN", "Custody holds no key with this id");
}
