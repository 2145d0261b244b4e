import { singleHeader, type RequestHead } from "@redoubt/http";
import type { ReporterStatement } from "@redoubt/registry";
import { PinnedKey, signatureBase } from "@redoubt/verify";

/** Who signed a request, when, and the SHA-256 that its body must have, in base64. */
export interface Signed {
  readonly reporter: string;
  readonly createdSeconds: number;
  readonly sha256: string;
}

export const MAX_CLOCK_DIFFERENCE_SECONDS = 300;
const MAX_CONTENT_TYPE_CHARS = 128;
const COVERED = ["@method", "@path", "content-type", "content-digest"] as const;
const COMPONENTS = COVERED.map((name) => `"${name}"`).join(" ");
/** RFC 9421 §5.1: what a request must be signed with. */
export const ACCEPT_SIGNATURE = `sig1=(${COMPONENTS});created;alg="ed25519";tag="redoubt-report"`;
const SIGNATURE_INPUT = new RegExp(
  `^sig1=\\(${COMPONENTS}\\)(;created=([1-9]\\d{0,10});keyid="([A-Za-z0-9._-]{1,64})";alg="ed25519";tag="redoubt-report")$`,
);
const SIGNATURE = /^sig1=:([A-Za-z0-9+/]{85}[AQgw]==):$/;
const CONTENT_DIGEST = /^sha-256=:([A-Za-z0-9+/]{43}=):$/;
/** Of a key that nobody has the private half of: an unknown name costs what a known one does. */
const NOBODY = "X4LWGdL-z_zgHl2zREW7RCv03xyR0nAR4Ss_HRfneuM";

/**
 * Reads who signed a request from its headers alone (RFC 9421, in the one form of docs/spec/reports.md §1), or
 * undefined: unknown name, wrong signature and disabled reporter look alike.
 */
export function authenticate(
  head: Pick<RequestHead, "method" | "path" | "query" | "rawHeaders">,
  reporters: ReadonlyMap<string, ReporterStatement>,
): Signed | undefined {
  const header = (name: string): string => singleHeader(head, name) ?? "";
  const input = SIGNATURE_INPUT.exec(header("signature-input"));
  const [, signature] = SIGNATURE.exec(header("signature")) ?? [];
  const digest = header("content-digest");
  const [, sha256] = CONTENT_DIGEST.exec(digest) ?? [];
  const type = header("content-type");
  const [, parameters = "", created = "", name = ""] = input ?? [];
  // No component covers a query, and no route has one.
  if (!input || signature === undefined || sha256 === undefined || head.query !== "")
    return undefined;
  if (type.length > MAX_CONTENT_TYPE_CHARS) return undefined;
  const values = [head.method, head.path, type, digest];
  const covered = Object.fromEntries(COVERED.map((one, at) => [one, values[at] ?? ""]));
  const { base } = signatureBase(covered, parameters);
  const reporter = reporters.get(name);
  const key = new PinnedKey(reporter?.publicKey ?? NOBODY);
  const isSigned = key.hasSigned(base, Buffer.from(signature, "base64"));
  if (!isSigned || reporter?.status !== "active") return undefined;
  return { reporter: name, createdSeconds: Number(created), sha256 };
}
