import { join } from "node:path";
import { ServiceError, type Clock } from "@redoubt/base";
import { openSealedFile, readPassphrase } from "@redoubt/custody";
import { type SignedStatement, type WriterInfo } from "@redoubt/registry";
import { ed25519Signer, encodeVerifierKey, type TreeHead } from "@redoubt/tlog";
import { ask, LEDGER, type SocketClient } from "@redoubt/wire";
import type { SignerConfig } from "../config.ts";
import { CustodyAudit } from "../custody/custody-audit.ts";
import type { SignerCustody } from "../custody/signer-custody.ts";
import type { SignerEvents } from "../events.ts";
import { BODY_KEY_KIND, openWriterKey, SIGNER_FILES } from "../initialise.ts";
import { BodySealer } from "../issue/bodies.ts";
import { BodyOpener } from "../issue/body-opener.ts";
import { Budgets } from "../issue/budgets.ts";
import { SignerHandler } from "../issue/handler.ts";
import { Mint, type TokenLog } from "../issue/mint.ts";
import type { Policy } from "../issue/policy.ts";
import { drillRoute } from "../keys/drill-key.ts";
import { KeyOrders } from "../keys/key-orders.ts";
import { KeyRing } from "../keys/key-ring.ts";
import { KeySteps } from "../keys/key-steps.ts";
import { operatorRoutes } from "../keys/operator-calls.ts";
import { RingSigner } from "../keys/ring-signer.ts";
import { openCluster, type ClusterHandler } from "../kubernetes/cluster-handler.ts";
import { carryEntries, closedLog } from "../log/closed-log.ts";
import type { EntryJournal } from "../log/entry-journal.ts";
import { LogWriter } from "../log/log-writer.ts";
import type { SignerState } from "../log/state-file.ts";
import { witnessAlarm, WitnessGuard } from "../log/witness-guard.ts";
import type { RegistryView } from "../registry/registry-view.ts";
import type { MonitorReports } from "./monitor-reports.ts";

/** What a signer consists of once the registry knows it. */
export interface SignerCore {
  readonly writer: LogWriter;
  readonly guard: WitnessGuard;
  readonly ring: KeyRing;
  readonly steps: KeySteps;
  readonly audit: CustodyAudit;
  readonly handler: SignerHandler;
  /** For kube-apiserver's front, where the realm is that of a cluster. */
  readonly cluster: ClusterHandler | undefined;
}

export interface CoreOptions {
  readonly config: SignerConfig;
  readonly folder: string;
  readonly clock: Clock;
  readonly events: SignerEvents;
  readonly ledger: SocketClient;
  readonly view: RegistryView;
  readonly custodian: SignerCustody;
  readonly journal: EntryJournal;
  readonly reports: MonitorReports;
  readonly policy: Policy;
  readonly tokenLog: (writer: LogWriter) => TokenLog;
  readonly append: (statement: SignedStatement, ifSize?: number) => Promise<void>;
  readonly askWitness: (origin: string) => Promise<TreeHead>;
  readonly refused: (caller: string, error: unknown) => void;
  /** When a witness last vouched for the registry as it was read; 0 before the first time. */
  readonly registryTimeSeconds: () => number;
}

/** Opens log and keys after proving that they are what this signer left. Safe to try again. */
export async function openCore(
  options: CoreOptions,
  info: WriterInfo,
  remembered: SignerState | undefined,
): Promise<SignerCore> {
  const { config, folder, clock, ledger, view, events, custodian, append, reports } = options;
  const { origin, realm, rings: policies } = config;
  const registry = () => view.registry;
  const closed = view.registry.closedLogs.get(origin);
  if (closed) throw closedLog(closed);
  // Before the log is opened: custody may be away for long, and each attempt until it is back must leave nothing
  // behind.
  const ring = await openRing(options);
  const guard = openGuard(options, info, remembered);
  const writer = openWriter(options, info, guard);
  // THREAT-38: the witness is asked first, so that the ledger, asked later, must hold at least what the witness saw.
  const witnessed = await options.askWitness(origin);
  await ask(ledger, LEDGER.openLog, { log: origin, writer: encodeVerifierKey(info.writer) });
  await writer.open([...(remembered?.log ? [remembered.log] : []), witnessed]);
  await carryEntries({ ...options, journals: join(folder, SIGNER_FILES.journals), writer });
  const ringSigner = new RingSigner(folder, realm, registry);
  const refresh = () => view.poll();
  const alarm = (kind: string, detail: string) => reports.event(kind, detail);
  const shared = { realm, registry, clock, refresh, alarm };
  const parts = { ...shared, origin, ring, custodian, ringSigner, events, append };
  const steps = new KeySteps({ ...parts, policies });
  const checkTime = () => {
    view.check();
    guard.check();
  };
  const orders = new KeyOrders({ ...shared, steps, checkTime });
  const bodyKey = openBodyKey(folder);
  const mint = openMint(options, bodyKey, { writer, guard, ring });
  const opener = new BodyOpener({ realm, origin, bodyKey, registry, clock });
  const deciding = {
    ...options,
    mint,
    policyInput: {
      realm,
      get registry() {
        return view.registry;
      },
      activeKey: (tenant: string, tokenClass: string) => ring.activeKey(tenant, tokenClass),
    },
    budgets: new Budgets(config.budget, () => clock.monotonic()),
    checkRegistry: () => view.checkUsable(),
    checkLog: () => writer.check(),
  };
  const handler = new SignerHandler({
    ...deciding,
    registry,
    operatorRoutes: operatorRoutes({ orders, steps, clock, opener }),
    drillRoute: drillRoute(parts),
  });
  const audit = new CustodyAudit({ custodian, ring, clock, events });
  return { writer, guard, ring, steps, audit, handler, cluster: openCluster(deciding) };
}

/** @throws KeyError while custody cannot be asked: without it no key could be told from a lost one */
async function openRing({ config, view, reports, ...rest }: CoreOptions): Promise<KeyRing> {
  const { realm, origin, rings: policies } = config;
  const { custodian, clock, events } = rest;
  const onRefused = (id: string, reason: string) => {
    events.keyRefused(id, reason);
    reports.event("custody-refused-key", `${id}: ${reason}`);
  };
  const registry = () => view.registry;
  const ring = new KeyRing({
    realm,
    origin,
    policies,
    registry,
    custodian,
    clock,
    events,
    onRefused,
  });
  await ring.open();
  return ring;
}

function openGuard(
  { config, clock, events, reports }: CoreOptions,
  { logKey }: WriterInfo,
  remembered: SignerState | undefined,
): WitnessGuard {
  const { origin, witness, maxUnwitnessedSeconds } = config;
  const onDatedAhead = witnessAlarm(origin, { events, reports });
  const pinned = { origin, logKey, witness };
  const guard = new WitnessGuard({ ...pinned, maxUnwitnessedSeconds, clock, onDatedAhead });
  const { size = 0, sinceSeconds = 0 } = remembered?.log ?? {};
  if (sinceSeconds > 0) guard.begin(size, sinceSeconds);
  return guard;
}

function openWriter(options: CoreOptions, info: WriterInfo, guard: WitnessGuard): LogWriter {
  const { config, folder, events, ledger, reports } = options;
  const pair = openWriterKey(folder, config.origin);
  if (info.realm !== config.realm || !pair.publicKey.equals(info.writer.publicKey))
    throw new ServiceError("ERR_SIGNER_IDENTITY", "Registry names another writer for this log");
  return new LogWriter({
    client: ledger,
    origin: config.origin,
    logKey: info.logKey,
    writer: ed25519Signer(`${config.origin}/writer`, pair.privateKey),
    writerKey: info.writer,
    guard,
    events,
    journal: options.journal,
    onHalt: (reason) => reports.event("signer-halted", reason),
  });
}

function openBodyKey(folder: string): Buffer {
  const path = join(folder, SIGNER_FILES.body);
  return openSealedFile(path, readPassphrase(`${path}.pass`), BODY_KEY_KIND);
}

function openMint(
  { config, clock, view, custodian, tokenLog }: CoreOptions,
  bodyKey: Buffer,
  { writer, guard, ring }: Pick<SignerCore, "writer" | "guard" | "ring">,
): Mint {
  const sealer = new BodySealer(bodyKey, config.origin);
  return new Mint({
    log: tokenLog(writer),
    origin: config.origin,
    seal: (tokens) => sealer.seal(tokens),
    checkIssue: () => {
      view.check();
      guard.check();
      custodian.check();
    },
    checkSign: (kid) => {
      writer.checkIntact();
      if (!ring.maySign(kid))
        throw new ServiceError("ERR_SIGNER_NO_KEY", "Key stopped signing meanwhile", {
          fields: { retryAfterSeconds: 1, committed: true },
        });
    },
    clock,
  });
}
