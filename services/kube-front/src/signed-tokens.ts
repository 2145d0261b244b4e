import { hash } from "node:crypto";
import { errorCode, ServiceError } from "@redoubt/base";
import { Base64urlError, decodeBase64url } from "@redoubt/verify/base64url";
import { JsonError, parseJsonObject } from "@redoubt/verify/json";
import {
  ask,
  RemoteError,
  SIGNER,
  WireError,
  type Deliveries,
  type ExactSignature,
  type Requester,
} from "@redoubt/wire";

const HEADER_MEMBERS = "alg kid typ";

/**
 * Has tokens signed, and says what became of each (THREAT-28): what is logged and in nobody's report was forged by the
 * signer. A token that came is in the journal before it leaves for kube-apiserver, whether or not that still waits.
 */
export class SignedTokens {
  readonly #signer: Requester;
  readonly #deliveries: Pick<Deliveries, "add" | "lost">;
  #underWay = 0;

  constructor(signer: Requester, deliveries: Pick<Deliveries, "add" | "lost">) {
    this.#signer = signer;
    this.#deliveries = deliveries;
  }

  async sign(claims: string): Promise<ExactSignature> {
    this.#underWay += 1;
    try {
      const signed = await ask(this.#signer, SIGNER.signExact, { payload: claims });
      this.#deliveries.add(digestOf(`${signed.header}.${claims}`, claims));
      return signed;
    } catch (error) {
      this.#account(error, claims);
      throw error;
    } finally {
      this.#underWay -= 1;
    }
  }

  /** The signer may have signed what was under way. */
  connectionEnded(): void {
    this.#deliveries.lost(this.#underWay);
  }

  #account(error: unknown, claims: string): void {
    if (error instanceof RemoteError) {
      // docs/spec/reports.md §4: the entry is in the log, and the token was not signed.
      const { committed, unsigned } = error.details;
      if (committed === true) this.#deliveries.add(digestOf(unsigned, claims));
    } else if (error instanceof WireError) {
      // A connection that broke is counted where it is seen to break.
      if (error.code === "ERR_WIRE_TIMEOUT") this.#deliveries.lost(1);
    }
    // An answer in another form.
    else if (errorCode(error) === "ERR_REQUEST_MEMBER") this.#deliveries.lost(1);
  }
}

/**
 * Computed here, not taken from the signer, and only for what was asked: a signer must not have a forgery explained by
 * somebody else's request. kube-apiserver takes these three members in a header, and no other.
 *
 * @throws ServiceError `ERR_FRONT_ANSWER`
 */
function digestOf(unsigned: unknown, claims: string): string {
  const text = typeof unsigned === "string" ? unsigned : "";
  const header = text.slice(0, Math.max(0, text.indexOf(".")));
  if (text !== `${header}.${claims}` || !isServiceAccountHeader(header))
    throw new ServiceError("ERR_FRONT_ANSWER", "The signer answered with another token");
  return hash("sha256", text, "base64url");
}

function isServiceAccountHeader(segment: string): boolean {
  try {
    const header = parseJsonObject(decodeBase64url(segment));
    return header["typ"] === "JWT" && Object.keys(header).toSorted().join(" ") === HEADER_MEMBERS;
  } catch (error) {
    if (error instanceof JsonError || error instanceof Base64urlError) return false;
    throw error;
  }
}
