import { createHash, randomBytes, type KeyObject } from "node:crypto";
import type { Agent } from "node:https";
import { systemClock, type Clock } from "@redoubt/base";
import { type Custodian, type CustodyKey } from "@redoubt/custody";
import { KeyError, publicJwk, verifyJwsSignature, type SignatureAlgorithm } from "@redoubt/keys";
import { systemParts, type GateParts } from "@redoubt/custody/call-gate";
import { AZURE_KEYS, azureAlgorithm } from "./algorithm.ts";
import { checkRing, checkKid, isOfRing, readFields, readKey, type VaultKey } from "./answers.ts";
import { openCredential, retryableCredential } from "./credential.ts";
import { unexpected } from "./failure.ts";
import {
  ALG_TAG,
  RING_TAG,
  idOfKid,
  isKeyName,
  isMadeName,
  parseKeyId,
  type KeyVersionName,
} from "./names.ts";
import { loadKeyVaultSdk, type CryptographyClient, type TokenCredential } from "./sdk.ts";
import { checkSettings, type AzureKeyVaultSettings, type CheckedSettings } from "./settings.ts";
import { VaultCalls } from "./vault-calls.ts";

export interface AzureKeyVaultParts extends Partial<Omit<GateParts, "clock">> {
  readonly clock?: Clock;
  /** Who calls, in the place of `identity`. */
  readonly credential?: TokenCredential;
  /** The way to the vault, for a proxy or a test; stays its owner's. */
  readonly agent?: Agent;
}

/** Keys in Azure Key Vault or Managed HSM; `protection` says whether an HSM holds them. */
export interface AzureKeyVaultCustodian extends Custodian {
  readonly protection: "hsm" | "software";
}

/**
 * Keys in one vault. A key's id is `<name>/<version>`; another version of the same name is another key. Opening asks
 * the vault nothing.
 *
 * @throws KeyError `ERR_KEY_CUSTODY` for settings that are wrong, `ERR_KEY_MODULE` where the SDK is not installed
 */
export async function openAzureKeyVaultCustodian(
  settings: AzureKeyVaultSettings,
  parts: AzureKeyVaultParts = {},
): Promise<AzureKeyVaultCustodian> {
  const checked = checkSettings(settings);
  const sdk = await loadKeyVaultSdk();
  const { clock = systemClock, agent, ...gateParts } = parts;
  const credential = parts.credential ?? (await openCredential(settings.identity));
  const calls = new VaultCalls({
    sdk,
    settings: checked,
    credential: retryableCredential(credential),
    parts: { ...systemParts, ...gateParts, clock },
    agent,
  });
  return new VaultCustodian(calls, checked, clock);
}

interface Refusal {
  readonly id: string;
  readonly reason: string;
}

class VaultCustodian implements AzureKeyVaultCustodian {
  readonly label = "kms";
  readonly protection: "hsm" | "software";
  readonly #calls: VaultCalls;
  readonly #settings: CheckedSettings;
  readonly #clock: Pick<Clock, "now">;
  readonly #open = new Map<string, KeyObject>();

  constructor(calls: VaultCalls, settings: CheckedSettings, clock: Pick<Clock, "now">) {
    this.protection = settings.isHardware ? "hsm" : "software";
    this.#calls = calls;
    this.#settings = settings;
    this.#clock = clock;
  }

  async generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    const { ring, isHardware, origin } = this.#settings;
    const { type, options } = AZURE_KEYS[azureAlgorithm(alg)];
    const name = `${ring}-${randomBytes(16).toString("hex")}`;
    const wanted = {
      ...options,
      enabled: true,
      exportable: false,
      keyOps: ["sign"],
      tags: { [RING_TAG]: ring, [ALG_TAG]: alg },
    };
    // A key that is made where its answer is lost is listed, and can be ended; it is not made twice.
    const key = await this.#calls.call(async (client, call) => {
      const keyType = isHardware ? `${type}-HSM` : type;
      const answer = await client.createKey(name, keyType, { ...wanted, ...call });
      const id = idOfKid(origin, readFields(answer).id);
      if (id?.startsWith(`${name}/`) !== true) throw unexpected("another key than was to be made");
      return this.#read(parseKeyId(id), answer);
    }, "if-refused");
    if (key.alg !== alg) throw unexpected("a key of another algorithm");
    return this.#custodyKey(key);
  }

  async open(id: string): Promise<CustodyKey> {
    return this.#custodyKey(await this.#get(parseKeyId(id)));
  }

  /** Every version of every name of the ring: one call a page, and one more a name. */
  async list(): Promise<readonly string[]> {
    const { ring, origin } = this.#settings;
    const ids = [];
    for (const item of await this.#calls.list((client) => client.listPropertiesOfKeys({}))) {
      const { name, tags } = readFields(item);
      if (!isKeyName(name)) throw unexpected("a key without a name");
      // The tags are those of the newest version, which may be somebody else's: it must not hide ours.
      if (!isOfRing(tags, ring) && !isMadeName(name, ring)) continue;
      for (const version of await this.#versions(name)) {
        const id = idOfKid(origin, version.id);
        if (id?.startsWith(`${name}/`) !== true) throw unexpected("a version of another key");
        if (isOfRing(version.tags, ring)) ids.push(id);
      }
    }
    return ids.toSorted();
  }

  /**
   * The key is disabled at once, so that it stays so if somebody brings it back, and deleted; when it is gone for
   * good is for the vault's retention to say.
   */
  async destroy(id: string): Promise<void> {
    const names = parseKeyId(id);
    this.#open.delete(id);
    try {
      await this.#destroy(names);
    } catch (error) {
      if (!(error instanceof KeyError && error.code === "ERR_KEY_UNKNOWN")) throw error;
    }
  }

  async audit(): Promise<readonly Refusal[]> {
    const refusals: Refusal[] = [];
    for (const id of await this.list())
      try {
        const { publicKey } = await this.#get(parseKeyId(id));
        if (this.#open.get(id)?.equals(publicKey) === false)
          throw new KeyError("ERR_KEY_REFUSED", "Key has another public key than before");
      } catch (error) {
        if (!(error instanceof KeyError)) throw error;
        // Disabled, or ended since it was listed: it signs no more anyway.
        if (error.code === "ERR_KEY_DISABLED" || error.code === "ERR_KEY_UNKNOWN") continue;
        if (error.code !== "ERR_KEY_REFUSED") throw error;
        this.#open.delete(id);
        refusals.push({ id, reason: error.message });
      }
    return refusals;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open.clear();
    this.#calls.close();
  }

  async #destroy(names: KeyVersionName): Promise<void> {
    const { name, version } = names;
    const { ring, origin } = this.#settings;
    // A mistyped id must not end a key of somebody else in the same vault.
    await this.#calls.call(async (client, call) => {
      const { id, properties } = readFields(await client.getKey(name, { version, ...call }));
      checkKid(origin, names, id);
      checkRing(readFields(properties).tags, ring);
    });
    await this.#calls.call(async (client, call) =>
      client.updateKeyProperties(name, version, { enabled: false, ...call }),
    );
    // P6: Azure deletes names, not versions.
    if ((await this.#versions(name)).length > 1)
      throw new KeyError(
        "ERR_KEY_REFUSED",
        "Key is disabled; deleting it would end other versions",
      );
    await this.#calls.call(async (client, call) => client.beginDeleteKey(name, call));
  }

  async #versions(name: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const versions = await this.#calls.list((client) =>
      client.listPropertiesOfKeyVersions(name, {}),
    );
    return versions.map(readFields);
  }

  async #get(names: KeyVersionName): Promise<VaultKey> {
    const { name, version } = names;
    return this.#calls.call(async (client, call) =>
      this.#read(names, await client.getKey(name, { version, ...call })),
    );
  }

  #read(names: KeyVersionName, answer: unknown): VaultKey {
    return readKey(names, answer, this.#settings, this.#clock.now());
  }

  #custodyKey(key: VaultKey): CustodyKey {
    const { names, alg, publicKey, sdkKey } = key;
    const client = this.#calls.cryptography(sdkKey);
    this.#open.set(names.id, publicKey);
    return {
      id: names.id,
      alg,
      publicJwk: publicJwk(publicKey),
      sign: async (input) => this.#sign(key, client, input),
    };
  }

  async #sign(
    { names, alg, publicKey }: VaultKey,
    client: CryptographyClient,
    input: Uint8Array,
  ): Promise<Buffer> {
    if (!this.#open.has(names.id))
      throw new KeyError("ERR_KEY_UNKNOWN", "Key is destroyed or its custody is closed");
    const digest = createHash("sha256").update(input).digest();
    return this.#calls.call(async (_, { abortSignal }) => {
      let kid: unknown;
      // The SDK answers the `kid` that it asked for; the one that was answered is only here.
      const onResponse = ({ parsedBody }: { parsedBody?: unknown }): void => {
        kid = readFields(parsedBody).kid;
      };
      const { result } = readFields(await client.sign(alg, digest, { abortSignal, onResponse }));
      checkKid(this.#settings.origin, names, kid);
      if (!(result instanceof Uint8Array)) throw unexpected("no signature");
      return verifyJwsSignature(alg, publicKey, input, Buffer.from(result));
    });
  }
}
