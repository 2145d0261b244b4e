import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  checkPrivateFolder,
  errorCode,
  ServiceError,
  writeDurable,
  type Clock,
  type EventSink,
  type Service,
} from "@redoubt/base";
import type { Custodian } from "@redoubt/custody";
import type { SignedStatement } from "@redoubt/registry";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  MAX_HEAD_BYTES,
  readSocketSecret,
  route,
  serveSocket,
  SIGNER,
  SocketClient,
  socketPlace,
  type Answer,
  type Call,
  type ClientOptions,
  type SignerMetadata,
  type WireEvent,
} from "@redoubt/wire";
import type { SignerConfig } from "./config.ts";
import { closedLog } from "./log/closed-log.ts";
import { EntryJournal } from "./log/entry-journal.ts";
import { signerEvents, type SignerEvent, type SignerEvents } from "./events.ts";
import type { SignerHandler } from "./issue/handler.ts";
import { SIGNER_FILES } from "./initialise.ts";
import { KUBE_FRONT } from "./kubernetes/config.ts";
import type { LogWriter } from "./log/log-writer.ts";
import type { TokenLog } from "./issue/mint.ts";
import { MonitorReports } from "./run/monitor-reports.ts";
import { openCustody } from "./custody/open-custody.ts";
import { decideIssue, type Policy } from "./issue/policy.ts";
import { RegistryView } from "./registry/registry-view.ts";
import { openCore, type CoreOptions, type SignerCore } from "./run/signer-core.ts";
import type { SignerCustody } from "./custody/signer-custody.ts";
import { encodeState, readState, type SignerState } from "./log/state-file.ts";
import { describeKeys, describeSigner } from "./run/status.ts";
import { StandingFailure } from "./run/failure.ts";
import { TurnLoop } from "./run/turn-loop.ts";
import { witnessAlarm, WitnessGuard } from "./log/witness-guard.ts";
import { askWitness } from "./log/witness-word.ts";

export interface SignerOptions {
  readonly config: SignerConfig;
  /** The signer's own folder. */
  readonly folder: string;
  /** The data folder; "" where it is the working directory. */
  readonly root: string;
  readonly service: string;
  readonly clock: Clock;
  readonly events: EventSink<SignerEvent | WireEvent>;
  /** Replaced by tests; default: what the configuration names. */
  readonly custodian?: Custodian | undefined;
  /** Told once, when native code is loaded or none is needed. */
  readonly onCustodyLoaded?: () => void;
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

/** docs/spec/wire.md §2: kind, id and head length. */
const FRAME_FIXED_BYTES = 9;
const MAX_CONNECTIONS = 32;
const REPORT_MS = 1000;
/** Below the grace of the sockets, which cut what is not answered then. */
const DRAIN_MS = 3000;
const STATE_EVERY_TICKS = 5;
const SHOWN_REFUSED = 100;
const MAX_REASON = 400;

/**
 * Wires one signer: one process, one realm, one issuance log. Custody may be away when this resolves.
 */
export async function openSigner(options: SignerOptions): Promise<Signer> {
  checkPrivateFolder(options.folder);
  const folder = join(options.folder, SIGNER_FILES.custody);
  const custody = await openCustody({ ...options, folder });
  const signer = await makeSigner(options, custody);
  try {
    await signer.listen();
  } catch (error) {
    await signer[Symbol.asyncDispose]();
    throw error;
  }
  signer.start();
  return signer;
}

async function makeSigner(options: SignerOptions, custody: SignerCustody): Promise<SignerService> {
  try {
    return new SignerService(options, custody);
  } catch (error) {
    await custody[Symbol.asyncDispose]();
    throw error;
  }
}

function logFailure({ writer }: SignerCore): string | undefined {
  try {
    writer.check();
  } catch (error) {
    return errorCode(error);
  }
  return undefined;
}

/** What kube-apiserver's front may ask is a table of its own: what is not in it is not there for it. */
function handlerFor(
  { handler, cluster }: SignerCore,
  { caller }: Call,
): Pick<SignerHandler, "handle"> {
  if (caller !== KUBE_FRONT) return handler;
  // The configuration gives this caller to a cluster's signer only.
  if (!cluster) throw new ServiceError("ERR_SIGNER_OP", "No cluster here");
  return cluster;
}

class SignerService implements Signer {
  readonly ready: Promise<void>;
  readonly #options: SignerOptions;
  readonly #events: SignerEvents;
  readonly #instance = encodeBase64url(randomBytes(8));
  readonly #remembered: SignerState | undefined;
  readonly #ledger: SocketClient;
  readonly #reports: MonitorReports;
  readonly #askWitness: CoreOptions["askWitness"];
  readonly #view: RegistryView;
  readonly #registryGuard: WitnessGuard;
  readonly #custody: SignerCustody;
  readonly #failure: StandingFailure;
  readonly #journal: EntryJournal;
  readonly #resources = new AsyncDisposableStack();
  /** Who may ask: closed before everything that an answer needs. */
  readonly #sockets = new AsyncDisposableStack();
  readonly #loop: TurnLoop;
  readonly #becomeReady: () => void;
  readonly #metadataRoute = route(SIGNER.metadata, () => this.#metadata());
  #core: SignerCore | undefined;
  #isClosed = false;
  #wasReady = false;
  #ticks = 0;
  #kept = "";

  constructor(options: SignerOptions, custody: SignerCustody) {
    const { config, folder, clock, events } = options;
    this.#options = options;
    this.#events = signerEvents(events);
    this.#remembered = readState(join(folder, SIGNER_FILES.state), config);
    this.#custody = custody;
    const journals = join(folder, SIGNER_FILES.journals);
    mkdirSync(journals, { recursive: true, mode: 0o700 });
    this.#journal = new EntryJournal({
      folder: journals,
      origin: config.origin,
      events: this.#events,
    });
    // Both secrets first: a start that fails must not leave a connection behind.
    const [ledger, monitor] = [this.#peer("ledger"), this.#peer("monitor")];
    this.#resources.use(custody);
    this.#resources.use(this.#journal);
    this.#ledger = this.#resources.use(new SocketClient(ledger));
    const monitorClient = this.#resources.use(new SocketClient(monitor));
    this.#reports = new MonitorReports(monitorClient, this.#events);
    this.#askWitness = (origin) => askWitness(monitorClient, origin, config.witness);
    this.#failure = new StandingFailure(this.#events, this.#reports);
    this.#registryGuard = new WitnessGuard({
      ...config,
      origin: config.registry.origin,
      logKey: config.registry.key,
      clock,
      onDatedAhead: witnessAlarm(config.registry.origin, {
        events: this.#events,
        reports: this.#reports,
      }),
    });
    this.#view = new RegistryView({
      client: this.#ledger,
      origin: config.registry.origin,
      logKey: config.registry.key,
      operator: config.operator,
      guard: this.#registryGuard,
      events: this.#events,
      remembered: this.#remembered?.registry,
      witnessed: () => this.#askWitness(config.registry.origin),
    });
    this.#loop = new TurnLoop({
      turn: (isAsked) => this.#turn(isAsked),
      waitForNews: (timeoutMs) => this.#view.wait(timeoutMs),
      failure: this.#failure,
    });
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    this.#becomeReady = ready.resolve;
  }

  #peer(service: string): ClientOptions {
    const place = socketPlace(this.#options.root, service, this.#options.service);
    return { path: place.path, secret: readSocketSecret(place) };
  }

  async listen(): Promise<void> {
    const { config, root, service, events } = this.#options;
    for (const caller of config.callers) {
      const place = socketPlace(root, service, caller);
      const server = await serveSocket({
        path: place.path,
        caller,
        secret: readSocketSecret(place),
        service,
        instance: this.#instance,
        // THREAT-26: no call here has an attachment, and a caller is one process.
        maxFrameBytes: MAX_HEAD_BYTES + FRAME_FIXED_BYTES,
        maxConnections: MAX_CONNECTIONS,
        handler: (call) => this.#handle(call),
        log: (event, fields) => {
          events(event, fields);
          if (event === "connection_refused" || event === "request_refused")
            this.#reports.refusal(caller, String(fields?.["code"]), "connection refused");
        },
      });
      this.#sockets.use(server);
    }
  }

  start(): void {
    this.#loop.start();
    const flush = setInterval(() => this.#reports.flush(), REPORT_MS).unref();
    this.#resources.defer(() => clearInterval(flush));
  }

  async #handle(call: Call): Promise<Answer> {
    try {
      if (call.op === SIGNER.metadata.op) return await this.#metadataRoute.handle(call);
      if (this.#core) return await handlerFor(this.#core, call).handle(call);
      throw this.#starting();
    } catch (error) {
      this.#refused(call.caller, error);
      throw error;
    }
  }

  /** The code of what keeps it, for whoever asks; its text is the operator's (`status`). */
  #starting(): ServiceError {
    const { code } = this.#failure;
    const why =
      code === undefined
        ? "Signer has not read its registry yet"
        : `Signer cannot work yet: ${code}`;
    return new ServiceError("ERR_SIGNER_STARTING", why, { fields: { retryAfterSeconds: 1 } });
  }

  /** THREAT-04: each refusal of what nobody may have is logged here and told to the monitor. */
  #refused(caller: string, error: unknown): void {
    const detail = error instanceof ServiceError ? error.message : "";
    this.#reports.refusal(caller, errorCode(error), detail);
  }

  async tick(): Promise<void> {
    await this.#loop.ask();
  }

  /** Reads the registry until this signer is in it, opens its log, and then follows the clock. */
  async #turn(isAsked: boolean): Promise<boolean> {
    await this.#view.poll();
    const core = (this.#core ??= await this.#takeUp());
    if (!core) return false;
    const closed = this.#view.registry.closedLogs.get(this.#options.config.origin);
    if (closed) {
      core.writer.end(closed.successor);
      throw closedLog(closed);
    }
    core.ring.refresh();
    await Promise.all([core.writer.refreshCosigned(), this.#view.refreshCosigned()]);
    // THREAT-29: no key is retired or destroyed by a clock that the witness contradicts.
    if (this.#refusal(core) === undefined)
      await (isAsked ? core.steps.tick() : core.steps.tickWhenDue());
    core.audit.look();
    this.#custody.look();
    this.#ticks += 1;
    if (this.#ticks % STATE_EVERY_TICKS === 1) this.#keepState();
    this.#wasReady ||= this.#isReady();
    if (this.#wasReady) this.#becomeReady();
    // Last: what needs no custody is done by now, and this failure is told as any other.
    const { failure } = this.#custody;
    if (failure) throw failure;
    return this.#wasReady;
  }

  async #takeUp(): Promise<SignerCore | undefined> {
    const { config } = this.#options;
    const [ledger, view] = [this.#ledger, this.#view];
    const info = view.registry.writers.get(config.origin);
    if (!info || !view.registry.realms.has(config.realm)) return undefined;
    const since = this.#remembered?.registry.sinceSeconds ?? 0;
    this.#registryGuard.begin(view.held.size, since > 0 ? since : undefined);
    const { policy = decideIssue, tokenLog = (writer: LogWriter) => writer } = this.#options;
    const core = {
      ...this.#options,
      policy,
      tokenLog,
      events: this.#events,
      ledger,
      view,
      custodian: this.#custody,
      reports: this.#reports,
      journal: this.#journal,
      askWitness: this.#askWitness,
      append: (signed: SignedStatement, ifSize?: number) => view.append(signed, ifSize),
      refused: (caller: string, error: unknown) => this.#refused(caller, error),
      registryTimeSeconds: () => this.#registryGuard.newest?.timeSeconds ?? 0,
    };
    return openCore(core, info, this.#remembered);
  }

  /** Why nothing can be issued now, whatever the keys. */
  #refusal({ guard }: SignerCore): string | undefined {
    try {
      this.#view.check();
      guard.check();
    } catch (error) {
      return errorCode(error);
    }
    return undefined;
  }

  #isReady(): boolean {
    const core = this.#core;
    if (!core || this.#refusal(core) !== undefined || this.#custody.failure) return false;
    return logFailure(core) === undefined && core.ring.hasActive;
  }

  #keepState(): void {
    if (!this.#core) return;
    const { writer, guard } = this.#core;
    const { config, folder } = this.#options;
    const text = encodeState({
      log: { origin: config.origin, ...writer.tree, sinceSeconds: guard.sinceSeconds ?? 0 },
      registry: {
        origin: config.registry.origin,
        ...this.#view.held,
        sinceSeconds: this.#registryGuard.sinceSeconds ?? 0,
      },
    });
    if (text === this.#kept) return;
    try {
      writeDurable(join(folder, SIGNER_FILES.state), text);
      this.#kept = text;
    } catch (error) {
      // Disk full: signing does not hang on it, a later tick tries again.
      this.#events.stateNotKept(errorCode(error));
    }
  }

  status(): object {
    const { realm } = this.#options.config;
    const keys = describeKeys(this.#view.registry, realm);
    const refused = [...(this.#core?.ring.refused ?? [])].slice(0, SHOWN_REFUSED);
    const { code = null } = this.#failure;
    const reason = this.#failure.reason ?? this.#core?.steps.waiting() ?? this.#whyNot();
    return {
      ...this.#metadata(),
      trouble: code,
      ...(reason !== undefined && { reason }),
      refusedKeys: refused.map(([id, why]) => ({ id, reason: why.slice(0, MAX_REASON) })),
      keys,
    };
  }

  /** The code of what keeps it from issuing. */
  #whyNot(): string | undefined {
    const core = this.#core;
    const own = core && (this.#refusal(core) ?? logFailure(core));
    return own ?? this.#custody.failure?.code;
  }

  #metadata(): SignerMetadata {
    const { config } = this.#options;
    return describeSigner({
      config,
      instance: this.#instance,
      custody: this.#custody.label,
      isReady: this.#isReady(),
      core: this.#core,
      registrySize: this.#view.registry.size,
      whyNot: this.#whyNot(),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // What is under way gets its token; what the log does not take in time is refused, and both get their answer.
    const refuse = setTimeout(() => this.#core?.writer.close(), DRAIN_MS);
    await this.#sockets.disposeAsync();
    clearTimeout(refuse);
    this.#core?.writer.close();
    this.#keepState();
    this.#loop.close();
    // Connections before what waits on them: a ledger that never answers must not hold this up.
    await this.#resources.disposeAsync();
    await this.#loop.ended();
    await this.#core?.audit.ended();
  }
}
