import { SIGNATURE_TYPE } from "@redoubt/tlog";
import { issuerTemplate, portsFrom, tokenEndpoint, type Realm } from "../layout.ts";
import type { Cluster, RealmAddress, RealmKeys, Settings } from "../settings.ts";
import { testKey } from "./registry.ts";

/** Settings of a system that does not run. */
export function testSettings(port = 7400): Settings {
  return {
    port,
    operator: testKey("operator").text,
    registryKey: testKey("redoubt.local/registry").text,
    witness: testKey("witness", SIGNATURE_TYPE.cosignature).text,
    ack: testKey("monitor/ack").text,
    reports: "https://login.example.org/reports/",
    rpId: "example.org",
    realms: {
      consumer: realmSettings("consumer", port),
      enterprise: realmSettings("enterprise", port),
    },
    clusters: [],
  };
}

export function testCluster(realm: string): Cluster {
  const issuer = `https://${realm}.clusters.example`;
  const tenant = "55555555-2222-4333-8444-555555555555";
  return { realm, issuer, tenant, audiences: [issuer], ...keysOf(realm) };
}

function realmSettings(name: Realm, port: number): RealmAddress & RealmKeys {
  return {
    issuer: issuerTemplate(name, port),
    tokenEndpoint: tokenEndpoint(name, portsFrom(port)),
    ...keysOf(name),
  };
}

function keysOf(realm: string): RealmKeys {
  const log = `redoubt.local/issuance/${realm}-1/2026q4`;
  return {
    log,
    logKey: testKey(log).text,
    writer: testKey(`${log}/writer`).text,
    ring: testKey(`ring/${realm}`).text,
  };
}
