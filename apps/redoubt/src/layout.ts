/** What runs on one machine, and where: the one place that knows the names, ports and origins. */
export const REALMS = ["consumer", "enterprise"] as const;
export type Realm = (typeof REALMS)[number];

/** For commands without `--realm`: the realm of the operator's own tenants, which most commands are about. */
export const DEFAULT_REALM: Realm = "enterprise";

/** The consumer realm's only tenant; Microsoft uses the same id for personal accounts. */
export const CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad";

export const SERVICES = [
  "ledger",
  "monitor",
  "signer-consumer",
  "signer-enterprise",
  "issuer-consumer",
  "issuer-enterprise",
  "publisher",
] as const;
export type ServiceName = (typeof SERVICES)[number];

const TENANT_PLACEHOLDER = "{tenantid}";

export const REGISTRY_LOG = "redoubt.local/registry";

export interface Ports {
  readonly publisher: number;
  readonly "issuer-consumer": number;
  readonly "issuer-enterprise": number;
  readonly monitor: number;
  readonly status: number;
}

export function portsFrom(base: number): Ports {
  return {
    publisher: base,
    "issuer-consumer": base + 1,
    "issuer-enterprise": base + 2,
    monitor: base + 3,
    status: base + 4,
  };
}

/** Who may connect to whom: one socket for each pair. */
export const CALLERS: Readonly<Record<ServiceName, readonly string[]>> = {
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
export function issuanceLog(realm: Realm, now: Date): string {
  const quarter = Math.floor(now.getUTCMonth() / 3) + 1;
  return `redoubt.local/issuance/${realm}-1/${now.getUTCFullYear()}q${quarter}`;
}
