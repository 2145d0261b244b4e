import { hash, timingSafeEqual } from "node:crypto";
import type { ReporterStatement } from "@redoubt/keys";

const MAX_HEADER_CHARS = 512;
const NOBODY = hash("sha256", "no reporter", "base64url");

/**
 * The reporter that an `Authorization: Basic` header proves, or undefined: unknown name, wrong secret and disabled
 * reporter look alike. `credentialHash` is the SHA-256 of the secret, base64url.
 */
export function authenticate(
  header: string | undefined,
  reporters: ReadonlyMap<string, ReporterStatement>,
): string | undefined {
  const match = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec((header ?? "").slice(0, MAX_HEADER_CHARS));
  const text = Buffer.from(match?.[1] ?? "", "base64").toString("utf8");
  const colon = text.indexOf(":");
  const name = text.slice(0, Math.max(0, colon));
  const reporter = reporters.get(name);
  const found = Buffer.from(hash("sha256", text.slice(colon + 1), "base64url"), "utf8");
  const expected = Buffer.from(reporter?.credentialHash ?? NOBODY, "utf8");
  const isSame = found.length === expected.length && timingSafeEqual(found, expected);
  return colon > 0 && isSame && reporter?.status === "active" ? name : undefined;
}
