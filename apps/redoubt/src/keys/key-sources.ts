import { join } from "node:path";
import { errorLine, nowSeconds, readPrivateFile, systemClock } from "@redoubt/base";
import type { RotationPolicy } from "@redoubt/keys";
import type { Registry } from "@redoubt/registry";
import { parseConfig } from "@redoubt/signer";
import { ask, SIGNER, type RealmKey, type RingKeyStatus } from "@redoubt/wire";
import { readAlarms, type Alarm } from "../alarms.ts";
import type { Operator } from "../operator.ts";
import type { KeyFold, SignerKey } from "./ring-of.ts";

/** A ring's policy by realm and token class; undefined where no signer here makes such keys. */
type PolicyOf = (realm: string, tokenClass: string) => RotationPolicy | undefined;

/** Where a view of the keys comes from. */
export interface KeySources {
  readonly registry: KeyFold & Pick<Registry, "tenants">;
  readonly signers: ReadonlyMap<string, SignerKey>;
  readonly policyOf: PolicyOf;
  readonly alarms: readonly Alarm[];
  readonly nowSeconds: number;
}

type Notice = (line: string) => void;

/** Everything about the keys but the registry itself. */
export async function readSources(
  operator: Operator,
  notice: Notice,
): Promise<Omit<KeySources, "registry">> {
  return {
    signers: await readSigners(operator, notice),
    policyOf: readPolicies(operator.realms),
    alarms: await readOpenAlarms(operator, notice),
    nowSeconds: nowSeconds(systemClock),
  };
}

export async function readSigners(
  operator: Operator,
  notice: Notice,
): Promise<ReadonlyMap<string, SignerKey>> {
  const all = new Map<string, SignerKey>();
  for (const realm of operator.realms) {
    try {
      const signer = operator.client(`signer-${realm}`);
      const fetched = await ask(signer, SIGNER.fetchKeys, {});
      const rings = await ask(signer, SIGNER.rings, {});
      for (const [kid, key] of joinSignerKeys(fetched, rings)) all.set(kid, key);
    } catch (error) {
      // The registry is enough for an answer. The person is told that a signer does not answer, and the command goes
      // on.
      notice(`Signer of realm ${realm} does not answer: ${errorLine(error)}`);
    }
  }
  return all;
}

async function readOpenAlarms(operator: Operator, notice: Notice): Promise<readonly Alarm[]> {
  try {
    return await readAlarms(operator.client("monitor"));
  } catch (error) {
    notice(`Alarms cannot be read: ${errorLine(error)}`);
    return [];
  }
}

/** Reads the policies from the configuration of each signer here. The working directory must be the data folder. */
export function readPolicies(realms: readonly string[]): PolicyOf {
  const policies = new Map<string, RotationPolicy>();
  for (const realm of realms) {
    const config = parseConfig(readPrivateFile(join(`signer-${realm}`, "config.json")));
    for (const ring of config.rings) policies.set(`${realm} ${ring.class}`, ring);
  }
  return (realm, tokenClass) => policies.get(`${realm} ${tokenClass}`);
}

interface Rings {
  readonly rings: readonly { readonly keys: readonly RingKey[] }[];
}
type RingKey = Pick<RingKeyStatus, "kid" | "state" | "held">;

/** The answers to `fetchKeys` and `rings` (docs/spec/wire.md §3), joined by kid. */
export function joinSignerKeys(
  fetched: { readonly keys: readonly Pick<RealmKey, "kid" | "state">[] },
  { rings }: Rings,
): ReadonlyMap<string, SignerKey> {
  const keys = new Map<string, SignerKey>();
  for (const { kid, state } of fetched.keys) keys.set(kid, { state, held: null });
  for (const { kid, state, held } of rings.flatMap((ring) => ring.keys))
    keys.set(kid, { state, held });
  return keys;
}
