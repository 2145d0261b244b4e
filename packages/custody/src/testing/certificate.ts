import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

export interface TestCertificate {
  readonly key: string;
  readonly certificate: string;
}

// Object identifiers of RFC 5280 and RFC 5758, encoded.
const ECDSA_WITH_SHA256 = "06082a8648ce3d040302";
const COMMON_NAME = "0603550403";
const SUBJECT_ALT_NAME = "0603551d11";
const BASIC_CONSTRAINTS = "0603551d13";
const FROM = "20200101000000Z";
const UNTIL = "20991231235959Z";

/** A self-signed certificate (RFC 5280 §4.1) of P-256 for this DNS name; its own authority. */
export function makeCertificate(dnsName: string): TestCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(0x30, hex(ECDSA_WITH_SHA256));
  const name = der(0x30, der(0x31, der(0x30, hex(COMMON_NAME), der(0x0c, Buffer.from(dnsName)))));
  const altName = der(0x30, der(0x82, Buffer.from(dnsName)));
  const extensions = der(
    0x30,
    der(0x30, hex(SUBJECT_ALT_NAME), der(0x04, altName)),
    der(0x30, hex(BASIC_CONSTRAINTS), hex("0101ff"), der(0x04, der(0x30, hex("0101ff")))),
  );
  const toBeSigned = der(
    0x30,
    der(0xa0, hex("020102")),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    name,
    der(0x30, der(0x18, Buffer.from(FROM)), der(0x18, Buffer.from(UNTIL))),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, extensions),
  );
  const signature = der(0x03, Buffer.of(0), sign("sha256", toBeSigned, privateKey));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    certificate: pem(der(0x30, toBeSigned, algorithm, signature)),
  };
}

/** One DER element (X.690 §8.1) of less than 64 KiB. */
function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const { length } = body;
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), body]);
}

function hex(digits: string): Buffer {
  return Buffer.from(digits, "hex");
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
