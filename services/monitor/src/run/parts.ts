import { join as joinPath } from "node:path";
import type { Clock, ReadSpace } from "@redoubt/base";
import type { Requester, Handler } from "@redoubt/wire";
import type { MonitorEvents } from "../events.ts";
import { Registry } from "@redoubt/registry";
import { encodeVerifierKey } from "@redoubt/tlog";
import { ActiveTime, RunningTime } from "./times.ts";
import { AlarmStore } from "../alarms/alarm-store.ts";
import { Alarms } from "../alarms/alarms.ts";
import { Webhook } from "../alarms/webhook.ts";
import type { Config } from "../config.ts";
import { Coverage } from "../joins/coverage/coverage.ts";
import { CoverageStore } from "../joins/coverage/coverage-store.ts";
import { SeenDigests } from "../joins/coverage/seen-digests.ts";
import { Deliveries } from "../joins/deliveries/deliveries.ts";
import { DeliveryStore } from "../joins/deliveries/delivery-store.ts";
import { Gaps } from "../joins/deliveries/gaps.ts";
import { FollowStore } from "../follow/follow-store.ts";
import { Follower } from "../follow/follower.ts";
import type { Identity } from "../initialise.ts";
import { RegistryCopy } from "../follow/registry-copy.ts";
import { IssuedJoin } from "../joins/issued/issued-join.ts";
import { IssuedStore } from "../joins/issued/issued-store.ts";
import { JwksWatch } from "../alarms/jwks-watch.ts";
import type { HttpRequest } from "../sockets/outgoing-http.ts";
import { EvidenceCheck } from "../joins/evidence/evidence-check.ts";
import { Misses } from "../joins/reports/misses.ts";
import { ReportStore } from "../joins/reports/report-store.ts";
import { Reports } from "../joins/reports/reports.ts";
import { Sight } from "../follow/sight.ts";
import { Database } from "../store/database.ts";
import { monitorOperations } from "../sockets/operations.ts";
import { describeStatus } from "../sockets/status.ts";
import { Watches } from "../alarms/watches.ts";
import { Claims } from "../witness/claims.ts";
import type { FindLog, LogKeys } from "../witness/log-keys.ts";
import { WitnessRecovery } from "../witness/recovery.ts";
import { WitnessStore } from "../witness/witness-store.ts";
import { Witness } from "../witness/witness.ts";

export interface PartsOptions {
  readonly config: Config;
  readonly folder: string;
  readonly clock: Clock;
  readonly events: MonitorEvents;
  readonly identity: Identity;
  readonly ledger: Requester;
  readonly request: HttpRequest;
  readonly random: () => number;
  /** Replaced by tests. */
  readonly openDatabase?: ((path: string) => Database) | undefined;
  readonly readSpace: ReadSpace;
}

/** Everything of the monitor that neither listens nor has a timer, wired by hand. */
export interface MonitorParts {
  readonly db: Database;
  /** What the sockets are asked. */
  readonly operations: Handler;
  readonly active: ActiveTime;
  readonly registry: Registry;
  readonly alarms: Alarms;
  readonly webhook: Webhook | undefined;
  readonly witness: Witness;
  readonly witnessStore: WitnessStore;
  readonly recovery: WitnessRecovery;
  readonly registryCopy: RegistryCopy;
  readonly follower: Follower;
  readonly join: IssuedJoin;
  readonly coverage: Coverage;
  readonly deliveries: Deliveries;
  readonly misses: Misses;
  readonly reports: Reports;
  readonly jwks: JwksWatch;
  readonly watches: Watches;
  readonly sight: Sight;
  /** Reads every log to its end, beginning after the call. */
  readonly readLogs: () => Promise<boolean>;
}

export const DATABASE_FILE = "monitor.db";
const BACKUP_FILE = "backup.db";

export function openParts(options: PartsOptions): MonitorParts {
  const { folder, openDatabase = (path) => new Database(path) } = options;
  const db = openDatabase(joinPath(folder, DATABASE_FILE));
  try {
    return wireParts(options, db);
  } catch (error) {
    db[Symbol.dispose]();
    throw error;
  }
}

function wireParts(options: PartsOptions, db: Database): MonitorParts {
  const { config, folder, clock, events, identity, ledger, request } = options;
  const activeTime = new ActiveTime(clock);
  const active = (): number => activeTime.now;
  const registry = new Registry({ operator: config.operator });
  const webhook = openWebhook(options, db);
  const alarms = new Alarms({
    store: new AlarmStore(db),
    clock,
    events,
    active,
    ...(webhook && { outlet: webhook }),
  });
  const registryKeys: LogKeys = { origin: config.registry.log, logKey: config.registry.vkey };
  const witnessStore = new WitnessStore(db);
  const claims = new Claims();
  const reportStore = new ReportStore(db);
  const watches = new Watches({
    alarms,
    registry,
    reports: reportStore,
    clock,
    sizes: () => follower.sizes,
    isHalted: (origin) => witnessStore.isHalted(origin),
    space: () => options.readSpace(folder),
  });
  const findLog = findLogIn(registry, registryKeys);
  const witness = new Witness({
    store: witnessStore,
    alarms,
    claims,
    clock,
    cosigner: identity.cosigner,
    self: identity.witness,
    findLog,
    onCosigned: (origin) => watches.cosigned(origin, active()),
  });
  const running = new RunningTime(db, clock, active);
  const coverage = new Coverage({
    store: new CoverageStore(db),
    seen: new SeenDigests(db),
    registry,
    running,
    clock,
  });
  const join = new IssuedJoin({
    store: new IssuedStore(db),
    running,
    active,
    onDelivered: (realm, count) => {
      coverage.issued(realm, count);
    },
  });
  const follow = new FollowStore(db);
  const registryCopy = new RegistryCopy(db);
  const recovery = new WitnessRecovery({
    store: witnessStore,
    follow,
    alarms,
    clock,
    operator: () => registry.operator,
    self: identity.witness,
    findLog,
  });
  const follower = new Follower({
    ledger,
    registry,
    registryKeys,
    alarms,
    claims,
    witness,
    witnessStore,
    store: follow,
    copy: registryCopy,
    clock,
    join,
    active,
    events,
  });
  const sight = new Sight(clock);
  const readLogs = async (): Promise<boolean> => {
    const isCurrent = await follower.read();
    sight.looked({ isCurrent, ...follower.progress });
    if (isCurrent) watches.logsRead(active());
    return isCurrent;
  };
  const deliveryStore = new DeliveryStore(db);
  const gaps = new Gaps(deliveryStore);
  const deliveries = new Deliveries({
    store: deliveryStore,
    isHidden: (realm) => follower.isHidden(realm),
    gaps,
    join,
    coverage,
    alarms,
    clock,
    active,
    events,
  });
  const { publisherUrl } = config;
  const jwks = new JwksWatch({ registry, publisherUrl, request, alarms, clock, active, readLogs });
  const evidence = new EvidenceCheck({
    registry,
    foreignKeys: (kid) => jwks.foreignKeys(kid),
    refreshJwks: () => jwks.refresh(),
  });
  const misses = new Misses({
    db,
    store: reportStore,
    join,
    alarms,
    evidence,
    active,
    readLogs,
    isHidden: (kid) => follower.isHidden(registry.keys.get(kid)?.realm),
  });
  const reports = new Reports({
    db,
    store: reportStore,
    join,
    coverage,
    alarms,
    misses,
    ackKey: identity.ackKey,
    clock,
    active,
    events,
    auditAgeSeconds: () => sight.ageSeconds,
    onReport: (reporter) => watches.reported(reporter, active()),
  });
  const parts = {
    db,
    active: activeTime,
    registry,
    alarms,
    webhook,
    witness,
    witnessStore,
    recovery,
    registryCopy,
    follower,
    join,
    coverage,
    deliveries,
    misses,
    reports,
    jwks,
    watches,
    sight,
    readLogs,
  };
  const vkey = encodeVerifierKey(identity.witness);
  const operations = monitorOperations({
    ...parts,
    status: () => describeStatus(parts, vkey),
    events,
    backup: async () => {
      await db.backup(joinPath(folder, BACKUP_FILE));
      return BACKUP_FILE;
    },
  });
  return { ...parts, operations };
}

/** The registry log is pinned in the configuration; every other log is what the registry says it is. */
function findLogIn(registry: Registry, registryKeys: LogKeys): FindLog {
  return (origin) => {
    if (origin === registryKeys.origin) return registryKeys;
    const found = registry.writers.get(origin) ?? registry.brokers.get(origin);
    return found && { origin, logKey: found.logKey, writer: found.writer };
  };
}

function openWebhook(options: PartsOptions, db: Database): Webhook | undefined {
  const { config, clock, events, identity, request, random } = options;
  if (!config.webhook) return undefined;
  const { eventKey } = identity;
  return new Webhook({ db, clock, events, target: config.webhook, eventKey, request, random });
}
