import { createCipheriv, hkdfSync, randomBytes } from "node:crypto";
import { sha256 } from "@redoubt/tlog";
import type { UnsignedToken } from "./token.ts";

/** docs/spec/logs.md §1 and §2. */
export const ISSUANCE_ENTRY_TAG = 0x01;
const BLOB_VERSION = 0x01;
const BODY_INFO = "redoubt/body/v1\n";
const NONCE_BYTES = 12;
const MAX_CACHED_KEYS = 4096;

export interface SealedBatch {
  /** 65 public bytes for each token, in order. */
  readonly entries: readonly Buffer[];
  readonly blobs: readonly Buffer[];
}

/** Seals what the log must keep but not show, one blob for each tenant of a batch. */
export class BodySealer {
  readonly #bodyKey: Buffer;
  readonly #log: Buffer;
  readonly #keys = new Map<string, Buffer>();

  constructor(bodyKey: Buffer, log: string) {
    this.#bodyKey = bodyKey;
    this.#log = Buffer.from(log, "utf8");
  }

  seal(tokens: readonly UnsignedToken[]): SealedBatch {
    const entries = carveEntries(tokens);
    const blobs: Buffer[] = [];
    for (const [keyId, places] of groupByTenantAndDay(tokens)) {
      const group = places.flatMap((place) => tokens[place] ?? []);
      const blob = this.#sealGroup(keyId, group);
      const commitment = new Commitment(sha256(blob));
      for (const [position, place] of places.entries())
        entries[place]?.set(commitment.of(position), COMMITMENT_OFFSET);
      blobs.push(blob);
    }
    return { entries, blobs };
  }

  #sealGroup(keyId: string, group: readonly UnsignedToken[]): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key(keyId), nonce);
    cipher.setAAD(this.#log);
    const id = Buffer.from(keyId, "utf8");
    const text = JSON.stringify(group.map(bodyOf));
    return Buffer.concat([
      Buffer.of(BLOB_VERSION, id.length),
      id,
      nonce,
      cipher.update(text, "utf8"),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
  }

  /** One key for each tenant and day, so that one can be given away without the others. */
  #key(keyId: string): Buffer {
    const cached = this.#keys.get(keyId);
    if (cached) return cached;
    const info = BODY_INFO + keyId.replace("/", "\n");
    const key = Buffer.from(hkdfSync("sha256", this.#bodyKey, "", info, 32));
    if (this.#keys.size >= MAX_CACHED_KEYS) this.#keys.clear();
    this.#keys.set(keyId, key);
    return key;
  }
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

/** THREAT-35: two entries of one blob share nothing that the public can see. */
class Commitment {
  readonly #bytes = Buffer.alloc(34);

  constructor(blobDigest: Buffer) {
    this.#bytes.set(blobDigest, 2);
  }

  of(position: number): Buffer {
    this.#bytes.writeUInt16BE(position);
    return sha256(this.#bytes);
  }
}

/** Places in the batch of each tenant's tokens of one day. */
function groupByTenantAndDay(tokens: readonly UnsignedToken[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  let day = "";
  let dayOf = -1;
  for (const [place, { iat, grant }] of tokens.entries()) {
    if (iat !== dayOf) day = new Date(iat * 1000).toISOString().slice(0, 10);
    dayOf = iat;
    const keyId = `${grant.tenant}/${day}`;
    const group = groups.get(keyId);
    if (group) group.push(place);
    else groups.set(keyId, [place]);
  }
  return groups;
}

/** docs/spec/logs.md §2: members in canonical order. */
function bodyOf({ jti, key, grant, caller, iat, exp, digest }: UnsignedToken): object {
  return {
    aud: grant.audience,
    caller,
    client: grant.client,
    context: grant.context,
    digest: digest.toString("base64url"),
    exp,
    iat,
    jti,
    kid: key.kid,
    scope: grant.scope,
    sub: grant.subject,
    tid: grant.tenant,
  };
}
