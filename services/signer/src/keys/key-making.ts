import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import { type Custodian, type CustodyKey } from "@redoubt/custody";
import { type Registry, type StatementSigner } from "@redoubt/registry";
import { newKeyWindow, signKeyRecord } from "@redoubt/keys";
import type { RingPolicy } from "../config.ts";
import type { SignerEvents } from "../events.ts";
import type { KeyRing } from "./key-ring.ts";
import type { KeyStatements } from "./key-statements.ts";

export interface KeyMakingOptions {
  readonly realm: string;
  readonly origin: string;
  readonly ring: KeyRing;
  readonly registry: () => Registry;
  readonly custodian: Custodian;
  readonly ringSigner: StatementSigner;
  readonly clock: Clock;
  readonly events: SignerEvents;
  readonly statements: KeyStatements;
}

/** Makes a key in custody and registers its record: its whole scope, fixed for ever (P1). */
export async function makeKey(options: KeyMakingOptions, policy: RingPolicy): Promise<void> {
  const { custodian, ring, ringSigner, events, statements } = options;
  const key = ring.spare(policy.alg) ?? (await custodian.generate(policy.alg));
  ring.hold(key);
  const signed = signKeyRecord(recordFields(options, policy, key), ringSigner.privateKey);
  await statements.key(signed);
  events.keyMade(signed.record.kid, policy.alg, custodian.label);
}

function recordFields(options: KeyMakingOptions, policy: RingPolicy, key: CustodyKey) {
  const { realm, origin, custodian, registry, clock } = options;
  const info = registry().realms.get(realm);
  if (!info) throw new ServiceError("ERR_SIGNER_REALM", `Realm ${realm} is not registered`);
  const { issuer, tenantRule } = info;
  return {
    alg: policy.alg,
    publicKey: key.publicJwk,
    realm,
    issuer,
    tenants:
      "fixed" in tenantRule
        ? { ids: [tenantRule.fixed] }
        : { bucket: 0, of: 1, except: [...new Set(tenantRule.except)].toSorted() },
    class: policy.class,
    audiences: "any",
    maxLifetimeSeconds: policy.maxLifetimeSeconds,
    ...newKeyWindow(policy, nowSeconds(clock)),
    custody: custodian.label,
    issuanceFloor: "audit",
    log: origin,
  };
}
