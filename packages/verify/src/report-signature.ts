import { createPrivateKey, hash, sign, type KeyObject } from "node:crypto";
import { decodeBase64url } from "./base64url.ts";

/** RFC 8410 §7: what stands before the seed in the PKCS#8 form of an Ed25519 key. */
const ED25519_PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * The key that a reporter's secret is the seed of (RFC 8032 §5.1.5).
 *
 * @throws TypeError for anything but 32 bytes in base64url
 * @internal Its result is a KeyObject.
 */
export function reporterKey(secret: string): KeyObject {
  let seed: Buffer;
  try {
    seed = decodeBase64url(secret, { bytes: 32 });
  } catch (cause) {
    throw new TypeError(
      "secret: expected the 43 characters that `redoubt reporters add` (or `rotate`) prints: 32 bytes as base64url",
      { cause },
    );
  }
  const key = Buffer.concat([ED25519_PKCS8_PREFIX, seed]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

/**
 * What is signed of a request (`base`, RFC 9421 §2.5) and the value of `signature-input` that says so (`input`, §4.1).
 * Nothing is escaped: the caller makes sure that no value, such as the `keyid`, needs it.
 * @internal
 */
export function signatureBase(
  components: Readonly<Record<string, string>>,
  parameters: string,
): { readonly input: string; readonly base: Buffer } {
  const names = Object.keys(components).map((name) => `"${name}"`);
  const input = `(${names.join(" ")})${parameters}`;
  const lines = Object.entries(components).map(([name, value]) => `"${name}": ${value}\n`);
  return { input, base: Buffer.from(`${lines.join("")}"@signature-params": ${input}`, "utf8") };
}

/**
 * The headers of a reporter's request, in the one form that a monitor takes (docs/spec/reports.md §1).
 * @internal
 */
export function signedHeaders(
  { reporter, key }: { readonly reporter: string; readonly key: KeyObject },
  path: string,
  body: string | Uint8Array,
  nowMs: number,
): Record<string, string> {
  // RFC 9530 §2.
  const covered = {
    "content-type": "application/json",
    "content-digest": `sha-256=:${hash("sha256", body, "base64")}:`,
  };
  const { input, base } = signatureBase(
    { "@method": "POST", "@path": path, ...covered },
    `;created=${Math.floor(nowMs / 1000)};keyid="${reporter}";alg="ed25519";tag="redoubt-report"`,
  );
  const signature = sign(null, base, key).toString("base64");
  return { ...covered, "signature-input": `sig1=${input}`, signature: `sig1=:${signature}:` };
}
