import { createCipheriv, hkdfSync, randomBytes } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { BodyCommitments } from "@redoubt/wire";
import type { UnsignedToken } from "./token.ts";

/** docs/spec/logs.md §1 and §2. */
export const ISSUANCE_ENTRY_TAG = 0x01;
const BLOB_VERSION = 0x02;
const BODY_INFO = "redoubt/body/v1\n";
const NONCE_BYTES = 12;
/** Version, tenant, day and nonce. */
export const BLOB_HEAD_BYTES = 31;
export const BODY_TAG_BYTES = 16;
/** In the order of their columns. */
export const BODY_MEMBERS = "aud caller client context exp iat jti kid scope sub".split(" ");
const MAX_CACHED_KEYS = 4096;
const DAY_SECONDS = 86_400;

export interface SealedBatch {
  /** 65 public bytes for each token, in order. */
  readonly entries: readonly Buffer[];
  readonly blobs: readonly Buffer[];
}

/** Seals what the log must keep but not show, one blob for each tenant of a batch. */
export class BodySealer {
  readonly #bodyKey: Buffer;
  readonly #origin: Buffer;
  readonly #keys = new Map<string, Buffer>();

  constructor(bodyKey: Buffer, origin: string) {
    this.#bodyKey = bodyKey;
    this.#origin = Buffer.from(origin, "utf8");
  }

  seal(tokens: readonly UnsignedToken[]): SealedBatch {
    const entries = carveEntries(tokens);
    const blobs: Buffer[] = [];
    for (const group of groupByTenantAndDay(tokens)) {
      const blob = this.#sealGroup(group, tokens);
      const commitment = new BodyCommitments(blob);
      for (const [position, place] of group.places.entries())
        entries[place]?.set(commitment.of(position), COMMITMENT_OFFSET);
      blobs.push(blob);
    }
    return { entries, blobs };
  }

  #sealGroup({ tenant, day, places }: Group, tokens: readonly UnsignedToken[]): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key(tenant, day), nonce);
    cipher.setAAD(this.#origin);
    const text = JSON.stringify(columnsOf(places.flatMap((place) => tokens[place] ?? [])));
    return Buffer.concat([
      Buffer.of(BLOB_VERSION),
      Buffer.from(tenant.replaceAll("-", ""), "hex"),
      Buffer.of(day >>> 8, day & 0xff),
      nonce,
      cipher.update(text, "utf8"),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
  }

  #key(tenant: string, day: number): Buffer {
    const info = keyInfo(tenant, day);
    const cached = this.#keys.get(info);
    if (cached) return cached;
    const key = bodyKeyOf(this.#bodyKey, info);
    if (this.#keys.size >= MAX_CACHED_KEYS) this.#keys.clear();
    this.#keys.set(info, key);
    return key;
  }
}

export interface BlobHead {
  readonly tenant: string;
  /** What the blob's key is derived with. */
  readonly info: string;
  readonly nonce: Buffer;
}

/** @throws ServiceError `ERR_SIGNER_BODY` */
export function readBlobHead(blob: Buffer): BlobHead {
  if (blob[0] !== BLOB_VERSION || blob.length < BLOB_HEAD_BYTES + BODY_TAG_BYTES)
    throw new ServiceError("ERR_SIGNER_BODY", "This is no sealed blob");
  const tenant = blob.toString("hex", 1, 17).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  const info = keyInfo(tenant, blob.readUInt16BE(17));
  return { tenant, info, nonce: blob.subarray(BLOB_HEAD_BYTES - NONCE_BYTES, BLOB_HEAD_BYTES) };
}

function keyInfo(tenant: string, day: number): string {
  return `${BODY_INFO}${tenant}\n${new Date(day * DAY_SECONDS * 1000).toISOString().slice(0, 10)}`;
}

/** One key for each tenant and day, so that one can be given away without the others. */
export function bodyKeyOf(bodyKey: Buffer, info: string): Buffer {
  return Buffer.from(hkdfSync("sha256", bodyKey, "", info, 32));
}

const ENTRY_BYTES = 65;
const DIGEST_OFFSET = 1;
const COMMITMENT_OFFSET = 33;

/** The entries of a batch, side by side, without their commitments. */
function carveEntries(tokens: readonly UnsignedToken[]): Buffer[] {
  const bytes = Buffer.alloc(tokens.length * ENTRY_BYTES);
  return tokens.map(({ digest }, place) => {
    const entry = bytes.subarray(place * ENTRY_BYTES, (place + 1) * ENTRY_BYTES);
    entry[0] = ISSUANCE_ENTRY_TAG;
    entry.set(digest, DIGEST_OFFSET);
    return entry;
  });
}

/** Places in the batch of one tenant's tokens of one day. */
interface Group {
  readonly tenant: string;
  /** Days since 1970-01-01 (UTC), of `iat`. */
  readonly day: number;
  readonly places: number[];
}

function groupByTenantAndDay(tokens: readonly UnsignedToken[]): Iterable<Group> {
  const groups = new Map<string, Group>();
  for (const [place, { iat, grant }] of tokens.entries()) {
    const { tenant } = grant;
    const day = Math.floor(iat / DAY_SECONDS);
    const key = `${tenant}/${day}`;
    const group = groups.get(key);
    if (group) group.places.push(place);
    else groups.set(key, { tenant, day, places: [place] });
  }
  return groups.values();
}

/**
 * docs/spec/logs.md §2: the bodies as columns, because those of one batch are nearly alike. A column with one value for
 * all is that value. What an entry or the head of the blob says already is left out.
 */
function columnsOf(tokens: readonly UnsignedToken[]): unknown[] {
  return COLUMNS.map((read) => {
    const values = tokens.map(read);
    return values.every((value) => value === values[0]) ? values[0] : values;
  });
}

/** No value is a list itself: a list in the blob always holds one value for each body. */
const COLUMNS: readonly ((token: UnsignedToken) => string | number | JsonObject | undefined)[] = [
  ({ grant }) => grant.audience,
  ({ caller }) => caller,
  ({ grant }) => grant.client,
  ({ grant }) => grant.context,
  ({ exp }) => exp,
  ({ iat }) => iat,
  ({ jti }) => jti,
  ({ key }) => key.kid,
  ({ grant }) => grant.scope,
  ({ grant }) => grant.subject,
];
