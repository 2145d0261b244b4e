import { REALM, ServiceError } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import { checkApart } from "@redoubt/registry";
import { readBase } from "../init/addresses.ts";
import { CLUSTER_TENANTS, REALMS, tenantRuleOf } from "../layout.ts";
import { clusterNames, MAX_AUDIENCES, type Cluster, type Settings } from "../settings.ts";
import { checkAudiences } from "../tenancy/names.ts";

export interface ClusterOptions {
  readonly issuer: string;
  readonly audience?: readonly string[];
  readonly maxLifetime?: number;
}

export type ClusterChoice = Pick<Cluster, "realm" | "issuer" | "tenant" | "audiences"> & {
  readonly maxLifetimeSeconds: number | undefined;
};

/**
 * What the options say about a cluster. Whatever the registry would refuse for ever is refused here.
 *
 * @throws ServiceError `ERR_OPTION`
 */
export function chooseCluster(
  settings: Pick<Settings, "realms" | "clusters">,
  realm: string,
  { issuer, audience = [issuer], maxLifetime: maxLifetimeSeconds }: ClusterOptions,
): ClusterChoice {
  if (!REALM.test(realm) || REALMS.some((name) => name === realm))
    throw refused(
      `${realm}: a cluster is named like ${REALM.source}, and not ${REALMS.join(" or ")}`,
    );
  const known = settings.clusters.find((one) => one.realm === realm);
  if (known && known.issuer !== issuer)
    throw refused(`Cluster ${realm} has the issuer ${known.issuer}, which stands in its keys`);
  const choice = {
    realm,
    issuer: checkClusterIssuer(issuer),
    tenant: known?.tenant ?? freeTenant(settings),
    audiences: [...new Set(checkAudiences(audience))],
    maxLifetimeSeconds,
  };
  if (choice.audiences.length > MAX_AUDIENCES)
    throw refused(`A cluster has at most ${MAX_AUDIENCES} audiences`);
  checkPath(settings, choice);
  return choice;
}

/** kube-apiserver compares it letter by letter, and the publisher makes file names of its path. */
function checkClusterIssuer(issuer: string): string {
  const segments = new URL(readBase(issuer)).pathname.split("/");
  if (issuer.endsWith("/") || segments[1] === "tlog" || segments.includes("keys"))
    throw refused(
      `--issuer ${issuer}: no slash at its end, no part that is keys, and no path below /tlog`,
    );
  return issuer;
}

function freeTenant({ clusters }: Pick<Settings, "clusters">): string {
  const free = CLUSTER_TENANTS.find((id) => clusters.every(({ tenant }) => tenant !== id));
  if (free === undefined)
    throw refused(`A system has at most ${CLUSTER_TENANTS.length} clusters: make another one`);
  return free;
}

/**
 * THREAT-01: the registry wants issuers apart. The publisher knows issuers by their paths alone, so those must be apart,
 * whatever the hosts are.
 */
function checkPath(
  { realms, clusters }: Pick<Settings, "realms" | "clusters">,
  { realm, issuer, tenant }: ClusterChoice,
): void {
  const own = { realm, issuer: pathOf(issuer), tenantRule: { fixed: tenant } };
  const others = [
    ...REALMS.map((name) => ({
      realm: name,
      issuer: pathOf(realms[name].issuer),
      tenantRule: tenantRuleOf(name),
    })),
    ...clusters.map((one) => ({
      realm: one.realm,
      issuer: pathOf(one.issuer),
      tenantRule: { fixed: one.tenant },
    })),
  ];
  try {
    for (const other of others) if (other.realm !== realm) checkApart(other, own);
  } catch (cause) {
    if (!(cause instanceof KeyError)) throw cause;
    const names = [...REALMS, ...clusterNames({ clusters })].join(", ");
    throw new ServiceError(
      "ERR_OPTION",
      `--issuer ${issuer}: the publisher has another issuer at this path (realms: ${names}); give it a path of its own`,
      { cause },
    );
  }
}

function pathOf(issuer: string): string {
  return issuer.replace(/^https?:\/\/[^/]+/, "http://publisher");
}

function refused(message: string): ServiceError {
  return new ServiceError("ERR_OPTION", message);
}
