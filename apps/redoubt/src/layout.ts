import { isIP } from "node:net";

/** What runs on one machine, and where: the one place that knows the names, ports and origins. */
export const REALMS = ["consumer", "enterprise"] as const;
export type Realm = (typeof REALMS)[number];

/** For commands without `--realm`: the realm of the operator's own tenants, which most commands are about. */
export const DEFAULT_REALM: Realm = "enterprise";

/** The consumer realm's only tenant; Microsoft uses the same id for personal accounts. */
export const CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad";

/**
 * The tenants that clusters get, one each. The registry has every other realm except a cluster's tenant (THREAT-01), and
 * a realm says its exceptions once: so they are set aside when the enterprise realm is made.
 */
export const CLUSTER_TENANTS: readonly string[] = [
  "072ef5bb-57b9-4d8a-900e-fbe0a0379a52",
  "c667aaea-2793-4817-99e7-a63c1989298a",
  "edfb6661-f007-4e57-a276-340dadb78dcd",
  "e1bde868-8e1f-421d-86ec-fb296ab59b48",
  "6c3a0ad6-2ec9-42f3-a229-cedf24c1cd8e",
  "531962ae-28a8-4088-92eb-78a12f77ff6a",
  "08f0c677-bed2-41af-9a65-b82351fc5a32",
];

/** The tenants of a realm that every system has, as the registry takes it. */
export function tenantRuleOf(
  realm: Realm,
): { readonly fixed: string } | { readonly except: readonly string[] } {
  if (realm === "consumer") return { fixed: CONSUMER_TENANT };
  return { except: [CONSUMER_TENANT, ...CLUSTER_TENANTS] };
}

/** What every system has; a cluster adds a signer and a front. */
export const SERVICES = [
  "ledger",
  "monitor",
  "signer-consumer",
  "signer-enterprise",
  "issuer-consumer",
  "issuer-enterprise",
  "publisher",
] as const;
type FixedService = (typeof SERVICES)[number];
export type ServiceName =
  | FixedService
  | "broker"
  | "link"
  | "presence"
  | `signer-${string}`
  | `kube-front-${string}`
  | `custody-${string}`;

/** What a system has beside what every system has. */
export interface Extent {
  readonly clusters: readonly string[];
  /** Realms whose signers need leases. */
  readonly leased: readonly string[];
  /** Whether there is a ceremony page: systems made before there was one go on without. */
  readonly presence?: boolean;
}

export const NOTHING_MORE: Extent = { clusters: [], leased: [] };

export function servicesOf({ clusters, leased, presence }: Extent): readonly ServiceName[] {
  return [
    ...SERVICES,
    ...(presence === true ? (["presence"] as const) : []),
    ...clusters.flatMap((cluster) => [`signer-${cluster}`, `kube-front-${cluster}`] as const),
    ...(leased.length > 0 ? (["broker"] as const) : []),
    ...leased.map((realm) => `custody-${realm}` as const),
  ];
}

const REALM_KINDS = ["signer", "issuer", "kube-front", "custody"] as const;
const SINGLE_KINDS = ["ledger", "monitor", "publisher", "broker", "link", "presence"] as const;

/** A process by its code, and its realm where it has one. */
export type Role =
  | { readonly kind: (typeof SINGLE_KINDS)[number]; readonly realm?: undefined }
  | { readonly kind: (typeof REALM_KINDS)[number]; readonly realm: string };

export function roleOf(service: ServiceName): Role {
  const single = SINGLE_KINDS.find((kind) => kind === service);
  if (single !== undefined) return { kind: single };
  for (const kind of REALM_KINDS)
    if (service.startsWith(`${kind}-`)) return { kind, realm: service.slice(kind.length + 1) };
  throw new RangeError(`No such service: ${service}`);
}

const TENANT_PLACEHOLDER = "{tenantid}";

export const REGISTRY_LOG = "redoubt.local/registry";
export const BROKER_LOG = "redoubt.local/broker";

export interface Ports {
  readonly publisher: number;
  readonly "issuer-consumer": number;
  readonly "issuer-enterprise": number;
  readonly monitor: number;
  readonly status: number;
  readonly presence: number;
}

export function portsFrom(base: number): Ports {
  return {
    publisher: base,
    "issuer-consumer": base + 1,
    "issuer-enterprise": base + 2,
    monitor: base + 3,
    status: base + 4,
    presence: base + 5,
  };
}

/** Who may connect to whom: one socket for each pair. */
export const CALLERS: Readonly<Record<FixedService, readonly string[]>> = {
  ledger: [
    "signer-consumer",
    "signer-enterprise",
    "issuer-consumer",
    "issuer-enterprise",
    "monitor",
    "publisher",
    "operator",
  ],
  monitor: [
    "issuer-consumer",
    "issuer-enterprise",
    "signer-consumer",
    "signer-enterprise",
    "drill-consumer",
    "drill-enterprise",
    "operator",
  ],
  "signer-consumer": ["issuer", "drill", "operator"],
  "signer-enterprise": ["issuer", "drill", "operator"],
  "issuer-consumer": ["operator"],
  "issuer-enterprise": ["operator"],
  publisher: [],
};

/** Of the ceremony page. Issuers have what their own realm's people do approved. */
const PRESENCE_CALLERS = ["operator", "issuer-consumer", "issuer-enterprise"] as const;

function isFixed(service: ServiceName): service is FixedService {
  return SERVICES.some((name) => name === service);
}

/** As `CALLERS`, with those that clusters and leases add. kube-apiserver has no secret, so it is not among them. */
export function callersOf(service: ServiceName, extent: Extent): readonly string[] {
  const { clusters, leased } = extent;
  const { kind, realm } = roleOf(service);
  const broker = leased.length > 0 ? ["broker"] : [];
  const fixed = isFixed(service) ? CALLERS[service] : [];
  if (kind === "presence") return PRESENCE_CALLERS;
  if (kind === "broker") return leased.map((name) => `signer-${name}`);
  if (kind === "custody") return [`signer-${realm}`];
  if (kind === "ledger")
    return [...fixed, ...clusters.map((cluster) => `signer-${cluster}`), ...broker];
  if (kind === "monitor")
    return [
      ...fixed,
      ...servicesOf({ clusters, leased: [] }).filter((name) => !isFixed(name)),
      ...broker,
    ];
  // No issuer and no drill: a cluster's realm has no key that makes access tokens.
  return kind === "signer" && !isFixed(service) ? ["kube-front", "operator"] : fixed;
}

/** Issuer identifier below a base URL, which has no slash at its end. */
export function issuerBelow(base: string, realm: Realm): string {
  return `${base}/${realm === "consumer" ? "consumer" : TENANT_PLACEHOLDER}/v2.0`;
}

export function tokenEndpointBelow(base: string, realm: Realm): string {
  return `${base}/${realm === "consumer" ? "consumer" : TENANT_PLACEHOLDER}/oauth2/v2.0/token`;
}

export function atTenant(template: string, tenant: string): string {
  return template.replace(TENANT_PLACEHOLDER, tenant);
}

/**
 * WebAuthn §5.1.2: no passkey works at an IP address, so nobody signs in there; at `localhost` it does, over plain HTTP,
 * too.
 */
export function loginOrigin(endpoint: string): string | undefined {
  const { origin, hostname } = new URL(
    endpoint.replace(TENANT_PLACEHOLDER, "x").replace("://127.0.0.1", "://localhost"),
  );
  return isIP(hostname.replace(/^\[|\]$/g, "")) === 0 ? origin : undefined;
}

/**
 * Where the people of a tenant sign in: all that is theirs is beside the token endpoint.
 *
 * @throws RangeError for an IP address: no people sign in there
 */
export function loginUrl(endpoint: string, tenant: string): string {
  const origin = loginOrigin(endpoint);
  if (origin === undefined) throw new RangeError(`No passkey works at ${endpoint}`);
  const { pathname } = new URL(atTenant(endpoint, tenant));
  return `${origin}${pathname.replace(/\/token$/, "")}`;
}

/** The same path at a port of this machine: our own commands need neither DNS nor the proxy in front. */
export function onLoopback(url: string, port: number): string {
  return url.replace(/^https?:\/\/[^/]+/, `http://127.0.0.1:${port}`);
}

/** Issuer of a realm that only this machine can reach. */
export function issuerTemplate(realm: Realm, publisherPort: number): string {
  return issuerBelow(`http://127.0.0.1:${publisherPort}`, realm);
}

export function tokenEndpoint(realm: Realm, ports: Ports): string {
  return tokenEndpointBelow(`http://127.0.0.1:${ports[`issuer-${realm}`]}`, realm);
}

/** One issuance log for each signer instance and quarter. */
export function issuanceLog(realm: string, now: Date): string {
  const quarter = Math.floor(now.getUTCMonth() / 3) + 1;
  return `redoubt.local/issuance/${realm}-1/${now.getUTCFullYear()}q${quarter}`;
}

/** Who a caller of a service is, where each has a user of its own: a service, or the operator, who runs the drills. */
export function userOf(service: ServiceName, caller: string): ServiceName | "operator" {
  if (caller === "operator" || caller === "drill" || caller.startsWith("drill-")) return "operator";
  const { kind, realm } = roleOf(service);
  // A signer has the callers of its own realm alone, and calls them by their kind.
  const name = kind === "signer" ? `${caller}-${realm}` : caller;
  if (!isService(name)) throw new RangeError(`No such caller of ${service}: ${caller}`);
  return name;
}

function isService(name: string): name is ServiceName {
  return (
    SERVICES.some((service) => service === name) ||
    /^(?:broker$|(?:signer|kube-front)-.)/.test(name)
  );
}
