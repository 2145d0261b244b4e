import { REALM, ServiceError } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import { checkApart } from "@redoubt/registry";
import { optionError } from "../command.ts";
import { readBase } from "../init/addresses.ts";
import { CLUSTER_TENANTS, onLoopback, REALMS, tenantRuleOf } from "../layout.ts";
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
  settings: Pick<Settings, "port" | "realms" | "clusters">,
  realm: string,
  { issuer, audience = [issuer], maxLifetime: maxLifetimeSeconds }: ClusterOptions,
): ClusterChoice {
  if (!REALM.test(realm) || REALMS.some((name) => name === realm))
    throw optionError(
      `${realm}: a cluster is named like ${REALM.source}, and not ${REALMS.join(" or ")}`,
    );
  const known = settings.clusters.find((one) => one.realm === realm);
  if (known && known.issuer !== issuer)
    throw optionError(`Cluster ${realm} has the issuer ${known.issuer}, which stands in its keys`);
  const choice = {
    realm,
    issuer: checkClusterIssuer(issuer),
    tenant: known?.tenant ?? freeTenant(settings),
    audiences: [...new Set(checkAudiences(audience))],
    maxLifetimeSeconds,
  };
  if (choice.audiences.length > MAX_AUDIENCES)
    throw optionError(`A cluster has at most ${MAX_AUDIENCES} audiences`);
  checkPath(settings, choice);
  return choice;
}

/** kube-apiserver compares it letter by letter, and the publisher makes file names of its path. */
function checkClusterIssuer(issuer: string): string {
  const segments = new URL(readBase(issuer)).pathname.split("/");
  if (issuer.endsWith("/") || segments[1] === "tlog" || segments.includes("keys"))
    throw optionError(
      `--issuer ${issuer}: no slash at its end, no part that is keys, and no path below /tlog`,
    );
  return issuer;
}

function freeTenant({ clusters }: Pick<Settings, "clusters">): string {
  const free = CLUSTER_TENANTS.find((id) => clusters.every(({ tenant }) => tenant !== id));
  if (free === undefined)
    throw optionError(`A system has at most ${CLUSTER_TENANTS.length} clusters: make another one`);
  return free;
}

/**
 * THREAT-01: the registry wants issuers apart. The publisher knows issuers by their paths alone, so those must be apart,
 * whatever the hosts are.
 */
function checkPath(
  { port, realms, clusters }: Pick<Settings, "port" | "realms" | "clusters">,
  { realm, issuer, tenant }: ClusterChoice,
): void {
  const own = { realm, issuer: onLoopback(issuer, port), tenantRule: { fixed: tenant } };
  const others = [
    ...REALMS.map((name) => ({
      realm: name,
      issuer: onLoopback(realms[name].issuer, port),
      tenantRule: tenantRuleOf(name),
    })),
    ...clusters.map((one) => ({
      realm: one.realm,
      issuer: onLoopback(one.issuer, port),
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
