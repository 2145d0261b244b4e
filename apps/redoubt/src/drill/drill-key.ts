import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { joseFromDer, publicJwk } from "@redoubt/keys";
import { DRILL_AUDIENCE } from "@redoubt/registry";
import type { JsonObject } from "@redoubt/verify/json";
import { ask, SIGNER, type IssueRequest, type SocketClient } from "@redoubt/wire";

export interface KeyWindow {
  readonly signFrom: number;
  readonly signUntil: number;
  readonly verifyUntil: number;
}

/** A key that can be used outside every signer: what a thief would hold. */
export interface StolenKey {
  readonly kid: string;
  readonly sign: (input: Buffer) => Buffer;
}

/** A thief's key for the drill audience only, with the record that the registry holds of it. */
export interface DrillKey extends StolenKey {
  readonly record: string;
  readonly ring: string;
}

export async function registerDrillKey(
  signer: SocketClient,
  tenant: string,
  window: KeyWindow,
): Promise<DrillKey> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const wanted = { publicKey: publicJwk(publicKey), tenant, ...window };
  const registered = await ask(signer, SIGNER.drillKey, wanted);
  return { ...registered, sign: (input) => joseFromDer(sign("sha256", input, privateKey)) };
}

/** A request that a drill may make. Every attempt at a signer changes one thing in it. */
export function allowedRequest(realm: string, tenant: string): IssueRequest {
  return {
    handle: { realm, tenant, class: "at" },
    client: "redoubt-drill",
    sub: "drill",
    audience: DRILL_AUDIENCE,
    ttl: 600,
  };
}

export interface ForgedClaims {
  readonly iss: string;
  readonly tid: string;
  readonly iat: number;
  readonly exp: number;
}

/** Signs a token with a key that is outside every signer; it is good for nothing but the drill audience. */
export function forge(key: StolenKey, claims: ForgedClaims): string {
  const header: JsonObject = { alg: "ES256", kid: key.kid, typ: "at+jwt" };
  const payload: JsonObject = {
    ...claims,
    sub: "drill",
    aud: DRILL_AUDIENCE,
    nbf: claims.iat,
    jti: randomBytes(16).toString("base64url"),
    ver: "2.0",
    client_id: "redoubt-drill",
  };
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${key.sign(Buffer.from(input, "latin1")).toString("base64url")}`;
}

function encode(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value), "utf8").toString("base64url");
}
