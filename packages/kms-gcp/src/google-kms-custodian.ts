import { createHash, randomBytes, type KeyObject } from "node:crypto";
import { type Custodian, type CustodyKey } from "@redoubt/custody";
import {
  joseFromDer,
  KeyError,
  publicJwk,
  verifyJwsSignature,
  type SignatureAlgorithm,
} from "@redoubt/keys";
import { systemParts, type GateParts } from "@redoubt/custody/call-gate";
import { GOOGLE_ALGORITHMS, joseAlgorithm, readPublicKey } from "./algorithm.ts";
import { isFailedPrecondition } from "./failure.ts";
import { KmsCalls, unexpected } from "./kms-calls.ts";
import { listKeyVersions } from "./list-key-versions.ts";
import { RING_LABEL, keyOfVersion, parseKeyId, type KeyVersionName } from "./names.ts";
import {
  isGone,
  readPublicKeyAnswer,
  readSignature,
  readVersion,
  signRequest,
  type KeyVersion,
} from "./answers.ts";
import { isRecord, loadGoogleSdk, type AuthClient, type GoogleSdk } from "./sdk.ts";
import { checkSettings, type CheckedSettings, type GoogleKmsSettings } from "./settings.ts";

export interface GoogleKmsParts extends Partial<GateParts> {
  /** Who calls; default: Application Default Credentials, which on Google's machines is their own identity. */
  readonly authClient?: AuthClient;
  readonly sdk?: GoogleSdk;
}

/** Keys in Google Cloud KMS; `protection` says whether an HSM holds them. */
export interface GoogleKmsCustodian extends Custodian {
  readonly protection: "hsm" | "software";
}

/**
 * Keys as versions of asymmetric signing keys in one key ring. A key's id is `<key>/<version>`; another version
 * of the same key is another key. Opening asks the service nothing.
 *
 * @throws KeyError `ERR_KEY_CUSTODY` for settings that are wrong, `ERR_KEY_MODULE` where `@google-cloud/kms` is not installed
 */
export async function openGoogleKmsCustodian(
  settings: GoogleKmsSettings,
  parts: GoogleKmsParts = {},
): Promise<GoogleKmsCustodian> {
  const checked = checkSettings(settings);
  const { authClient, sdk = await loadGoogleSdk(), ...gateParts } = parts;
  const gate = { ...systemParts, ...gateParts };
  return new KmsCustodian(await KmsCalls.open(sdk, checked, gate, authClient), checked, gate);
}

/** A new key is ready within seconds in an HSM; longer than this is a failure. */
const GENERATION_MS = 60_000;
const GENERATION_POLL_MS = 500;

interface Refusal {
  readonly id: string;
  readonly reason: string;
}

class KmsCustodian implements GoogleKmsCustodian {
  readonly label = "kms";
  readonly protection: "hsm" | "software";
  readonly #calls: KmsCalls;
  readonly #settings: CheckedSettings;
  readonly #parts: GateParts;
  readonly #closing = new AbortController();
  readonly #open = new Map<string, KeyObject>();

  constructor(calls: KmsCalls, settings: CheckedSettings, parts: GateParts) {
    this.protection = settings.protectionLevel === "HSM" ? "hsm" : "software";
    this.#calls = calls;
    this.#settings = settings;
    this.#parts = parts;
  }

  async generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    const { keyRing, ring, protectionLevel } = this.#settings;
    const cryptoKeyId = `${ring}-${randomBytes(16).toString("hex")}`;
    const key = `${keyRing}/cryptoKeys/${cryptoKeyId}`;
    const cryptoKey = {
      purpose: "ASYMMETRIC_SIGN",
      versionTemplate: { algorithm: GOOGLE_ALGORITHMS[alg], protectionLevel },
      labels: { [RING_LABEL]: ring },
    };
    const request = { parent: keyRing, cryptoKeyId, cryptoKey };
    const readName = ({ name }: Readonly<Record<string, unknown>>): void => {
      if (name !== key) throw unexpected("another key was made than asked for");
    };
    // A key that is made where its answer is lost is listed, and can be ended; it is not made twice.
    await this.#calls.call("createCryptoKey", request, readName, "if-refused");
    const names = keyOfVersion(keyRing, cryptoKeyId, "1");
    const version = await this.#whenGenerated(names);
    if (version.algorithm !== GOOGLE_ALGORITHMS[alg])
      throw unexpected("a key of another algorithm");
    return this.#custodyKey(names, version);
  }

  async open(id: string): Promise<CustodyKey> {
    const names = parseKeyId(this.#settings.keyRing, id);
    await this.#checkOurs(names);
    return this.#custodyKey(names, await this.#versionNamed(names.version));
  }

  async list(): Promise<readonly string[]> {
    return listKeyVersions(this.#calls, this.#settings);
  }

  /** The version is scheduled to be destroyed: of no more use here at once, at Google within hours. */
  async destroy(id: string): Promise<void> {
    const names = parseKeyId(this.#settings.keyRing, id);
    this.#open.delete(id);
    try {
      // A mistyped id must not end a key of somebody else in the same key ring.
      await this.#checkOurs(names);
      await this.#destroy(names);
    } catch (error) {
      if (!(error instanceof KeyError && error.code === "ERR_KEY_UNKNOWN")) throw error;
    }
  }

  async audit(): Promise<readonly Refusal[]> {
    const refusals: Refusal[] = [];
    for (const id of await this.list())
      try {
        const { version } = parseKeyId(this.#settings.keyRing, id);
        const { publicKey } = await this.#look(await this.#versionNamed(version));
        if (this.#open.get(id)?.equals(publicKey) === false)
          throw refused("Key has another public key than before");
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
    this.#closing.abort();
    this.#calls.close();
  }

  async #destroy({ version: name }: KeyVersionName): Promise<void> {
    try {
      const after = await this.#calls.call("destroyCryptoKeyVersion", { name }, (answer) =>
        readVersion(name, answer),
      );
      if (!isGone(after)) throw unexpected("a key that was to be destroyed goes on");
    } catch (error) {
      if (!isFailedPrecondition(error)) throw error;
      checkDestroyed(await this.#versionNamed(name), error);
    }
  }

  async #custodyKey(names: KeyVersionName, version: KeyVersion): Promise<CustodyKey> {
    const { id } = names;
    const { alg, publicKey } = await this.#look(version);
    this.#open.set(id, publicKey);
    return {
      id,
      alg,
      publicJwk: publicJwk(publicKey),
      sign: async (input) => this.#sign(id, version, alg, publicKey, input),
    };
  }

  /** What may sign: made by the service itself, where it must be, with an algorithm that is used. */
  async #look(version: KeyVersion): Promise<{ alg: SignatureAlgorithm; publicKey: KeyObject }> {
    const alg = joseAlgorithm(version.algorithm);
    const { protectionLevel } = this.#settings;
    if (version.protectionLevel !== protectionLevel)
      throw refused(`Key is in ${version.protectionLevel}, expected ${protectionLevel}`);
    if (version.isImported) throw refused("Key was imported: there may be a copy outside");
    checkEnabled(version);
    const { name } = version;
    const publicKey = await this.#calls.call("getPublicKey", { name }, (answer) =>
      readPublicKey(alg, readPublicKeyAnswer(version, answer)),
    );
    return { alg, publicKey };
  }

  async #sign(
    id: string,
    version: KeyVersion,
    alg: SignatureAlgorithm,
    publicKey: KeyObject,
    input: Uint8Array,
  ): Promise<Buffer> {
    if (!this.#open.has(id))
      throw new KeyError("ERR_KEY_UNKNOWN", "Key is destroyed or its custody is closed");
    const signed = alg === "Ed25519" ? input : createHash("sha256").update(input).digest();
    const request = signRequest(version.name, alg, signed);
    const signature = await this.#calls
      .call("asymmetricSign", request, (answer) => readSignature(version, alg, answer))
      .catch(async (error: unknown) => this.#whyNotSigned(version.name, error));
    const jose = alg === "ES256" ? joseFromDer(signature) : signature;
    return verifyJwsSignature(alg, publicKey, input, jose);
  }

  // One code for "disabled" and "destroyed"; the caller must know which, only one of them can end.
  async #whyNotSigned(name: string, error: unknown): Promise<never> {
    if (isFailedPrecondition(error)) checkEnabled(await this.#versionNamed(name));
    throw error;
  }

  async #whenGenerated(names: KeyVersionName): Promise<KeyVersion> {
    const deadline = this.#parts.clock.monotonic() + GENERATION_MS;
    for (;;) {
      const version = await this.#versionNamed(names.version);
      if (version.state !== "PENDING_GENERATION") return version;
      if (this.#parts.clock.monotonic() >= deadline)
        throw new KeyError("ERR_KEY_CUSTODY", `Key is not generated in time: ${names.id}`);
      await this.#parts.wait(GENERATION_POLL_MS, this.#closing.signal).catch((cause: unknown) => {
        throw new KeyError("ERR_KEY_UNKNOWN", "Custody is closed", { cause });
      });
    }
  }

  async #versionNamed(name: string): Promise<KeyVersion> {
    return this.#calls.call("getCryptoKeyVersion", { name }, (answer) => readVersion(name, answer));
  }

  async #checkOurs({ key }: KeyVersionName): Promise<void> {
    await this.#calls.call("getCryptoKey", { name: key }, ({ name, purpose, labels }) => {
      if (name !== key) throw unexpected("another key than asked for");
      const ring = isRecord(labels) ? labels[RING_LABEL] : undefined;
      if (purpose !== "ASYMMETRIC_SIGN" || ring !== this.#settings.ring)
        throw new KeyError("ERR_KEY_UNKNOWN", "Key is none of this ring");
    });
  }
}

/** Why a version was not destroyed: it is gone already, it cannot be yet, or an organisation's policy forbids it. */
function checkDestroyed(version: KeyVersion, cause: unknown): void {
  if (isGone(version)) return;
  const message = `Key version is ${version.state}, and is not destroyed from there`;
  const code = version.state === "ENABLED" ? "ERR_KEY_DENIED" : "ERR_KEY_DISABLED";
  throw new KeyError(code, message, { cause });
}

function refused(message: string): KeyError {
  return new KeyError("ERR_KEY_REFUSED", message);
}

function checkEnabled(version: KeyVersion): void {
  if (isGone(version)) throw new KeyError("ERR_KEY_UNKNOWN", "Key is destroyed");
  if (version.state !== "ENABLED")
    throw new KeyError("ERR_KEY_DISABLED", `Key version is ${version.state}, expected ENABLED`);
}
