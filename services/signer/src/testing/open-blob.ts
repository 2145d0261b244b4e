import assert from "node:assert/strict";
import { createDecipheriv, hkdfSync } from "node:crypto";

const HEAD_BYTES = 19;
const NONCE_BYTES = 12;
const NAMES = "aud caller client context exp iat jti kid scope sub".split(" ");

/** The tenant and the day that the head of a blob says. */
export function idOf(blob: Buffer): { readonly tenant: string; readonly date: string } {
  assert.equal(blob[0], 2);
  const tenant = blob.toString("hex", 1, 17).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  const date = new Date(blob.readUInt16BE(17) * 86_400_000).toISOString().slice(0, 10);
  return { tenant, date };
}

export function nonceOf(blob: Buffer): Buffer {
  return blob.subarray(HEAD_BYTES, HEAD_BYTES + NONCE_BYTES);
}

/** The bodies of a blob, as an auditor with the realm's body key reads them (docs/spec/logs.md §2). */
export function openBlob(
  blob: Buffer,
  by: { readonly bodyKey: Buffer; readonly origin: string; readonly count: number },
): object[] {
  const { tenant, date } = idOf(blob);
  const info = `redoubt/body/v1\n${tenant}\n${date}`;
  const key = Buffer.from(hkdfSync("sha256", by.bodyKey, "", info, 32));
  const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(blob));
  decipher.setAAD(Buffer.from(by.origin)).setAuthTag(blob.subarray(-16));
  const sealed = blob.subarray(HEAD_BYTES + NONCE_BYTES, -16);
  const columns: unknown = JSON.parse(
    Buffer.concat([decipher.update(sealed), decipher.final()]).toString("utf8"),
  );
  assert.ok(Array.isArray(columns) && columns.length === NAMES.length);
  return Array.from({ length: by.count }, (_, position) => {
    const at = (column: unknown): unknown => (Array.isArray(column) ? column[position] : column);
    const members = NAMES.map((name, i) => [name, at(columns[i])]);
    return { ...Object.fromEntries(members.filter(([, value]) => value !== null)), tid: tenant };
  });
}
