import { createPublicKey, hash, verify } from "node:crypto";
import type { Registry } from "@redoubt/registry";
import {
  isJsonObject,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "@redoubt/verify/json";

/** A member of an answer that must be a text. */
export function text(head: JsonObject, name: string): string {
  const value = head[name];
  if (typeof value !== "string") throw new TypeError(`No ${name} in ${JSON.stringify(head)}`);
  return value;
}

export function list(head: JsonObject, name: string): readonly JsonObject[] {
  const value: JsonValue | undefined = head[name];
  if (!Array.isArray(value)) throw new TypeError(`No ${name}`);
  return value.filter(isJsonObject);
}

/** Of each result of a batch: `token`, or the code of its refusal. */
export function refusalsOf(head: JsonObject): string[] {
  return list(head, "results").map((result) =>
    typeof result["token"] === "string" ? "token" : text(result, "code"),
  );
}

export interface ReadToken {
  readonly header: JsonObject;
  readonly payload: JsonObject;
  readonly signingInput: string;
  readonly signature: Buffer;
}

/** The parts of a compact JWS; nothing is verified. */
export function readToken(token: string): ReadToken {
  const [header = "", payload = "", signature = ""] = token.split(".");
  return {
    header: parseJsonObject(Buffer.from(header, "base64url")),
    payload: parseJsonObject(Buffer.from(payload, "base64url")),
    signingInput: `${header}.${payload}`,
    signature: Buffer.from(signature, "base64url"),
  };
}

/** Whether a token carries the ES256 signature of the registered key that it names. */
export function isSignedBy(
  registry: Registry,
  { header, signingInput, signature }: ReadToken,
): boolean {
  const record = registry.keys.get(text(header, "kid"))?.record;
  if (!record) return false;
  const key = createPublicKey({ key: { ...record.publicKey }, format: "jwk" });
  return verify("sha256", Buffer.from(signingInput), { key, dsaEncoding: "ieee-p1363" }, signature);
}

/** SHA-256 of a token's signing input, in hex. */
export function digestOf(token: string): string {
  return hash("sha256", readToken(token).signingInput);
}
