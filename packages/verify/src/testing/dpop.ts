import { hash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { encodeBase64url } from "../base64url.ts";
import type { DpopRequest, SenderContext } from "../binding.ts";
import type { BindingOptions, Dpop } from "../binding-options.ts";
import { dpop, type DpopPolicy } from "../dpop-proof.ts";
import { canonicalJson } from "../canonical.ts";
import { createReplayStore } from "../replay-store.ts";
import type { Verifier } from "../verifier.ts";
import { mint, NOW, staticKey, verifierWith, type Claims } from "./fixture.ts";
import { signWith, testKey, type TestKey } from "./keys.ts";

export const CLIENT_KEY = "con-es256";
export const METHOD = "GET";
export const URL_OF_REQUEST = "https://orders.example/v1/orders/17";

export interface ProofForgery {
  readonly key?: string;
  readonly token?: string;
  /** Members to add or replace; `undefined` removes. A string is the header's JSON itself. */
  readonly header?: Claims | string;
  readonly payload?: Claims | string;
  readonly sign?: (signingInput: string, key: TestKey) => Uint8Array;
}

/** RFC 7638 §3.1. */
export function thumbprint(name: string): string {
  return hash("sha256", canonicalJson({ ...testKey(name).publicJwk }), "base64url");
}

/** An access token that is bound to the key, or to what `cnf` says. */
export function boundToken(cnf: unknown = { jkt: thumbprint(CLIENT_KEY) }): string {
  return mint({ payload: { cnf } });
}

/** Makes a DPoP proof, good unless told otherwise. */
export function makeProof(token: string, forgery: ProofForgery = {}): string {
  const key = testKey(forgery.key ?? CLIENT_KEY);
  const { header = {}, payload = {} } = forgery;
  const good = {
    jti: "-BwC3ESc6acc2lTc",
    htm: METHOD,
    htu: URL_OF_REQUEST,
    iat: NOW,
    ath: hash("sha256", token, "base64url"),
  };
  const headerText =
    typeof header === "string"
      ? header
      : JSON.stringify({ typ: "dpop+jwt", alg: key.alg, jwk: key.publicJwk, ...header });
  const payloadText =
    typeof payload === "string" ? payload : JSON.stringify({ ...good, ...payload });
  const signingInput = `${encodeText(headerText)}.${encodeText(payloadText)}`;
  return `${signingInput}.${encodeBase64url(forgery.sign?.(signingInput, key) ?? signWith(key, signingInput))}`;
}

function encodeText(text: string): string {
  return encodeBase64url(Buffer.from(text));
}

/** The request that brings a proof. */
export function withProof(
  proof: DpopRequest["proof"],
  changes: Partial<DpopRequest> = {},
): SenderContext {
  return { dpop: { proof, method: METHOD, url: URL_OF_REQUEST, ...changes } };
}

/** A policy with an empty store of its own. */
export function testDpop(changes: Partial<DpopPolicy> = {}): Dpop {
  return dpop({ replay: createReplayStore({ now: () => NOW * 1000 }), ...changes });
}

export function bindingVerifier(
  binding: BindingOptions = { dpop: testDpop() },
  changes: Parameters<typeof verifierWith>[1] = {},
): Promise<Verifier> {
  return verifierWith([staticKey("ent-es256")], { binding, ...changes });
}

/** Made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256`; nobody kept its key. */
export function readClientCertificate(): X509Certificate {
  return new X509Certificate(readFileSync(new URL("client-certificate.pem", import.meta.url)));
}
