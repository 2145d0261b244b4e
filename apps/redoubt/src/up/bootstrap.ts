import { nowSeconds, systemClock } from "@redoubt/base";
import type { Registry, StatementBody } from "@redoubt/registry";
import { demoRootStatement } from "../ceremony/demo-root.ts";
import { DEMO_SCOPES, demoStatements, type Demo } from "../demo.ts";
import { CONSUMER_TENANT, REALMS, type Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";
import type { RealmAddress, RealmKeys, Settings } from "../settings.ts";
import { stateClient } from "../tenancy/clients.ts";
import { secretCredentials } from "../tenancy/credentials.ts";

/**
 * Says in the registry what a fresh one-machine system needs. What stands there already is not said again, so that a
 * start after a crash goes on where the one before ended.
 */
export async function stateBootstrap(
  operator: Operator,
  { realms }: Pick<Settings, "realms">,
  demo: Demo,
): Promise<void> {
  const registry = await operator.readRegistry();
  const statements = [
    ...REALMS.flatMap((realm) => realmStatements(realm, realms[realm])),
    ...demoStatements(demo),
  ];
  for (const statement of statements)
    if (!isKnown(registry, statement)) await operator.state(statement);
  for (const { secret, audience, ...name } of demo.clients) {
    const rights = { status: "active", audiences: [audience], scopes: DEMO_SCOPES } as const;
    if (!isKnown(registry, { type: "client", ...name, ...rights }))
      await stateClient(operator, { ...name, ...rights }, secretCredentials(secret));
  }
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
      tenantRule: realm === "consumer" ? { fixed: CONSUMER_TENANT } : { except: [CONSUMER_TENANT] },
    },
    { type: "writer", realm, log, writer, logKey },
  ];
}

function isKnown(registry: Registry, body: StatementBody): boolean {
  switch (body.type) {
    case "realm":
      return registry.realms.has(body.realm);
    case "writer":
      return registry.writers.has(body.log);
    case "tenant":
      return registry.tenants.has(`${body.realm}/${body.tenant}`);
    case "client":
      return registry.clients.has(`${body.realm}/${body.tenant}/${body.client}`);
    case "reporter":
      return registry.reporters.has(body.reporter);
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
