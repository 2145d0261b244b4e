import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  checkPrivateFolder,
  errorCode,
  ServiceError,
  type Clock,
  type EventSink,
  type Service,
} from "@redoubt/base";
import type { Custodian } from "@redoubt/custody";
import type { OpenedAttester } from "@redoubt/lease/agent";
import type { JsonObject } from "@redoubt/verify/json";
import {
  askWitness,
  readSocketSecret,
  SocketClient,
  socketPlace,
  type ClientOptions,
  type WireEvent,
} from "@redoubt/wire";
import type { SignerConfig } from "./config.ts";
import { openCustody } from "./custody/open-custody.ts";
import type { SignerCustody } from "./custody/signer-custody.ts";
import type { SignerLease } from "./custody/signer-lease.ts";
import { signerEvents, type SignerEvent } from "./events.ts";
import { IMAGE } from "./image.ts";
import { SIGNER_FILES } from "./initialise.ts";
import type { TokenLog } from "./issue/mint.ts";
import { decideIssue, type Policy } from "./issue/policy.ts";
import { EntryJournal } from "./log/entry-journal.ts";
import type { LogWriter } from "./log/log-writer.ts";
import { readState } from "./log/state-file.ts";
import { witnessAlarm, WitnessGuard } from "./log/witness-guard.ts";
import { RegistryView } from "./registry/registry-view.ts";
import { StandingFailure } from "./run/failure.ts";
import { MonitorReports } from "./run/monitor-reports.ts";
import { SignerService, type ServiceParts } from "./run/signer-service.ts";

export interface SignerOptions {
  readonly config: SignerConfig;
  /** The signer's own folder. */
  readonly folder: string;
  /** The data folder; "" where it is the working directory. */
  readonly root: string;
  readonly service: string;
  readonly clock: Clock;
  readonly sink: EventSink<SignerEvent | WireEvent>;
  /** Replaced by tests; default: what the configuration names. */
  readonly custodian?: Custodian | undefined;
  /** Called once, when custody's native code is loaded, or custody needs none. */
  readonly onCustodyLoaded?: () => void;
  /** Replaced by tests; default: what the configuration names. */
  readonly attester?: (settings: JsonObject) => Promise<OpenedAttester>;
  /** Replaced by tests that take scope enforcement away, never by configuration. */
  readonly policy?: Policy;
  /** Replaced by tests that take log-before-sign away, never by configuration. */
  readonly tokenLog?: (writer: LogWriter) => TokenLog;
}

export interface Signer extends Service {
  /** Resolves once, when a token could be issued for the first time; `metadata` says how it is now. */
  readonly ready: Promise<void>;
  /** Looks at the registry and takes the life cycle's next steps now. */
  tick(): Promise<void>;
}

/** Wires one signer: one process, one realm, one issuance log. When this resolves, custody may still be away. */
export async function openSigner(options: SignerOptions): Promise<Signer> {
  checkPrivateFolder(options.folder);
  const folder = join(options.folder, SIGNER_FILES.custody);
  const lease = await openLease(options);
  const gateway = () => new SocketClient(peer(options, `custody-${options.config.realm}`));
  const custody = await openCustody({ ...options, folder, lease, gateway });
  const signer = await makeSigner(options, custody, lease);
  try {
    await signer.listen();
  } catch (error) {
    await signer[Symbol.asyncDispose]();
    throw error;
  }
  signer.start();
  return signer;
}

/** P5: the signer's side of a lease, where its configuration asks for one. */
async function openLease(options: SignerOptions): Promise<SignerLease | undefined> {
  const { config, clock, service, sink } = options;
  if (config.lease === null) return undefined;
  const { log, attester: settings } = config.lease;
  // Evidence has much code: it is loaded where it is used.
  const { SignerLease: Lease } = await import("./custody/signer-lease.ts");
  const { openAttester } = await import("@redoubt/lease/agent");
  const { attester = (given) => openAttester(given, IMAGE) } = options;
  return new Lease({
    broker: new SocketClient(peer(options, "broker")),
    attester: await attester(settings),
    log,
    realm: config.realm,
    service,
    clock,
    events: signerEvents(sink),
  });
}

async function makeSigner(
  options: SignerOptions,
  custody: SignerCustody,
  lease: SignerLease | undefined,
): Promise<SignerService> {
  try {
    return new SignerService(wire(options, custody, lease));
  } catch (error) {
    await custody[Symbol.asyncDispose]();
    throw error;
  }
}

function wire(
  options: SignerOptions,
  custodian: SignerCustody,
  lease: SignerLease | undefined,
): ServiceParts {
  const { config, folder, clock, sink } = options;
  const { policy = decideIssue, tokenLog = (writer: LogWriter) => writer } = options;
  const events = signerEvents(sink);
  const remembered = readState(join(folder, SIGNER_FILES.state), config);
  const journals = join(folder, SIGNER_FILES.journals);
  mkdirSync(journals, { recursive: true, mode: 0o700 });
  const journal = new EntryJournal({ folder: journals, origin: config.origin, events });
  // Both secrets are read first: where one is missing, the start fails before there is a connection to leave behind.
  const [toLedger, toMonitor] = [peer(options, "ledger"), peer(options, "monitor")];
  const resources = new AsyncDisposableStack();
  if (lease) resources.use(lease);
  resources.use(custodian);
  resources.use(journal);
  const ledger = resources.use(new SocketClient(toLedger));
  const monitor = resources.use(new SocketClient(toMonitor));
  const reports = new MonitorReports(monitor, events);
  const { origin, key: logKey } = config.registry;
  const askTheWitness = (log: string) => askWitness(monitor, log, config.witness);
  const onDatedAhead = witnessAlarm(origin, { events, reports });
  const registryGuard = new WitnessGuard({ ...config, origin, logKey, clock, onDatedAhead });
  const view = new RegistryView({
    client: ledger,
    realm: config.realm,
    origin,
    logKey,
    operator: config.operator,
    guard: registryGuard,
    events,
    remembered: remembered?.registry,
    witnessed: () => askTheWitness(origin),
  });
  lease?.follow(() => view.held);
  return {
    ...options,
    sink,
    lease,
    policy,
    tokenLog,
    events,
    remembered,
    custodian,
    journal,
    resources,
    ledger,
    reports,
    registryGuard,
    view,
    failure: new StandingFailure(events, reports),
    askWitness: askTheWitness,
    append: (signed, ifSize) => view.append(signed, ifSize),
    // THREAT-04: each refusal of what nobody may have is an event here, and is told to the monitor.
    refused: (caller, error) => {
      const detail = error instanceof ServiceError ? error.message : "";
      reports.refusal(caller, errorCode(error), detail);
    },
    registryTimeSeconds: () => registryGuard.newest?.timeSeconds ?? 0,
  };
}

function peer({ root, service }: SignerOptions, name: string): ClientOptions {
  const place = socketPlace(root, name, service);
  return { path: place.path, secret: readSocketSecret(place) };
}
