import { join } from "node:path";
import { errorLine, nowSeconds, readPrivateFile, systemClock } from "@redoubt/base";
import type { RotationPolicy } from "@redoubt/keys";
import { parseConfig } from "@redoubt/signer";
import { ask, SIGNER } from "@redoubt/wire";
import { readAlarms, type Alarm } from "../alarms.ts";
import { REALMS } from "../layout.ts";
import type { Operator } from "../operator.ts";
import type { KeySources, PolicyOf } from "./key-list.ts";
import { joinSignerKeys, type SignerKey } from "./signer-keys.ts";

type Notice = (line: string) => void;

/** Everything about the keys but the registry itself. */
export async function readSources(
  operator: Operator,
  notice: Notice,
): Promise<Omit<KeySources, "registry">> {
  return {
    signers: await readSigners(operator, notice),
    policyOf: readPolicies(),
    alarms: await readOpenAlarms(operator, notice),
    nowSeconds: nowSeconds(systemClock),
  };
}

async function readSigners(
  operator: Operator,
  notice: Notice,
): Promise<ReadonlyMap<string, SignerKey>> {
  const all = new Map<string, SignerKey>();
  for (const realm of REALMS) {
    try {
      const signer = operator.client(`signer-${realm}`);
      const fetched = await ask(signer, SIGNER.fetchKeys, {});
      const rings = await ask(signer, SIGNER.rings, {});
      for (const [kid, key] of joinSignerKeys(fetched, rings)) all.set(kid, key);
    } catch (error) {
      // The registry alone answers the question; that a signer is away must be seen, not stop the answer.
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

/** From the configuration of each signer here. Reads the working directory's data folder. */
export function readPolicies(): PolicyOf {
  const policies = new Map<string, RotationPolicy>();
  for (const realm of REALMS) {
    const config = parseConfig(readPrivateFile(join(`signer-${realm}`, "config.json")));
    for (const ring of config.rings) policies.set(`${realm} ${ring.class}`, ring);
  }
  return (realm, tokenClass) => policies.get(`${realm} ${tokenClass}`);
}
