import { sign, type KeyObject } from "node:crypto";
import { canonicalBytes } from "@redoubt/base";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { StoredAck } from "./report-store.ts";

export interface Ack {
  readonly v: 1;
  readonly reporter: string;
  readonly session: string;
  readonly seq: number;
  readonly at: number;
  readonly items: number;
  readonly sha256: string;
  /** P4: how long ago the monitor saw all that the logs hold. What it has not read since it cannot miss. */
  readonly auditAgeSeconds: number;
}

const ACK_CONTEXT = "redoubt/ack/v1\n";

/** docs/spec/reports.md §1: what lets a verifier drop its items. To be made only of what is durable. */
export function signAck(
  reporter: string,
  session: string,
  told: StoredAck & Pick<Ack, "auditAgeSeconds">,
  key: KeyObject,
): { readonly ack: Ack; readonly sig: string } {
  const { seq, at, items, sha256, auditAgeSeconds } = told;
  const ack = { v: 1, reporter, session, seq, at, items, sha256, auditAgeSeconds } as const;
  const signed = Buffer.concat([Buffer.from(ACK_CONTEXT, "utf8"), canonicalBytes(ack)]);
  return { ack, sig: encodeBase64url(sign(null, signed, key)) };
}
