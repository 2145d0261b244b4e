import { isJsonObject, MemberReader } from "@redoubt/base";
import type { KeyInfo, LifeCyclePolicy } from "@redoubt/keys";
import type { JsonObject } from "@redoubt/verify/json";
import type { KeyRecord } from "@redoubt/verify/record";
import { instant, span, table } from "../table.ts";
import { nextStep, type KeyFold, type NextStep } from "./next-step.ts";

export interface KeyView {
  readonly realm: string;
  readonly kid: string;
  readonly alg: string;
  readonly class: string;
  readonly state: string;
  /** Seconds since the epoch. */
  readonly since: number;
  readonly custody: string;
  readonly tenants: KeyRecord["tenants"];
  readonly signUntil: number;
  readonly verifyUntil: number;
  readonly next: NextStep | null;
  /** What the signer says of the key; null where it does not know it or does not answer. */
  readonly signer: string | null;
}

/** A ring's policy by realm and token class; undefined where no signer here makes such keys. */
export type PolicyOf = (realm: string, tokenClass: string) => LifeCyclePolicy | undefined;

/** State of each key as a realm's signer tells it, by kid. */
export function parseSignerKeys(answer: JsonObject): ReadonlyMap<string, string> {
  const reader = new MemberReader(answer, "keys of the signer");
  const keys = reader.array("keys", 100_000).map((value) => {
    const key = new MemberReader(isJsonObject(value) ? value : {}, "key of the signer");
    return [key.string("kid", 64), key.string("state", 32)] as const;
  });
  return new Map(keys);
}

/** Every key of the registry that is not gone for good, or all of them. */
export function listKeys(
  registry: KeyFold,
  signers: ReadonlyMap<string, string>,
  policyOf: PolicyOf,
  isAll: boolean,
): KeyView[] {
  return [...registry.keys.values()]
    .filter(({ state }) => isAll || (state !== "destroyed" && state !== "revoked"))
    .map((key) => viewOf(key, registry, signers, policyOf));
}

function viewOf(
  key: KeyInfo,
  registry: KeyFold,
  signers: ReadonlyMap<string, string>,
  policyOf: PolicyOf,
): KeyView {
  const { kid, realm, state, stateAt, record } = key;
  const policy = policyOf(realm, record.class);
  return {
    realm,
    kid,
    alg: record.alg,
    class: record.class,
    state,
    since: stateAt,
    custody: record.custody,
    tenants: record.tenants,
    signUntil: record.signUntil,
    verifyUntil: record.verifyUntil,
    next: (policy && nextStep(key, registry, policy)) ?? null,
    signer: signers.get(kid) ?? null,
  };
}

/** Keys whose state is one thing in the registry and another in the signer. */
export function disagreements(keys: readonly KeyView[]): readonly KeyView[] {
  return keys.filter(({ state, signer }) => signer !== null && signer !== state);
}

const HEADING = ["REALM", "STATE", "SINCE", "NEXT", "ALG", "CUSTODY", "TENANTS", "KID"];

export function keyTable(keys: readonly KeyView[], nowSeconds: number): string {
  const rows = keys.map((key) => [
    key.realm,
    key.signer === null || key.signer === key.state
      ? key.state
      : `${key.state} (signer: ${key.signer})`,
    instant(key.since),
    nextText(key.next, nowSeconds),
    key.alg,
    key.custody,
    tenantsText(key.tenants),
    key.kid,
  ]);
  return table([HEADING, ...rows]);
}

function nextText(next: NextStep | null, nowSeconds: number): string {
  if (!next) return "-";
  return next.at <= nowSeconds
    ? `${next.state} now`
    : `${next.state} in ${span(next.at - nowSeconds)}`;
}

export function tenantsText(tenants: KeyRecord["tenants"]): string {
  if ("ids" in tenants) {
    const [first = "none", ...others] = tenants.ids;
    return others.length === 0 ? first : `${first} and ${others.length} more`;
  }
  const { bucket, of, except } = tenants;
  const group = of === 1 ? "all" : `bucket ${bucket} of ${of}`;
  return except.length === 0 ? group : `${group} but ${except.length}`;
}
