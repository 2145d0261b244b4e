import { errorCode, errorLine, nowSeconds, systemClock } from "@redoubt/base";
import type { Registry, StatementBody } from "@redoubt/registry";
import { demoRootStatement } from "../ceremony/demo-root.ts";
import { DEMO_SCOPES, demoStatements, TRY_CLIENT, TRY_LOGIN, type Demo } from "../demo.ts";
import { REALMS, tenantRuleOf, type Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";
import {
  isOnLoopback,
  type Cluster,
  type RealmAddress,
  type RealmKeys,
  type Settings,
} from "../settings.ts";
import { stateClient } from "../tenancy/clients.ts";
import { secretCredentials } from "../tenancy/credentials.ts";

/** A cluster whose statements the registry would not take, and why. */
export interface RefusedCluster {
  readonly realm: string;
  readonly reason: string;
}

/**
 * Says in the registry what a fresh one-machine system and its clusters need. What stands there already is not said
 * again, so that a start after a crash goes on where the one before ended. Returns the clusters that cannot work: an
 * audience that is a client's id, say, must not keep everything else from starting.
 */
export async function stateBootstrap(
  operator: Operator,
  { realms, clusters, broker }: Pick<Settings, "realms" | "clusters" | "broker">,
  demo: Demo,
): Promise<readonly RefusedCluster[]> {
  const registry = await operator.readRegistry();
  await stateNew(operator, [
    ...REALMS.flatMap((realm) => realmStatements(realm, realms[realm])),
    ...demoStatements(demo),
    ...(broker ? [{ type: "broker", ...broker } as const] : []),
  ]);
  for (const { secret, audience, ...name } of demo.clients) {
    const rights = { status: "active", audiences: [audience], scopes: DEMO_SCOPES } as const;
    if (!isKnown(registry, { type: "client", ...name, ...rights }))
      await stateClient(operator, { ...name, ...rights, login: null }, secretCredentials(secret));
  }
  if (isOnLoopback({ realms })) await stateTryClient(operator, demo);
  return stateClusters(operator, clusters);
}

/** A public client: what a newcomer signs in through. */
async function stateTryClient(operator: Operator, { clients }: Demo): Promise<void> {
  for (const { realm, tenant, audience } of clients) {
    const body = { type: "client", realm, tenant, client: TRY_CLIENT, status: "active" } as const;
    const rights = { audiences: [audience], scopes: DEMO_SCOPES, login: TRY_LOGIN };
    await stateNew(operator, [{ ...body, ...rights }]);
  }
}

async function stateClusters(
  operator: Operator,
  clusters: readonly Cluster[],
): Promise<readonly RefusedCluster[]> {
  const refused: RefusedCluster[] = [];
  for (const cluster of clusters)
    try {
      await stateNew(operator, clusterStatements(cluster));
    } catch (error) {
      if (errorCode(error) !== "ERR_REGISTRY_VOID") throw error;
      refused.push({ realm: cluster.realm, reason: errorLine(error) });
    }
  return refused;
}

async function stateNew(operator: Operator, statements: readonly StatementBody[]): Promise<void> {
  for (const statement of statements)
    if (!isKnown(operator.registry, statement)) await operator.state(statement);
}

/** Says a demo root in the registry if there is no root, or a demo root with 30 days or less left. */
export async function stateDemoRoot(operator: Operator): Promise<void> {
  const registry = await operator.readRegistry();
  const root = demoRootStatement(operator.folder, registry, nowSeconds(systemClock));
  if (root) await operator.state(root);
}

function realmStatements(
  realm: Realm,
  { issuer, log, logKey, writer, ring }: RealmAddress & RealmKeys,
): StatementBody[] {
  return [
    {
      type: "realm",
      realm,
      issuer,
      ring,
      tenantRule: tenantRuleOf(realm),
    },
    { type: "writer", realm, log, writer, logKey },
  ];
}

function clusterStatements({
  realm,
  issuer,
  tenant,
  audiences,
  log,
  logKey,
  writer,
  ring,
}: Cluster): StatementBody[] {
  return [
    { type: "realm", realm, issuer, ring, tenantRule: { fixed: tenant } },
    { type: "writer", realm, log, writer, logKey },
    { type: "tenant", realm, tenant, status: "active", audiences },
  ];
}

function isKnown(registry: Registry, body: StatementBody): boolean {
  switch (body.type) {
    case "realm":
      return registry.realms.has(body.realm);
    case "writer":
      return registry.writers.has(body.log);
    case "broker":
      return registry.brokers.has(body.log);
    case "tenant":
      return registry.tenants.has(`${body.realm}/${body.tenant}`);
    case "client":
      return registry.clients.has(`${body.realm}/${body.tenant}/${body.client}`);
    case "reporter":
      return registry.reporters.has(body.reporter);
    case "enrolment":
      return registry.enrolments.has(`${body.realm}/${body.credential}`);
    case "log-closed":
    case "witness-forward":
    case "pinned-key":
    case "body-read":
    case "key":
    case "key-state":
    case "key-retain":
    case "root":
      return false;
  }
}
