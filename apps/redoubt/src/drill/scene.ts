import { nowSeconds, systemClock } from "@redoubt/base";
import { DRILL_AUDIENCE } from "@redoubt/registry";
import {
  createReportQueue,
  createVerifier,
  fromStaticRecords,
  type ReportQueue,
  type Verifier,
} from "@redoubt/verify";
import {
  ask,
  RemoteError,
  SIGNER,
  socketPlace,
  type RealmKey,
  type SocketPlace,
} from "@redoubt/wire";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { parseKeyRecord } from "@redoubt/verify/record";
import { readDemo, type DemoClient } from "../demo.ts";
import { readServedKeys } from "../keys/served-keys.ts";
import { atTenant, portsFrom, REALMS, type Ports, type Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";
import { ringsOf, type Settings } from "../settings.ts";
import { lookUntil } from "../wait.ts";
import { countRefusals } from "./alarms.ts";
import { DrillDeliveries } from "./deliveries.ts";
import { allowedRequest, registerDrillKey, type DrillKey, type KeyWindow } from "./drill-key.ts";

/** Everything that the attempts of a drill share: a running system, thieves' keys, and honest verifiers. */
export interface Scene {
  readonly operator: Operator;
  readonly settings: Settings;
  readonly ports: Ports;
  readonly consumer: DemoClient;
  readonly enterprise: DemoClient;
  readonly stolen: Readonly<Record<Realm, DrillKey>>;
  /** Seconds since the epoch when the drill began. */
  readonly startedAt: number;
  /** Refusals that the monitor knew of when the drill began: what comes on top is the drill's. */
  readonly refusalsBefore: number;
  readonly reports: ReportQueue;
  readonly deliveries: DrillDeliveries;
}

const KEY_LIFE_SECONDS = 1800;

export async function openScene(operator: Operator, settings: Settings): Promise<Scene> {
  const ports = portsFrom(settings.port);
  const { clients, reporters } = readDemo(operator.folder);
  const client = (realm: Realm) => {
    const found = clients.find((c) => c.realm === realm);
    if (!found) throw new RangeError(`Demo client of realm ${realm} is missing`);
    return found;
  };
  const consumer = client("consumer");
  const enterprise = client("enterprise");
  const now = nowSeconds(systemClock);
  const window = { signFrom: now - 60, signUntil: now + 900, verifyUntil: now + KEY_LIFE_SECONDS };
  const stolen = {
    consumer: await registerDrillKey(drillSocket(operator, "consumer"), consumer.tenant, window),
    enterprise: await registerDrillKey(
      drillSocket(operator, "enterprise"),
      enterprise.tenant,
      window,
    ),
  };
  const credential = reporters.find(({ reporter }) => reporter === "drill");
  const reports = createReportQueue({
    url: `http://127.0.0.1:${ports.monitor}`,
    reporter: "drill",
    secret: credential?.secret ?? "",
    ackKey: settings.ack,
    intervalMs: 500,
    onAlarm: () => undefined,
  });
  const refusalsBefore = await countRefusals(operator);
  const deliveries = new DrillDeliveries(operator);
  return {
    operator,
    settings,
    ports,
    consumer,
    enterprise,
    stolen,
    startedAt: now,
    refusalsBefore,
    reports,
    deliveries,
  };
}

export async function closeScene({ reports, deliveries }: Scene): Promise<void> {
  await reports.close();
  await deliveries.close();
}

export function drillSocket(operator: Operator, realm: Realm) {
  return operator.client(`signer-${realm}`, "drill");
}

export function drillPlace(operator: Operator, realm: Realm): SocketPlace {
  return socketPlace(operator.folder, `signer-${realm}`, "drill");
}

export function issuerOf({ settings }: Scene, { realm, tenant }: DemoClient): string {
  return atTenant(settings.realms[realm].issuer, tenant);
}

/**
 * A verifier of the realm as a resource server has it, but for the drill audience. It holds every record of both
 * realms: drill keys are in no JWKS, since an ordinary client would take them for every audience.
 */
export async function openVerifier(
  scene: Scene,
  realm: Realm,
  issuance: "off" | "audit",
): Promise<Verifier> {
  const { operator } = scene;
  const records = await Promise.all(REALMS.map((one) => fetchKeys(operator, one)));
  return openVerifierOf(scene, realm, records.flat(), issuance);
}

/** A verifier of the enterprise realm whose trust data is as stale as can be: it still holds the given keys. */
export function openStaleVerifier(scene: Scene, keys: readonly DrillKey[]): Promise<Verifier> {
  return openVerifierOf(scene, "enterprise", keys, "off");
}

function openVerifierOf(
  { settings, reports }: Scene,
  realm: Realm,
  records: Parameters<typeof fromStaticRecords>[0],
  issuance: "off" | "audit",
): Promise<Verifier> {
  return createVerifier({
    trust: fromStaticRecords(records, { rings: ringsOf(settings) }),
    audience: DRILL_AUDIENCE,
    accept: [{ issuer: settings.realms[realm].issuer, realm, tenants: "any" }],
    issuance: issuance === "off" ? "off" : { mode: "audit", reporter: reports },
  });
}

/** The realm's keys as its signer tells them, each with its record and the ring's signature. */
export async function fetchKeys(operator: Operator, realm: Realm): Promise<readonly RealmKey[]> {
  return (await ask(drillSocket(operator, realm), SIGNER.fetchKeys, {})).keys;
}

/** The key that signs a realm's access tokens now. */
export async function activeKid(operator: Operator, realm: Realm): Promise<string> {
  const active = (await fetchKeys(operator, realm)).find(
    ({ state, record }) =>
      state === "active" && parseKeyRecord(decodeBase64url(record)).class === "at",
  );
  if (!active) throw new RemoteError("ERR_NO_ACTIVE_KEY", `No active key in realm ${realm}`);
  return active.kid;
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function registerEnterpriseKey(scene: Scene, window: KeyWindow): Promise<DrillKey> {
  const { operator, enterprise } = scene;
  return registerDrillKey(drillSocket(operator, "enterprise"), enterprise.tenant, window);
}

/** A legitimate token for the drill audience: from the signer, committed to the log. */
export async function issueLegitimate(scene: Scene, realm: Realm): Promise<string> {
  const { tenant } = scene[realm];
  const signer = drillSocket(scene.operator, realm);
  const { token } = await ask(signer, SIGNER.issue, allowedRequest(realm, tenant));
  await scene.deliveries.delivered(realm, token);
  return token;
}

/** Kids that an issuer's JWKS lists now, once it lists `expected`. */
export function publishedKids(
  scene: Scene,
  client: DemoClient,
  expected: string,
): Promise<readonly string[]> {
  const at = { issuer: issuerOf(scene, client), publisher: scene.ports.publisher };
  return lookUntil(
    async () => (await readServedKeys(at))?.kids ?? [],
    (kids) => kids.includes(expected),
    { timeoutMs: 15_000, pollMs: 200 },
  );
}
