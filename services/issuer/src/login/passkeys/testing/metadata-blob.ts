import { sign } from "node:crypto";
import { AttestationAuthority, SOFT_AAGUID, type LeafOptions } from "@redoubt/testkit";
import type { MetadataTrust } from "../metadata.ts";
import { certificateOf, NOW, VENDOR } from "./ceremony.ts";

export const HOST = "mds.test";
export const PUBLISHER = new AttestationAuthority("Test metadata root");
export const TRUST: MetadataTrust = {
  roots: [certificateOf(PUBLISHER)],
  host: HOST,
  now: NOW,
  lastNumber: 0,
};

export const ENTRY = {
  aaguid: SOFT_AAGUID,
  metadataStatement: {
    description: "Test model",
    attestationRootCertificates: [VENDOR.certificate.toString("base64")],
    userVerificationDetails: [[{ userVerificationMethod: "passcode_internal" }]],
  },
  statusReports: [{ status: "FIDO_CERTIFIED_L1", effectiveDate: "2025-01-01" }],
};
export const BODY = { legalHeader: "x", no: 7, nextUpdate: "2026-06-30", entries: [ENTRY] };

export interface Making {
  readonly authority?: AttestationAuthority;
  readonly leaf?: Partial<LeafOptions>;
  readonly alg?: string;
  readonly x5c?: (made: readonly string[]) => unknown;
}

export function encode(json: unknown): string {
  return Buffer.from(JSON.stringify(json)).toString("base64url");
}

/** A BLOB as the metadata service would sign it, with a root of ours. */
export function blobOf(body: unknown, making: Making = {}): Buffer {
  const { authority = PUBLISHER, leaf, alg = leaf?.kind === "rsa" ? "RS256" : "ES256" } = making;
  const { privateKey, x5c } = authority.leaf({ aaguid: null, host: HOST, ...leaf });
  const certificates = x5c.map((der) => der.toString("base64"));
  const head = { alg, typ: "JWT", x5c: making.x5c?.(certificates) ?? certificates };
  const signed = `${encode(head)}.${encode(body)}`;
  const key = { key: privateKey, dsaEncoding: "ieee-p1363" } as const;
  return Buffer.from(`${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`);
}
