import { X509Certificate, verify } from "node:crypto";
import { parseCertificate, type Certificate } from "@redoubt/evidence";
import {
  isJsonObject,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "@redoubt/verify/json";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { leadsToRoot } from "./certificate-path.ts";
import { orRefuse, PasskeyError } from "./passkey-error.ts";

/** What vendors and the FIDO Alliance say of one model. */
export interface ModelEntry {
  readonly description: string;
  /** Every status that was ever reported, in the order of the file. */
  readonly statuses: readonly string[];
  readonly roots: readonly Certificate[];
}

/** A verified BLOB of the FIDO Metadata Service, version 3. */
export interface ModelMetadata {
  /** `no`; rises with each release. The caller keeps the last one. */
  readonly number: number;
  /** Milliseconds since 1970: the begin of the day on which the next release is due. */
  readonly nextUpdate: number;
  /** By AAGUID, lower case. */
  readonly models: ReadonlyMap<string, ModelEntry>;
}

export interface MetadataTrust {
  /** From configuration; never the system's store, and never the file itself. */
  readonly roots: readonly Certificate[];
  /** Host that the signing certificate names. The root signs certificates for half the web, so it alone says little. */
  readonly host: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** `number` of the last file that was read; 0 at first. The same one again is fine. */
  readonly lastNumber: number;
}

/** The real file has some 7 MB, most of them icons. */
const MAX_BLOB_BYTES = 33_554_432;
const MAX_HEADER_BYTES = 65_536;
const MAX_ENTRIES = 10_000;
const MAX_CERTIFICATES = 6;
const MAX_ITEMS = 200;
const MAX_DEPTH = 16;
const AAGUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Reads a metadata BLOB (FIDO Metadata Service 3.0 §3.1.7) from a file. It asks nothing of the network: revocation of
 * the signing certificate is for whoever fetches the file.
 *
 * @throws PasskeyError `ERR_PASSKEY_METADATA_FORM`, `ERR_PASSKEY_METADATA_SIGNATURE`, `ERR_PASSKEY_METADATA_ROLLBACK`
 */
export function verifyMetadata(blob: Uint8Array, trust: MetadataTrust): ModelMetadata {
  const payload = verifyJws(blob, trust);
  return orRefuse("ERR_PASSKEY_METADATA_FORM", "Metadata: malformed", () => {
    const body = parseJsonObject(payload, { maxBytes: MAX_BLOB_BYTES, maxDepth: MAX_DEPTH });
    const { no, nextUpdate, entries } = body;
    if (typeof no !== "number" || !Number.isSafeInteger(no) || no < 0) throw malformed("no");
    if (no < trust.lastNumber)
      throw new PasskeyError("ERR_PASSKEY_METADATA_ROLLBACK", "Metadata: older than the last");
    return { number: no, nextUpdate: dayOf(nextUpdate), models: readModels(entries) };
  });
}

/** Whether a newer release should have been read: statuses may have changed since. */
export function isStale({ nextUpdate }: ModelMetadata, now: number): boolean {
  const dayMs = 86_400_000;
  return now >= nextUpdate + dayMs;
}

/** RFC 7515 §5.2, with a certificate that leads to a root of ours. Returns the payload. */
function verifyJws(blob: Uint8Array, trust: MetadataTrust): Buffer {
  if (blob.length > MAX_BLOB_BYTES) throw malformed("too large");
  const [header = "", payload = "", signature = "", ...more] = Buffer.from(blob)
    .toString("latin1")
    .trimEnd()
    .split(".");
  if (more.length > 0) throw malformed("not a JWS");
  const { alg, x5c } = orRefuse("ERR_PASSKEY_METADATA_FORM", "Metadata: header", () =>
    parseJsonObject(decodeBase64url(header, { maxBytes: MAX_HEADER_BYTES })),
  );
  const certificates = readX5c(x5c);
  orRefuse("ERR_PASSKEY_METADATA_SIGNATURE", "Metadata: signature does not verify", () => {
    const [leaf] = certificates;
    if (leaf === undefined || !leadsToRoot(certificates, trust.roots, trust.now)) throw unsigned();
    const isFor = new X509Certificate(leaf.encoded).checkHost(trust.host, { subject: "never" });
    const signed = Buffer.from(`${header}.${payload}`, "latin1");
    const bytes = decodeBase64url(signature, { maxBytes: 1024 });
    const type = leaf.publicKey.asymmetricKeyType;
    // RFC 7518 §3.3, §3.4. The header chooses among these two only, and each fits one kind of key.
    const isRsa = alg === "RS256" && type === "rsa";
    const isEc = alg === "ES256" && type === "ec";
    const key = isEc
      ? ({ key: leaf.publicKey, dsaEncoding: "ieee-p1363" } as const)
      : leaf.publicKey;
    if (isFor === undefined || !(isRsa || isEc) || !verify("sha256", signed, key, bytes))
      throw unsigned();
  });
  return decodePayload(payload);
}

function decodePayload(payload: string): Buffer {
  return orRefuse("ERR_PASSKEY_METADATA_FORM", "Metadata: payload", () =>
    Buffer.from(decodeBase64url(payload, { maxBytes: MAX_BLOB_BYTES })),
  );
}

function readX5c(value: JsonValue | undefined): readonly Certificate[] {
  return orRefuse("ERR_PASSKEY_METADATA_FORM", "Metadata: x5c", () =>
    textsOf(value, MAX_CERTIFICATES).map((text) => parseCertificate(fromBase64(text), "metadata")),
  );
}

function readModels(entries: JsonValue | undefined): ReadonlyMap<string, ModelEntry> {
  const models = new Map<string, ModelEntry>();
  for (const entry of objectsOf(entries, MAX_ENTRIES)) {
    const { aaguid } = entry;
    // Entries without one are about U2F and UAF, which are no passkeys.
    if (aaguid === undefined) continue;
    if (typeof aaguid !== "string" || !AAGUID.test(aaguid)) throw malformed("aaguid");
    // Reports about one model add up: a second entry must not hide what the first says.
    models.set(aaguid, join(models.get(aaguid), readModel(entry)));
  }
  return models;
}

function join(a: ModelEntry | undefined, b: ModelEntry): ModelEntry {
  if (a === undefined) return b;
  const statuses = [...a.statuses, ...b.statuses];
  return { description: a.description, statuses, roots: [...a.roots, ...b.roots] };
}

function readModel(entry: JsonObject): ModelEntry {
  const { metadataStatement: said, statusReports } = entry;
  const statement = isJsonObject(said) ? said : {};
  const { description, attestationRootCertificates: roots = [] } = statement;
  const statuses = objectsOf(statusReports, MAX_ITEMS).map(({ status }) => {
    if (typeof status !== "string") throw malformed("status");
    return status;
  });
  return {
    description: typeof description === "string" ? description.slice(0, 200) : "",
    statuses,
    roots: textsOf(roots, MAX_ITEMS).flatMap((text) => certificateOrNone(text)),
  };
}

/** One vendor's odd certificate must not cost the statuses of all others; without a root its keys are not trusted. */
function certificateOrNone(text: string): readonly Certificate[] {
  try {
    return [parseCertificate(fromBase64(text), "root")];
  } catch {
    return [];
  }
}

/** RFC 7515 §4.1.6: base64, not base64url. Some vendors break the lines. */
function fromBase64(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ""), "base64");
}

function dayOf(value: JsonValue | undefined): number {
  if (typeof value !== "string" || !/^\d{4}-\d{2}-\d{2}$/.test(value))
    throw malformed("nextUpdate");
  const day = Date.parse(`${value}T00:00:00Z`);
  if (Number.isNaN(day)) throw malformed("nextUpdate");
  return day;
}

function textsOf(value: JsonValue | undefined, max: number): readonly string[] {
  return listOf(value, max).map((item) => {
    if (typeof item !== "string") throw malformed("a list of texts");
    return item;
  });
}

function objectsOf(value: JsonValue | undefined, max: number): readonly JsonObject[] {
  return listOf(value, max).map((item) => {
    if (!isJsonObject(item)) throw malformed("a list of objects");
    return item;
  });
}

function listOf(value: JsonValue | undefined, max: number): readonly JsonValue[] {
  if (!Array.isArray(value) || value.length > max) throw malformed("a list");
  return value;
}

function malformed(what: string): PasskeyError {
  return new PasskeyError("ERR_PASSKEY_METADATA_FORM", `Metadata: ${what}`);
}

function unsigned(): PasskeyError {
  return new PasskeyError("ERR_PASSKEY_METADATA_SIGNATURE", "Metadata: signature does not verify");
}
