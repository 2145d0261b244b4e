import type { Proxies } from "@redoubt/http";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import {
  CALLERS,
  callersOf,
  NOTHING_MORE,
  CONSUMER_TENANT,
  loginOrigin,
  portsFrom,
  REALMS,
  REGISTRY_LOG,
  type Ports,
  type Realm,
  type ServiceName,
} from "../layout.ts";
import { isOnLoopback, type Settings } from "../settings.ts";

/** Members of a signer's configuration that say where its keys are kept. */
export type CustodyMembers = Readonly<Record<Realm, JsonObject>>;

const MAX_TTL_SECONDS = 3600;
/** A working day, and what a person may leave an application with before she signs in again. */
const SESSION_SECONDS = 43_200;
const REFRESH_SECONDS = 604_800;
/** In an organisation a lost passkey must lock nobody out; a consumer has a recovery code. */
const PASSKEYS_REQUIRED: Readonly<Record<Realm, number>> = { consumer: 1, enterprise: 2 };
/** kube-apiserver asks for 3607 s for each pod by itself. */
const CLUSTER_TTL_SECONDS = 3660;
/**
 * Tokens for one client: about half of what one core issues (design note 0013), so that none can use all (THREAT-36).
 */
const BUDGET = { perSecond: 3000, burst: 3000 };

/** Where the processes that serve the world listen besides loopback. */
export interface Listen {
  readonly address: string;
  /** First of six: publisher, both issuers, monitor, none (the status page is for this machine), ceremony page. */
  readonly port: number;
  /** `null`: plain HTTP, for the proxies alone. */
  readonly tls: { readonly certificate: string; readonly key: string } | null;
}

/** What configurations need to know and no command ever asks. */
export interface ConfigChoices {
  readonly custody: CustodyMembers;
  /** `null`: loopback alone. */
  readonly listen: Listen | null;
  /** Who speaks for others; `null`: nobody. */
  readonly proxies: Proxies | null;
}

/** The configuration of each process in the one-machine profile. */
export function makeConfigs(
  settings: Settings,
  choices: ConfigChoices,
): ReadonlyMap<ServiceName, JsonValue> {
  const ports = portsFrom(settings.port);
  const pinned = {
    registry: { log: REGISTRY_LOG, vkey: settings.registryKey },
    operator: settings.operator,
  };
  return new Map<ServiceName, JsonValue>([
    ["ledger", ledgerConfig(settings, ports)],
    [
      "monitor",
      {
        ...pinned,
        v: 1,
        http: places(choices, ports, "monitor"),
        callers: CALLERS.monitor,
        publisherUrl: `http://127.0.0.1:${ports.publisher}`,
      },
    ],
    [
      "publisher",
      {
        ...pinned,
        v: 1,
        ...publisherConfig(settings),
        http: places(choices, ports, "publisher"),
      },
    ],
    ...presenceConfig(settings, choices, ports),
    ...REALMS.flatMap((realm): (readonly [ServiceName, JsonValue])[] => [
      [`signer-${realm}`, { ...signerConfig(realm, settings), ...choices.custody[realm] }],
      [
        `issuer-${realm}`,
        {
          ...pinned,
          ...issuerConfig(realm, settings),
          http: places(choices, ports, `issuer-${realm}`),
        },
      ],
    ]),
  ]);
}

function presenceConfig(
  { presence, rpId }: Settings,
  choices: ConfigChoices,
  ports: Ports,
): readonly (readonly [ServiceName, JsonValue])[] {
  if (presence === undefined) return [];
  // Plain http is of this machine: nobody elsewhere could approve there.
  const isLocal = presence.startsWith("http:");
  const http = places({ ...choices, ...(isLocal && { listen: null }) }, ports, "presence");
  const callers = [...callersOf("presence", NOTHING_MORE)];
  return [["presence", { v: 1, http, rpId, origin: presence, callers }]];
}

/** Where one process listens, on loopback and for the world. */
function places({ listen, proxies }: ConfigChoices, ports: Ports, service: keyof Ports): JsonValue {
  return {
    port: ports[service],
    proxies: proxies && { ...proxies, addresses: [...proxies.addresses] },
    public: listen && {
      address: listen.address,
      port: portsFrom(listen.port)[service],
      tls: listen.tls && { ...listen.tls },
    },
  };
}

function ledgerConfig({ realms, operator, witness }: Settings, ports: Ports): JsonValue {
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

function publisherConfig({ realms }: Settings) {
  return {
    loginOrigins: Object.fromEntries(
      REALMS.flatMap((realm) => {
        const origin = loginOrigin(realms[realm].tokenEndpoint);
        return origin === undefined ? [] : [[realm, origin]];
      }),
    ),
    tokenEndpoints: {
      consumer: realms.consumer.tokenEndpoint,
      enterprise: realms.enterprise.tokenEndpoint,
    },
    publishedFolder: "ledger/published",
  };
}

function signerConfig(realm: Realm, settings: Settings): JsonObject {
  // Two keys: what is meant for an API, and what tells a client who signed in (ARCHITECTURE §5.2).
  const rings = (["at", "oidc"] as const).map((tokenClass) => ({
    class: tokenClass,
    alg: "ES256",
    maxLifetimeSeconds: MAX_TTL_SECONDS,
  }));
  return anySignerConfig({ realm, log: settings.realms[realm].log, rings }, settings);
}

interface ClusterSigner {
  readonly realm: string;
  readonly log: string;
  readonly tenant: string;
  readonly maxLifetimeSeconds: number | undefined;
}

/** The configuration of a cluster's signer: one ring, of the class that `signExact` signs with. */
export function clusterSignerConfig(
  { realm, log, tenant, maxLifetimeSeconds = CLUSTER_TTL_SECONDS }: ClusterSigner,
  settings: Settings,
): JsonObject {
  const ring = { class: "oidc", alg: "ES256", maxLifetimeSeconds };
  const kubernetes = { tenant, audiences: "tenant" };
  return { ...anySignerConfig({ realm, log, rings: [ring] }, settings), kubernetes };
}

interface SignerPlan {
  readonly realm: string;
  readonly log: string;
  readonly rings: readonly JsonObject[];
}

function anySignerConfig({ realm, log, rings }: SignerPlan, settings: Settings): JsonObject {
  return {
    v: 1,
    realm,
    instance: `${realm}-1`,
    log,
    callers: callersOf(`signer-${realm}`, NOTHING_MORE),
    registry: { log: REGISTRY_LOG, vkey: settings.registryKey },
    operator: settings.operator,
    witness: settings.witness,
    maxUnwitnessedSeconds: 900,
    rings: [...rings],
    budget: BUDGET,
    labels: ["isolation: none", "roots: demo", "witness: same-machine"],
  };
}

function issuerConfig(realm: Realm, { realms, rpId, presence }: Settings): JsonObject {
  const origin = loginOrigin(realms[realm].tokenEndpoint);
  return {
    v: 1,
    realm,
    issuer: realms[realm].issuer,
    tokenEndpoint: realms[realm].tokenEndpoint,
    tenant: realm === "consumer" ? CONSUMER_TENANT : null,
    callers: CALLERS[`issuer-${realm}`],
    maxTtlSeconds: MAX_TTL_SECONDS,
    people:
      origin === undefined
        ? null
        : {
            loginOrigin: origin,
            rp: { id: rpId, name: "Redoubt" },
            // For trying: a newcomer has one device at hand. `redoubt status` says so.
            passkeysRequired: isOnLoopback({ realms }) ? 1 : PASSKEYS_REQUIRED[realm],
            passkeys: {
              attestation: "none",
              synced: "allowed",
              allowAaguids: null,
              denyAaguids: [],
              roots: [],
            },
            ...(presence !== undefined && { presence }),
            sessionSeconds: SESSION_SECONDS,
            refreshSeconds: REFRESH_SECONDS,
          },
  };
}
