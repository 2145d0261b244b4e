import { canonicalBytes } from "@redoubt/base";
import { TrustError } from "@redoubt/verify";
import { parseJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { parseKeyRecord, type KeyRecord } from "@redoubt/verify/record";
import { KeyError } from "./errors.ts";

/** A value that the reader takes, for each member; the point is the generator of P-256 (SEC 2 §2.4.2). */
const ACCEPTED = {
  v: 1,
  alg: "ES256",
  publicKey: {
    kty: "EC",
    crv: "P-256",
    x: "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
    y: "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
  },
  realm: "realm",
  issuer: "https://issuer.example",
  tenants: { bucket: 0, of: 1, except: [] },
  class: "at",
  audiences: "any",
  maxLifetimeSeconds: 1,
  signFrom: 0,
  signUntil: 1,
  verifyUntil: 2,
  custody: "plain-file",
  issuanceFloor: "audit",
  log: "log",
} as const satisfies JsonObject;

const MAX_PROBLEMS = 24;
/** The same as in `parseKeyRecord`. */
const LIMITS = { maxBytes: 262_144, maxDepth: 3 } as const;

/**
 * Reads a record with the reader that verifiers use, and names everything that is wrong with it: each member that
 * was refused is replaced by one that is right, and the rest is read again.
 *
 * @throws KeyError `ERR_KEY_RECORD`, its cause the reader's first refusal
 */
export function readKeyRecord(bytes: Uint8Array): KeyRecord {
  try {
    return parseKeyRecord(bytes);
  } catch (cause) {
    if (!(cause instanceof TrustError)) throw cause;
    // With a wrong form the reader came to no member, and there is one problem; otherwise each member may have one.
    const isOfForm = cause.code === "ERR_RECORD_FORM";
    const problems = isOfForm ? [cause.message] : problemsOf(parseJsonObject(bytes, LIMITS), cause);
    throw new KeyError("ERR_KEY_RECORD", problems.join("; "), { cause });
  }
}

function problemsOf(record: JsonObject, first: TrustError): string[] {
  const problems: string[] = [];
  let rest = record;
  for (let error: TrustError | undefined = first; error; error = refusalOf(rest)) {
    problems.push(error.message);
    if (problems.length === MAX_PROBLEMS) return [...problems, "and more"];
    rest = repaired(rest, error);
  }
  return problems;
}

function refusalOf(record: JsonObject): TrustError | undefined {
  try {
    parseKeyRecord(canonicalBytes(record));
    return undefined;
  } catch (error) {
    if (error instanceof TrustError) return error;
    throw error;
  }
}

function repaired(record: JsonObject, { code, member = "" }: TrustError): JsonObject {
  // What is wrong inside a key is named by the key's member, not by the record's.
  const name = code === "ERR_RECORD_MEMBER" ? member : "publicKey";
  switch (name) {
    case "alg": {
      const { alg, publicKey } = ACCEPTED;
      return "publicKey" in record ? { ...record, alg, publicKey } : { ...record, alg };
    }
    case "publicKey":
      return { ...record, alg: ACCEPTED.alg, publicKey: ACCEPTED.publicKey };
    case "signUntil":
      return { ...record, signUntil: after(record["signFrom"]) };
    case "verifyUntil":
      return { ...record, verifyUntil: after(record["signUntil"]) };
    default: {
      const known = Object.entries(ACCEPTED).find(([key]) => key === name);
      if (known) return { ...record, [name]: known[1] };
      // The reader names the first 40 characters of a member that it does not know.
      return Object.fromEntries(
        Object.entries(record).filter(([key]) => key.slice(0, 40) !== name),
      );
    }
  }
}

/** A second later; these members are read and repaired in their order. */
function after(time: JsonValue | undefined): number {
  return typeof time === "number" && Number.isSafeInteger(time + 1) ? time + 1 : 1;
}
