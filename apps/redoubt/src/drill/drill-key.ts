import { generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { MemberReader } from "@redoubt/base";
import { joseFromDer, publicJwk } from "@redoubt/keys";
import type { JsonObject } from "@redoubt/verify/json";
import type { SocketClient } from "@redoubt/wire";

export const DRILL_AUDIENCE = "urn:redoubt:drill";

export interface KeyWindow {
  readonly signFrom: number;
  readonly signUntil: number;
  readonly verifyUntil: number;
}

/** A key whose private half lies outside every signer: what a thief would hold, for the drill audience only. */
export interface DrillKey {
  readonly kid: string;
  readonly record: string;
  readonly ring: string;
  readonly privateKey: KeyObject;
}

export async function registerDrillKey(
  signer: SocketClient,
  tenant: string,
  window: KeyWindow,
): Promise<DrillKey> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { head } = await signer.request({
    op: "drillKey",
    publicKey: publicJwk(publicKey),
    tenant,
    ...window,
  });
  const reader = new MemberReader(head, "drill key");
  return {
    kid: reader.string("kid", 43),
    record: reader.string("record", 96 * 1024),
    ring: reader.string("ring", 86),
    privateKey,
  };
}

export interface ForgedClaims {
  readonly iss: string;
  readonly tid: string;
  readonly iat: number;
  readonly exp: number;
}

/** Signs a token with a key that is outside every signer; it is good for nothing but the drill audience. */
export function forge({ kid, privateKey }: DrillKey, claims: ForgedClaims): string {
  const header: JsonObject = { alg: "ES256", kid, typ: "at+jwt" };
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
  const signature = joseFromDer(sign("sha256", Buffer.from(input, "latin1"), privateKey));
  return `${input}.${signature.toString("base64url")}`;
}

function encode(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value), "utf8").toString("base64url");
}
