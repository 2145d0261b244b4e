import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** One request as it came over the wire. */
export interface SignedRequest {
  readonly method: string;
  readonly target: string;
  /** Names and values in the order of the wire. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

export interface SigV4Secret {
  readonly secret: string;
  readonly sessionToken?: string;
}

export interface SigV4Expected {
  /** By access key id. */
  readonly secrets: ReadonlyMap<string, SigV4Secret>;
  readonly region: string;
  readonly service: string;
  readonly nowMs: number;
}

/** Named as AWS names them (Common Errors). */
export class SigV4Error extends Error {
  override readonly name = "SigV4Error";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([A-Z0-9]{4,128})\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/;
const AMZ_DATE = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;
const MAX_SKEW_MS = 300_000;

/**
 * Checks a signature as AWS does (IAM User Guide, "Signature Version 4 for API requests"), for requests to `/`.
 * Written from that text alone, so that it says something about the SDK that signs.
 *
 * @returns the access key id
 * @throws SigV4Error
 */
export function checkSigV4(request: SignedRequest, expected: SigV4Expected): string {
  const [, keyId = "", day = "", region, service, signed = "", signature = ""] =
    AUTHORIZATION.exec(headerOf(request, "authorization")) ?? [];
  if (keyId === "")
    throw new SigV4Error("IncompleteSignatureException", "Authorization is malformed");
  const secret = expected.secrets.get(keyId);
  if (!secret || (secret.sessionToken ?? "") !== headerOf(request, "x-amz-security-token"))
    throw new SigV4Error("UnrecognizedClientException", "The security token is invalid");
  const date = checkDate(request, day, expected.nowMs);
  if (region !== expected.region || service !== expected.service)
    throw new SigV4Error("InvalidSignatureException", "Credential is scoped to another service");
  const names = checkSignedNames(request, signed);
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = ["AWS4-HMAC-SHA256", date, scope, sha256(canonical(request, names))].join("\n");
  const key = [day, region, service, "aws4_request"].reduce(
    hmac,
    Buffer.from(`AWS4${secret.secret}`),
  );
  if (!timingSafeEqual(hmac(key, toSign), Buffer.from(signature, "hex")))
    throw new SigV4Error("InvalidSignatureException", "The signature does not match");
  return keyId;
}

function checkDate(request: SignedRequest, day: string, nowMs: number): string {
  const date = headerOf(request, "x-amz-date");
  const [, ...parts] = AMZ_DATE.exec(date) ?? [];
  const [year = 0, month = 0, dayOfMonth, hours, minutes, seconds] = parts.map(Number);
  const atMs = Date.UTC(year, month - 1, dayOfMonth, hours, minutes, seconds);
  if (parts.length === 0 || Math.abs(atMs - nowMs) > MAX_SKEW_MS || !date.startsWith(day))
    throw new SigV4Error("InvalidSignatureException", "Signature expired or not yet current");
  return date;
}

/** Host, every X-Amz header and the type of the body must be signed, or could be changed on the way. */
function checkSignedNames(request: SignedRequest, signed: string): readonly string[] {
  const names = signed.split(";");
  const needed = request.headers
    .map(([name]) => name.toLowerCase())
    .filter((name) => name === "host" || name === "content-type" || name.startsWith("x-amz-"));
  const isSorted = names.toSorted().join(";") === signed && new Set(names).size === names.length;
  if (!isSorted || !names.includes("host") || !needed.every((name) => names.includes(name)))
    throw new SigV4Error("InvalidSignatureException", "A header that must be signed is not");
  return names;
}

function canonical(request: SignedRequest, names: readonly string[]): string {
  const [path, query = ""] = request.target.split("?");
  if (path !== "/") throw new SigV4Error("InvalidSignatureException", "Path must be /");
  const headers = names.map((name) => `${name}:${headerOf(request, name)}\n`).join("");
  return [
    request.method,
    path,
    canonicalQuery(query),
    headers,
    names.join(";"),
    payload(request),
  ].join("\n");
}

function canonicalQuery(query: string): string {
  if (query === "") return "";
  return query
    .split("&")
    .map((pair) => {
      const [name = "", value = ""] = pair
        .split("=")
        .map((part) => encode(decodeURIComponent(part)));
      return `${name}=${value}`;
    })
    .toSorted()
    .join("&");
}

/** RFC 3986 §2.3: everything but the unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function payload(request: SignedRequest): string {
  const hash = sha256(request.body);
  const claimed = headerOf(request, "x-amz-content-sha256");
  if (claimed !== "" && claimed !== hash)
    throw new SigV4Error("InvalidSignatureException", "x-amz-content-sha256 is of another body");
  return hash;
}

/** All values of a header, each trimmed and with single spaces, in the order of the wire. */
function headerOf({ headers }: SignedRequest, wanted: string): string {
  return headers
    .filter(([name]) => name.toLowerCase() === wanted)
    .map(([, value]) => value.trim().replaceAll(/ +/g, " "))
    .join(",");
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text, "utf8").digest();
}
