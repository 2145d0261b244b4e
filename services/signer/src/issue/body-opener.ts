import { createDecipheriv } from "node:crypto";
import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import type { Registry } from "@redoubt/registry";
import { JsonError, parseJson, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { BodyCommitments, type Asked, type OpenedBody, type SIGNER } from "@redoubt/wire";
import {
  BLOB_HEAD_BYTES,
  BODY_MEMBERS,
  BODY_TAG_BYTES,
  bodyKeyOf,
  ISSUANCE_ENTRY_TAG,
  readBlobHead,
} from "./bodies.ts";

export interface BodyOpenerOptions {
  readonly realm: string;
  /** Of the signer's own log; bodies of logs that it succeeded were sealed with the same key. */
  readonly origin: string;
  readonly bodyKey: Buffer;
  readonly registry: () => Pick<Registry, "bodyReads" | "closedLogs" | "isSameLine">;
  readonly clock: Clock;
}

type Asking = Asked<typeof SIGNER.openBody>;

/** How long after the registry was told of it a body may be read. */
const READING_SECONDS = 3600;
const MAX_DEPTH = 16;

/** Opens single bodies for whom the registry says that they read them: nobody reads unseen. */
export class BodyOpener {
  readonly #options: BodyOpenerOptions;

  constructor(options: BodyOpenerOptions) {
    this.#options = options;
  }

  /**
   * The body of the token that a `body-read` statement names, and no other of the blob.
   *
   * @throws ServiceError `ERR_SIGNER_READING` where the registry does not say so, `ERR_SIGNER_BODY` where the blob is not
   *   ours or not that of the entry
   */
  open(asked: Asking, blob: Buffer): OpenedBody {
    const { log, by } = asked;
    this.#checkReading(asked);
    const { origin, registry } = this.#options;
    if (!registry().isSameLine(log, origin)) throw refused("This log is not of this signer's line");
    if (by === "digest") checkEntry(asked, blob);
    const { tenant, bodies } = this.#unseal(blob, log);
    const { token, position: given } = asked;
    const position = by === "digest" ? (given ?? -1) : bodies.jtis.indexOf(token);
    const body = bodies.at(position);
    return body ? { position, body: { ...body, tenant } } : { position: null, body: null };
  }

  #checkReading({ by, token }: Asking): void {
    const { realm, registry, clock } = this.#options;
    const now = nowSeconds(clock);
    const isSaid = registry().bodyReads.some(
      (said) =>
        said.realm === realm &&
        said.by === by &&
        said.token === token &&
        Math.abs(now - said.at) <= READING_SECONDS,
    );
    if (!isSaid)
      throw new ServiceError(
        "ERR_SIGNER_READING",
        "The registry does not say that this body is read",
      );
  }

  /** Entries that were carried over from a closed log are sealed under that log's name (docs/spec/logs.md §3). */
  #unseal(blob: Buffer, log: string): { readonly tenant: string; readonly bodies: Bodies } {
    const { registry } = this.#options;
    const before = [...registry().closedLogs.keys()].filter((one) =>
      registry().isSameLine(one, log),
    );
    const { tenant, info, nonce } = readBlobHead(blob);
    const key = bodyKeyOf(this.#options.bodyKey, info);
    for (const origin of [log, ...before]) {
      const text = decrypt(blob, { key, nonce, origin });
      if (text) return { tenant, bodies: readBodies(text) };
    }
    throw refused("The blob is not sealed by this realm");
  }
}

/** By digest, the log must say which body it is: the entry of this digest commits to this place of this blob. */
function checkEntry({ token, entry, position }: Asking, blob: Buffer): void {
  const isIt =
    entry !== undefined &&
    position !== undefined &&
    entry[0] === ISSUANCE_ENTRY_TAG &&
    entry.subarray(1, 33).toString("base64url") === token &&
    new BodyCommitments(blob).of(position).equals(entry.subarray(33));
  if (!isIt) throw refused("The blob is not that of the entry");
}

interface Sealing {
  readonly key: Buffer;
  readonly nonce: Buffer;
  readonly origin: string;
}

function decrypt(blob: Buffer, { key, nonce, origin }: Sealing): Buffer | undefined {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce);
  decipher.setAAD(Buffer.from(origin, "utf8")).setAuthTag(blob.subarray(-BODY_TAG_BYTES));
  try {
    const sealed = blob.subarray(BLOB_HEAD_BYTES, -BODY_TAG_BYTES);
    return Buffer.concat([decipher.update(sealed), decipher.final()]);
  } catch {
    return undefined;
  }
}

interface Bodies {
  readonly jtis: readonly JsonValue[];
  readonly at: (position: number) => JsonObject | undefined;
}

function readBodies(text: Buffer): Bodies {
  const columns = parseColumns(text);
  const count = Math.max(
    1,
    ...columns.map((column) => (Array.isArray(column) ? column.length : 1)),
  );
  const jti = columns[BODY_MEMBERS.indexOf("jti")] ?? null;
  return {
    jtis: Array.isArray(jti) ? jti : [jti],
    at: (position) => {
      if (position < 0 || position >= count) return undefined;
      const members = BODY_MEMBERS.map(
        (name, i) => [name, valueAt(columns[i] ?? null, position) ?? null] as const,
      );
      return Object.fromEntries(members.filter(([, one]) => one !== null));
    },
  };
}

function valueAt(column: JsonValue, position: number): JsonValue | undefined {
  return Array.isArray(column) ? column[position] : column;
}

function parseColumns(text: Buffer): readonly JsonValue[] {
  try {
    const columns = parseJson(text, { maxBytes: text.length, maxDepth: MAX_DEPTH });
    if (Array.isArray(columns) && columns.length === BODY_MEMBERS.length) return columns;
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
  }
  throw refused("The blob holds no bodies");
}

function refused(message: string): ServiceError {
  return new ServiceError("ERR_SIGNER_BODY", message);
}
