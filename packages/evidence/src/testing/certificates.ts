import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import {
  bits,
  boolean,
  commonName,
  der,
  integer,
  nothing,
  octets,
  oid,
  sequence,
  time,
} from "./der-writer.ts";

export interface Signer {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly scheme: Scheme;
}

export type Scheme = "ecdsa-sha256" | "ecdsa-sha384" | "pss-sha384" | "rsa-sha256";

const MGF1 = "1.2.840.113549.1.1.8";
const SHA384 = "2.16.840.1.101.3.4.2.2";

export function algorithmOf(scheme: Scheme): Buffer {
  const sha384 = sequence(oid(SHA384), nothing());
  switch (scheme) {
    case "ecdsa-sha256":
      return sequence(oid("1.2.840.10045.4.3.2"));
    case "ecdsa-sha384":
      return sequence(oid("1.2.840.10045.4.3.3"));
    case "rsa-sha256":
      return sequence(oid("1.2.840.113549.1.1.11"), nothing());
    case "pss-sha384":
      return sequence(
        oid("1.2.840.113549.1.1.10"),
        sequence(der(0xa0, sha384), der(0xa1, sequence(oid(MGF1), sha384)), der(0xa2, integer(48))),
      );
    default:
      throw new RangeError("unknown scheme");
  }
}

export function signWith({ scheme, privateKey }: Signer, data: Buffer): Buffer {
  if (scheme === "pss-sha384") {
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    return sign("sha384", data, { key: privateKey, padding, saltLength: 48 });
  }
  return sign(scheme === "ecdsa-sha384" ? "sha384" : "sha256", data, privateKey);
}

/** A key pair with a name: an authority or a leaf of a test's own hierarchy. */
export function makeSigner(name: string, scheme: Scheme): Signer {
  const pair = scheme.startsWith("ecdsa")
    ? generateKeyPairSync("ec", { namedCurve: scheme === "ecdsa-sha256" ? "P-256" : "P-384" })
    : generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { name, scheme, ...pair };
}

export interface Extension {
  readonly oid: string;
  readonly value: Buffer;
  readonly isCritical?: boolean;
}

/** What makes a certificate an authority: basic constraints and key usage. */
export function authority(pathLength?: number): readonly Extension[] {
  const length = pathLength === undefined ? [] : [integer(pathLength)];
  return [
    { oid: "2.5.29.19", value: sequence(boolean(true), ...length), isCritical: true },
    { oid: "2.5.29.15", value: bits(Buffer.of(0x06), 1), isCritical: true },
  ];
}

export interface CertificateOptions {
  readonly subject: Signer;
  readonly issuer: Signer;
  readonly extensions?: readonly Extension[];
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly serialNumber?: number;
  readonly version?: number;
  readonly spki?: Buffer;
  /** The algorithm inside what is signed, where it differs. */
  readonly innerAlgorithm?: Buffer;
}

export const TEST_NOW: number = Date.UTC(2026, 5, 1);
const YEAR_MS = 31_536_000_000;

/** DER of a certificate that was really signed. */
export function makeCertificate(options: CertificateOptions): Buffer {
  const { subject, issuer, extensions = [], serialNumber = 1, version = 2 } = options;
  const { notBefore = TEST_NOW - YEAR_MS, notAfter = TEST_NOW + YEAR_MS } = options;
  const algorithm = algorithmOf(issuer.scheme);
  const body = sequence(
    der(0xa0, integer(version)),
    integer(serialNumber),
    options.innerAlgorithm ?? algorithm,
    commonName(issuer.name),
    sequence(time(notBefore), time(notAfter)),
    commonName(subject.name),
    options.spki ?? subject.publicKey.export({ format: "der", type: "spki" }),
    ...(extensions.length === 0 ? [] : [der(0xa3, sequence(...extensions.map(extensionOf)))]),
  );
  return sequence(body, algorithm, bits(signWith(issuer, body)));
}

export function extensionOf({ oid: id, value, isCritical }: Extension): Buffer {
  return sequence(
    oid(id),
    ...(isCritical === undefined ? [] : [boolean(isCritical)]),
    octets(value),
  );
}

export interface CrlOptions {
  readonly issuer: Signer;
  readonly revoked?: readonly number[];
  readonly thisUpdate?: number;
  readonly nextUpdate?: number;
  readonly extensions?: readonly Extension[];
  readonly entryExtensions?: readonly Extension[];
  readonly version?: number;
  readonly innerAlgorithm?: Buffer;
}

export function makeCrl(options: CrlOptions): Buffer {
  const { issuer, revoked = [], extensions = [], entryExtensions = [], version = 1 } = options;
  const { thisUpdate = TEST_NOW - YEAR_MS, nextUpdate = TEST_NOW + YEAR_MS } = options;
  const algorithm = algorithmOf(issuer.scheme);
  const reasons =
    entryExtensions.length === 0 ? [] : [sequence(...entryExtensions.map(extensionOf))];
  const entries = revoked.map((serial) => sequence(integer(serial), time(thisUpdate), ...reasons));
  const body = sequence(
    integer(version),
    options.innerAlgorithm ?? algorithm,
    commonName(issuer.name),
    time(thisUpdate),
    time(nextUpdate),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    ...(extensions.length === 0 ? [] : [der(0xa0, sequence(...extensions.map(extensionOf)))]),
  );
  return sequence(body, algorithm, bits(signWith(issuer, body)));
}
