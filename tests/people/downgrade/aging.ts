import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { parseJsonObject } from "@redoubt/verify/json";
import type { PeopleSystem } from "../people-fixture.ts";

/** POSIX seconds in what the protocol keeps. */
const TIMES = ["iat", "exp", "iiat", "loginTs", "authTime", "since"];

export interface AgedRow {
  readonly payload: Readonly<Record<string, unknown>>;
  readonly expires: number;
}

/** What the store has under a secret that a browser or client holds. */
export async function rowOf(
  { store, tenant }: PeopleSystem,
  kind: string,
  secret: string,
): Promise<AgedRow | undefined> {
  const row = await store.protocol.find(kind, nameOf(tenant, secret));
  if (!row) return undefined;
  return { payload: parseJsonObject(row.payload, { maxDepth: 16 }), expires: row.expires ?? 0 };
}

/** Lets so many seconds pass for one row: all its times, and its end, are that much longer ago. */
export async function age(
  people: PeopleSystem,
  kind: string,
  { secret, seconds }: { readonly secret: string; readonly seconds: number },
): Promise<void> {
  const { store, tenant } = people;
  const row = await rowOf(people, kind, secret);
  assert.ok(row, `no ${kind}`);
  const payload = Object.fromEntries(
    Object.entries(row.payload).map(([name, value]) => [
      name,
      TIMES.includes(name) && typeof value === "number" ? value - seconds : value,
    ]),
  );
  const { grantId, accountId, uid } = row.payload;
  await store.protocol.upsert({
    kind,
    id: nameOf(tenant, secret),
    payload: JSON.stringify(payload),
    expires: row.expires - seconds,
    grantId: typeof grantId === "string" ? nameOf(tenant, grantId) : null,
    accountId: typeof accountId === "string" ? accountId : null,
    uid: typeof uid === "string" ? nameOf(tenant, uid) : null,
  });
}

function nameOf(tenant: string, secret: string): string {
  return hash("sha256", `${tenant}/${secret}`, "base64url");
}
