import { hash, randomBytes } from "node:crypto";
import type { SignatureAlgorithm } from "@redoubt/keys";
import type { Custodian, CustodyKey, RefusedKey } from "../custody.ts";
import { KeyError } from "@redoubt/keys";
import { verifyJwsSignature } from "@redoubt/keys";
import { TOKEN_ALGORITHMS } from "./algorithms.ts";
import type { Connection } from "./connection.ts";
import { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, type Cryptoki, type Handle } from "./cryptoki.ts";
import {
  checkPair,
  inspectKey,
  keyRefused,
  keyUnknown,
  parseKeyId,
  type InspectedKey,
} from "./key-inspection.ts";
import { findHalves, listIds, templates } from "./objects.ts";

/** A key in use; its handle is good for one epoch of the connection. */
interface HeldKey extends InspectedKey {
  readonly epoch: number;
}

/** Keys in a PKCS#11 token, made by `openPkcs11Custodian`. */
export class Pkcs11Custodian implements Custodian {
  readonly label = "pkcs11";
  readonly #cryptoki: Cryptoki;
  readonly #connection: Connection;
  readonly #signsAside: boolean;
  readonly #held = new Map<string, HeldKey>();
  readonly #refused = new Map<string, KeyError>();
  #isClosed = false;

  constructor(cryptoki: Cryptoki, connection: Connection, signing: "sync" | "async" | undefined) {
    this.#cryptoki = cryptoki;
    this.#connection = connection;
    const isHardware = connection.run(() => connection.token.isHardware(connection.slot));
    this.#signsAside = signing === undefined ? isHardware : signing === "async";
  }

  async generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    this.#checkOffered(alg);
    return this.#connection.token.exclusively(async () => {
      const id = await this.#makePair(alg);
      try {
        return await this.#admit(id);
      } catch (error) {
        // What the token made is not what was asked for: nothing must find and use it later.
        if (error instanceof KeyError && error.code === "ERR_KEY_REFUSED") this.#destroyNow(id);
        throw error;
      }
    });
  }

  async open(id: string): Promise<CustodyKey> {
    this.#checkIsOpen();
    return this.#admit(id);
  }

  async list(): Promise<readonly string[]> {
    this.#checkIsOpen();
    return [...this.#listIds().whole].toSorted();
  }

  async destroy(id: string): Promise<void> {
    parseKeyId(id);
    this.#checkIsOpen();
    this.#held.delete(id);
    await this.#connection.token.exclusively(async () => this.#destroyNow(id));
  }

  async audit(): Promise<readonly RefusedKey[]> {
    this.#checkIsOpen();
    const { whole, privateOnly } = this.#listIds();
    const refused: RefusedKey[] = [];
    for (const id of new Set([...whole, ...privateOnly]))
      try {
        await this.#inspectPair(id);
      } catch (error) {
        if (!(error instanceof KeyError) || error.code !== "ERR_KEY_REFUSED") throw error;
        this.#held.delete(id);
        this.#refused.set(id, error);
        refused.push({ id, reason: error.message });
      }
    return refused;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#held.clear();
    await this.#connection.close();
  }

  #checkIsOpen(): void {
    if (this.#isClosed) throw new KeyError("ERR_KEY_UNKNOWN", "Custody is closed");
  }

  #checkOffered(alg: SignatureAlgorithm): void {
    this.#checkIsOpen();
    const { generation, signing } = TOKEN_ALGORITHMS[alg];
    const { token } = this.#connection;
    const offered = this.#connection.run(() =>
      this.#cryptoki.C_GetMechanismList(this.#connection.slot),
    );
    if (!offered.includes(generation) || !offered.includes(signing.mechanism))
      throw new KeyError("ERR_KEY_ALG", `Token ${token.label} does not offer ${alg}`);
  }

  /** A repeated attempt takes another id: the first may have made a pair before it failed. */
  async #makePair(alg: SignatureAlgorithm): Promise<string> {
    const { generation, isSlow } = TOKEN_ALGORITHMS[alg];
    const mechanism = { mechanism: generation };
    const make = async (session: Handle): Promise<string> => {
      const id = randomBytes(16);
      const { publicKey, privateKey } = templates(alg, id);
      if (isSlow || this.#signsAside)
        await this.#cryptoki.C_GenerateKeyPairAsync(session, mechanism, publicKey, privateKey);
      else this.#cryptoki.C_GenerateKeyPair(session, mechanism, publicKey, privateKey);
      return id.toString("hex");
    };
    return this.#connection.runAside(make);
  }

  async #admit(id: string): Promise<CustodyKey> {
    const held = await this.#inspectPair(id);
    if (!held) throw keyUnknown();
    this.#checkIsOpen();
    this.#refused.delete(id);
    this.#held.set(id, held);
    const { alg, publicJwk } = held;
    return { id, alg, publicJwk, sign: (input) => this.#sign(id, input) };
  }

  async #inspectPair(id: string): Promise<HeldKey | undefined> {
    parseKeyId(id);
    const held = this.#connection.run((session) => this.#inspect(session, id));
    if (held) await checkPair(held, (input) => this.#signWith(held, input));
    return held;
  }

  #inspect(session: Handle, id: string): HeldKey | undefined {
    const inspected = inspectKey(this.#cryptoki, session, id);
    if (!inspected) this.#connection.assertPresent();
    return inspected && { ...inspected, epoch: this.#connection.epoch };
  }

  // The right to use a key ends with the key and with the session, for whoever still holds it.
  #sign(id: string, input: Uint8Array): Buffer | Promise<Buffer> {
    const held = this.#held.get(id);
    if (!held) throw this.#refused.get(id) ?? keyUnknown();
    return this.#signWith(held, input);
  }

  #signWith(held: HeldKey, input: Uint8Array): Buffer | Promise<Buffer> {
    if (this.#signsAside || TOKEN_ALGORITHMS[held.alg].isSlow) return this.#signAside(held, input);
    return this.#connection.run((session) => {
      const { data, out } = this.#begin(session, held, input);
      return checkLength(this.#cryptoki.C_Sign(session, data, out), out);
    });
  }

  async #signAside(held: HeldKey, input: Uint8Array): Promise<Buffer> {
    const { signature } = await this.#connection.runAside(async (session) => {
      const { data, out } = this.#begin(session, held, input);
      const made = await this.#cryptoki.C_SignAsync(session, data, out);
      // NOTE: returning `data` keeps it in memory: the binding holds no reference while the other thread reads it.
      return { data, signature: checkLength(made, out) };
    });
    // A faulty RSA-CRT signature gives the key away; the check costs little beside the signature.
    if (TOKEN_ALGORITHMS[held.alg].isSlow)
      verifyJwsSignature(held.alg, held.publicKey, input, signature);
    return signature;
  }

  #begin(session: Handle, held: HeldKey, input: Uint8Array): { data: Uint8Array; out: Buffer } {
    const { signing, hashesFirst, signatureBytes } = TOKEN_ALGORITHMS[held.alg];
    this.#cryptoki.C_SignInit(session, signing, this.#handleOf(session, held));
    return {
      data: hashesFirst ? hash("sha256", input, "buffer") : input,
      out: Buffer.allocUnsafe(signatureBytes),
    };
  }

  /** Where sessions were lost, the key is found and inspected anew: the token that came back may be another one. */
  #handleOf(session: Handle, held: HeldKey): Handle {
    const { id, epoch } = this.#held.get(held.id) ?? held;
    if (epoch === this.#connection.epoch) return held.handle;
    const found = this.#inspect(session, id);
    if (!found) throw keyUnknown();
    if (!found.publicKey.equals(held.publicKey))
      throw keyRefused(id, "its public half was replaced");
    if (this.#held.has(id)) this.#held.set(id, found);
    return found.handle;
  }

  #listIds(): ReturnType<typeof listIds> {
    return this.#connection.run((session) => {
      const ids = listIds(this.#cryptoki, session);
      this.#connection.assertPresent();
      return ids;
    });
  }

  #destroyNow(id: string): void {
    const bytes = parseKeyId(id);
    this.#connection.run((session) => {
      // The private half first: what a crash leaves of the public one is no key.
      for (const half of [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY])
        for (const { object } of findHalves(this.#cryptoki, session, half, bytes))
          this.#cryptoki.C_DestroyObject(session, object);
      this.#connection.assertPresent();
    });
  }
}

function checkLength(signature: Buffer, out: Buffer): Buffer {
  if (signature.length === out.length) return signature;
  throw new KeyError("ERR_KEY_SIGNATURE", `Token gave a signature of ${signature.length} bytes`);
}
