import assert from "node:assert/strict";
import { test } from "node:test";
import { socketPlace } from "@redoubt/wire";
import {
  CALLERS,
  callersOf,
  CLUSTER_TENANTS,
  CONSUMER_TENANT,
  issuanceLog,
  issuerTemplate,
  portsFrom,
  REALMS,
  roleOf,
  SERVICES,
  servicesOf,
  tokenEndpoint,
  NOTHING_MORE,
  userOf,
} from "./layout.ts";

test("six ports in a row, the issuer URLs on the first", () => {
  const ports = portsFrom(7400);
  assert.deepEqual(
    Object.values(ports).toSorted((a, b) => a - b),
    [7400, 7401, 7402, 7403, 7404, 7405],
  );
  assert.equal(ports.publisher, 7400);
  assert.equal(ports.status, 7404);
});

test("the consumer realm has one issuer, every other realm one for each tenant", () => {
  assert.equal(issuerTemplate("consumer", 7400), "http://127.0.0.1:7400/consumer/v2.0");
  assert.equal(issuerTemplate("enterprise", 7400), "http://127.0.0.1:7400/{tenantid}/v2.0");
  assert.match(CONSUMER_TENANT, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
});

test("each realm's token endpoint is at its own issuer process", () => {
  const ports = portsFrom(7400);
  assert.equal(
    tokenEndpoint("consumer", ports),
    "http://127.0.0.1:7401/consumer/oauth2/v2.0/token",
  );
  assert.equal(
    tokenEndpoint("enterprise", ports),
    "http://127.0.0.1:7402/{tenantid}/oauth2/v2.0/token",
  );
});

function log(text: string): string {
  return issuanceLog("consumer", new Date(text));
}

test("an issuance log is of one realm and one quarter, by UTC", () => {
  assert.equal(log("2026-12-31T23:59:59.999Z"), "redoubt.local/issuance/consumer-1/2026q4");
  assert.equal(log("2027-01-01T00:00:00.000Z"), "redoubt.local/issuance/consumer-1/2027q1");
  assert.equal(log("2026-03-31T23:59:59Z"), "redoubt.local/issuance/consumer-1/2026q1");
  assert.equal(log("2026-04-01T00:00:00Z"), "redoubt.local/issuance/consumer-1/2026q2");
  const logs = REALMS.map((realm) => issuanceLog(realm, new Date("2026-11-23T00:00:00Z")));
  assert.equal(new Set(logs).size, REALMS.length);
});

// docs/spec/wire.md §1: 107 bytes, whatever the length of the data folder's own name.
test("every socket has a name that fits, relative to the data folder", () => {
  const paths = SERVICES.flatMap((service) =>
    CALLERS[service].map((caller) => socketPlace("", service, caller).path),
  );
  assert.equal(new Set(paths).size, paths.length);
  assert.equal(paths.length, 22);
  for (const path of paths)
    assert.ok(Buffer.byteLength(path) <= 107 && !path.startsWith("/"), path);
});

test("a cluster adds a signer and a front, which have sockets at ledger and monitor", () => {
  const clusters: readonly string[] = [
    "prod",
    "kube-front-signer-12345678901234567890".slice(0, 32),
  ];
  const extent = { clusters, leased: [] };
  const services = servicesOf(extent);
  assert.deepEqual(services.slice(0, SERVICES.length), SERVICES);
  assert.equal(new Set(services).size, SERVICES.length + 4);
  assert.deepEqual(roleOf("kube-front-prod"), { kind: "kube-front", realm: "prod" });
  assert.deepEqual(roleOf("signer-kube-front-a"), { kind: "signer", realm: "kube-front-a" });
  assert.deepEqual(roleOf("ledger"), { kind: "ledger" });
  assert.deepEqual(callersOf("ledger", { clusters: ["prod"], leased: [] }), [
    ...CALLERS.ledger,
    "signer-prod",
  ]);
  const monitor = [...CALLERS.monitor, "signer-prod", "kube-front-prod"];
  assert.deepEqual(callersOf("monitor", { clusters: ["prod"], leased: [] }), monitor);
  for (const service of SERVICES)
    assert.deepEqual(callersOf(service, NOTHING_MORE), CALLERS[service]);
  for (const service of services)
    for (const caller of [...callersOf(service, extent), "kube-apiserver"])
      assert.ok(Buffer.byteLength(socketPlace("", service, caller).path) <= 107);
});

// THREAT-01: service account tokens name no class that their readers look at.
test("nobody reaches a cluster's signer but its front and the operator", () => {
  assert.deepEqual(callersOf("signer-prod", { clusters: ["prod"], leased: [] }), [
    "kube-front",
    "operator",
  ]);
  assert.deepEqual(callersOf("kube-front-prod", { clusters: ["prod"], leased: [] }), []);
  assert.equal(new Set([...CLUSTER_TENANTS, CONSUMER_TENANT]).size, 8);
});

test("only issuers reach a signer's issuing socket, and nobody reaches the publisher", () => {
  assert.deepEqual(CALLERS.publisher, []);
  for (const realm of REALMS)
    assert.deepEqual(CALLERS[`signer-${realm}`], ["issuer", "drill", "operator"]);
});

test("THREAT-20: the ceremony page hears the operator and the issuers, and is there where it was set up", () => {
  assert.equal(servicesOf(NOTHING_MORE).includes("presence"), false);
  const extent = { ...NOTHING_MORE, presence: true };
  assert.deepEqual(servicesOf(extent), [...SERVICES, "presence"]);
  assert.deepEqual(roleOf("presence"), { kind: "presence" });
  const callers = ["operator", "issuer-consumer", "issuer-enterprise"];
  assert.deepEqual(callersOf("presence", extent), callers);
  assert.deepEqual(
    callers.map((caller) => userOf("presence", caller)),
    callers,
  );
});
