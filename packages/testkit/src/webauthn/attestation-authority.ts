import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";

/** A leaf that attests authenticators of one model, with the chain that is sent. */
export interface AttestationLeaf {
  readonly privateKey: KeyObject;
  /** DER; the leaf first. The root is not among them. */
  readonly x5c: readonly Buffer[];
}

export interface LeafOptions {
  /** Milliseconds since 1970. */
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** `null` leaves the extension out, which WebAuthn §8.2.1 allows for a vendor with one model. */
  readonly aaguid: string | null;
  /** Makes it a certificate of this host, as that which signs metadata. */
  readonly host?: string;
  /** Kind of the leaf's key; default "ec", which is P-256. */
  readonly kind?: "ec" | "rsa";
}

const NOT_BEFORE = Date.UTC(2020, 0);
const NOT_AFTER = Date.UTC(2070, 0);
const ECDSA_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
/** 1.3.6.1.4.1.45724.1.1.4, id-fido-gen-ce-aaguid. */
const AAGUID_EXTENSION = oid(0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xe5, 0x1c, 0x01, 0x01, 0x04);
const BASIC_CONSTRAINTS = oid(0x55, 0x1d, 0x13);
const SUBJECT_ALT_NAME = oid(0x55, 0x1d, 0x11);
const KEY_USAGE = oid(0x55, 0x1d, 0x0f);

/** A vendor's root of its own: certifies attestation keys as WebAuthn §8.2.1 demands. */
export class AttestationAuthority {
  /** DER of the root. */
  readonly certificate: Buffer;
  readonly #key: KeyObject;
  readonly #name: Buffer;

  constructor(name = "Test vendor root") {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#key = privateKey;
    this.#name = sequence(attribute(3, name));
    this.certificate = this.#certify(this.#name, publicKey, { aaguid: null }, [
      sequence(BASIC_CONSTRAINTS, TRUE, der(0x04, sequence(TRUE))),
      sequence(KEY_USAGE, TRUE, der(0x04, der(0x03, Buffer.of(1, 0x06)))),
    ]);
  }

  leaf(options: LeafOptions): AttestationLeaf {
    const { publicKey, privateKey } =
      options.kind === "rsa"
        ? generateKeyPairSync("rsa", { modulusLength: 2048 })
        : generateKeyPairSync("ec", { namedCurve: "P-256" });
    const subject = sequence(
      attribute(6, "SE"),
      attribute(10, "Test vendor"),
      attribute(11, "Authenticator Attestation"),
      attribute(3, "Test model"),
    );
    const extensions = [sequence(BASIC_CONSTRAINTS, TRUE, der(0x04, sequence()))];
    if (options.aaguid !== null) {
      const value = der(0x04, Buffer.from(options.aaguid.replaceAll("-", ""), "hex"));
      extensions.push(sequence(AAGUID_EXTENSION, der(0x04, value)));
    }
    if (options.host !== undefined) {
      const names = sequence(der(0x82, Buffer.from(options.host)));
      extensions.push(sequence(SUBJECT_ALT_NAME, der(0x04, names)));
    }
    return { privateKey, x5c: [this.#certify(subject, publicKey, options, extensions)] };
  }

  #certify(
    subject: Buffer,
    key: KeyObject,
    { notBefore = NOT_BEFORE, notAfter = NOT_AFTER }: LeafOptions,
    extensions: readonly Buffer[],
  ): Buffer {
    const body = sequence(
      der(0xa0, der(0x02, Buffer.of(2))),
      der(0x02, Buffer.of(1)),
      ECDSA_SHA256,
      this.#name,
      sequence(time(notBefore), time(notAfter)),
      subject,
      key.export({ format: "der", type: "spki" }),
      der(0xa3, sequence(...extensions)),
    );
    const signature = sign("sha256", body, this.#key);
    return sequence(body, ECDSA_SHA256, der(0x03, Buffer.of(0), signature));
  }
}

const TRUE = der(0x01, Buffer.of(0xff));

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), value]);
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts);
}

function oid(...bytes: readonly number[]): Buffer {
  return der(0x06, Buffer.from(bytes));
}

/** An attribute 2.5.4.n of a name. A country is a PrintableString (X.520). */
function attribute(n: number, text: string): Buffer {
  const value = der(n === 6 ? 0x13 : 0x0c, Buffer.from(text));
  return der(0x31, sequence(oid(0x55, 0x04, n), value));
}

/** RFC 5280 §4.1.2.5: UTCTime until 2049, then GeneralizedTime. */
function time(ms: number): Buffer {
  const date = new Date(ms);
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  return date.getUTCFullYear() < 2050
    ? der(0x17, Buffer.from(digits.slice(2)))
    : der(0x18, Buffer.from(digits));
}
