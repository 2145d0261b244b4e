import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import {
  CALLERS,
  CONSUMER_TENANT,
  issuerTemplate,
  REALMS,
  REGISTRY_LOG,
  tokenEndpoint,
  type Ports,
  type Realm,
  type ServiceName,
} from "../layout.ts";
import type { Identities } from "../settings.ts";

const MAX_TTL_SECONDS = 3600;
/**
 * Tokens for one client: about half of what one core issues (design note 0013), so that none can use all (THREAT-36).
 */
const BUDGET = { perSecond: 3000, burst: 3000 };

/** The configuration of each process in the one-machine profile. */
export function makeConfigs(ids: Identities, ports: Ports): ReadonlyMap<ServiceName, JsonValue> {
  const pinned = { registry: { log: REGISTRY_LOG, vkey: ids.registryKey }, operator: ids.operator };
  return new Map<ServiceName, JsonValue>([
    ["ledger", ledgerConfig(ids, ports)],
    [
      "monitor",
      {
        ...pinned,
        v: 1,
        port: ports.monitor,
        callers: CALLERS.monitor,
        publisherUrl: `http://127.0.0.1:${ports.publisher}`,
      },
    ],
    ["publisher", { ...pinned, v: 1, ...publisherConfig(ports) }],
    ...REALMS.flatMap((realm): (readonly [ServiceName, JsonValue])[] => [
      [`signer-${realm}`, signerConfig(realm, ids)],
      [`issuer-${realm}`, { ...pinned, ...issuerConfig(realm, ports) }],
    ]),
  ]);
}

function ledgerConfig({ realms, operator, witness }: Identities, ports: Ports): JsonValue {
  return {
    v: 1,
    org: "redoubt.local",
    callers: CALLERS.ledger,
    registry: REGISTRY_LOG,
    logs: REALMS.map((realm) => ({
      log: realms[realm].log,
      writer: realms[realm].writer,
      caller: `signer-${realm}`,
    })),
    operator,
    witness: { url: `http://127.0.0.1:${ports.monitor}`, vkey: witness },
  };
}

function publisherConfig(ports: Ports) {
  return {
    port: ports.publisher,
    tokenEndpoints: {
      consumer: tokenEndpoint("consumer", ports),
      enterprise: tokenEndpoint("enterprise", ports),
    },
    publishedFolder: "ledger/published",
  };
}

function signerConfig(realm: Realm, ids: Identities): JsonValue {
  return {
    v: 1,
    realm,
    instance: `${realm}-1`,
    log: ids.realms[realm].log,
    callers: CALLERS[`signer-${realm}`],
    registry: { log: REGISTRY_LOG, vkey: ids.registryKey },
    operator: ids.operator,
    witness: ids.witness,
    maxUnwitnessedSeconds: 900,
    rings: [
      {
        class: "at",
        alg: "ES256",
        maxLifetimeSeconds: MAX_TTL_SECONDS,
      },
    ],
    budget: BUDGET,
    labels: ["isolation: none", "roots: demo", "witness: same-machine"],
  };
}

function issuerConfig(realm: Realm, ports: Ports): JsonObject {
  return {
    v: 1,
    realm,
    port: ports[`issuer-${realm}`],
    issuer: issuerTemplate(realm, ports.publisher),
    tenant: realm === "consumer" ? CONSUMER_TENANT : null,
    proxies: null,
    callers: CALLERS[`issuer-${realm}`],
    maxTtlSeconds: MAX_TTL_SECONDS,
  };
}
