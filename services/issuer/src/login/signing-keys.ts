import { createPublicKey, type KeyObject } from "node:crypto";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { parseKeyRecord, tenantCovered, type KeyRecord } from "@redoubt/verify/record";
import type { RealmKey } from "@redoubt/wire";
import { ExternalSigningKey } from "oidc-provider";

/** Has a token of the library's signed elsewhere: this process has no private key. `input` is header and payload. */
export type SignElsewhere = (kind: "at" | "oidc", input: string) => Promise<Buffer>;

/** A key of the signer as the protocol library is to see it. */
export class SignerKey extends ExternalSigningKey {
  readonly #record: KeyRecord;
  readonly #publicKey: KeyObject;
  readonly #sign: SignElsewhere;

  constructor(record: KeyRecord, sign: SignElsewhere) {
    super();
    this.#record = record;
    this.#publicKey = createPublicKey({ key: { ...record.publicKey }, format: "jwk" });
    this.#sign = sign;
  }

  override get kid(): string {
    return this.#record.kid;
  }

  override get alg(): string {
    return this.#record.alg;
  }

  override keyObject(): KeyObject {
    return this.#publicKey;
  }

  override sign(data: Uint8Array): Promise<Buffer> {
    const kind = this.#record.class === "at" ? "at" : "oidc";
    return this.#sign(kind, Buffer.from(data).toString("latin1"));
  }
}

/** What signs for one tenant now, and what its people may still bring along from before. */
export interface TenantKeys {
  readonly at: KeyRecord;
  readonly oidc: KeyRecord;
  /** Whose ID tokens still tell who signs out. */
  readonly former: readonly KeyRecord[];
}

const STILL_KNOWN: readonly string[] = ["active", "verify-only", "retired"];

/**
 * Chooses among the keys of the realm. The signer has the last word: a token that names another than its active key is
 * refused there and built anew.
 *
 * @returns undefined while the tenant has not a key of each class that signs
 * @throws KeyRecordError for a record that is none
 */
export function keysOfTenant(
  keys: readonly RealmKey[],
  tenant: string,
  nowSeconds: number,
): TenantKeys | undefined {
  const own = keys
    .map(({ record, state }) => ({ state, record: parseKeyRecord(decodeBase64url(record)) }))
    .filter(({ record }) => tenantCovered(record.tenants, tenant));
  const active = (tokenClass: string): KeyRecord | undefined =>
    own.find(
      ({ state, record }) =>
        state === "active" &&
        record.class === tokenClass &&
        nowSeconds >= record.signFrom &&
        nowSeconds < record.signUntil,
    )?.record;
  const [at, oidc] = [active("at"), active("oidc")];
  if (!at || !oidc) return undefined;
  const former = own
    .filter(({ state, record }) => record.class === "oidc" && STILL_KNOWN.includes(state))
    .map(({ record }) => record)
    .filter(({ kid }) => kid !== oidc.kid);
  return { at, oidc, former };
}
