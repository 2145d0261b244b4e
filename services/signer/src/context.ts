import { randomBytes } from "node:crypto";
import { join } from "node:path";
import {
  checkPrivateFolder,
  errorCode,
  errorLine,
  MemberReader,
  ServiceError,
  type Clock,
  type EventSink,
  type Service,
} from "@redoubt/base";
import { openFileCustodian, type Custodian, type SignedStatement } from "@redoubt/keys";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  MAX_HEAD_BYTES,
  readSocketSecret,
  RemoteError,
  serveSocket,
  SocketClient,
  socketPlace,
  type Answer,
  type Call,
  type ClientOptions,
} from "@redoubt/wire";
import type { SignerConfig } from "./config.ts";
import { signerEvents, type SignerEvents } from "./events.ts";
import { SIGNER_FILES } from "./initialise.ts";
import type { LogWriter } from "./log-writer.ts";
import type { TokenLog } from "./mint.ts";
import { MonitorReports } from "./monitor-reports.ts";
import { decideIssue, type Policy } from "./policy.ts";
import { RegistryView } from "./registry-view.ts";
import { openCore, type SignerCore } from "./signer-core.ts";
import { Sleeper } from "./sleeper.ts";
import { encodeState, readState, writeState, type SignerState } from "./state-file.ts";
import { describeKeys, describeSigner } from "./status.ts";
import { WitnessGuard } from "./witness-guard.ts";

export interface SignerOptions {
  readonly config: SignerConfig;
  /** The signer's own folder. */
  readonly folder: string;
  /** The data folder; "" where it is the working directory. */
  readonly root: string;
  readonly service: string;
  readonly clock: Clock;
  readonly log: EventSink;
  /** Where private keys are; default: sealed files in the signer's folder. */
  readonly custodian?: Custodian;
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
const TICK_MS = 1000;
/** Until the first key is active somebody waits for the start. */
const START_TICK_MS = 50;
/** A ledger that answers `wait` at once, always, must not make this loop spin. */
const MIN_TURN_MS = 20;
const GROWTH_WAIT_MS = 8000;
const RETRY_MS = [100, 200, 500, 1000, 2000] as const;
const LAST_RETRY_MS = 5000;
const STATE_EVERY_TICKS = 5;

/** Wires one signer: one process, one realm, one issuance log. */
export async function openSigner(options: SignerOptions): Promise<Signer> {
  const signer = new SignerService(options);
  try {
    await signer.listen();
  } catch (error) {
    await signer[Symbol.asyncDispose]();
    throw error;
  }
  signer.start();
  return signer;
}

class SignerService implements Signer {
  readonly ready: Promise<void>;
  readonly #options: SignerOptions;
  readonly #events: SignerEvents;
  readonly #instance = encodeBase64url(randomBytes(8));
  readonly #remembered: SignerState | undefined;
  readonly #ledger: SocketClient;
  readonly #reports: MonitorReports;
  readonly #view: RegistryView;
  readonly #registryGuard: WitnessGuard;
  readonly #custodian: Custodian;
  readonly #resources = new AsyncDisposableStack();
  readonly #sleeper = new Sleeper();
  readonly #becomeReady: () => void;
  #core: SignerCore | undefined;
  #running: Promise<unknown> = Promise.resolve();
  #turn: Promise<unknown> = Promise.resolve();
  #isWaiting = false;
  #isClosed = false;
  #wasReady = false;
  #ticks = 0;
  #trouble: string | undefined;
  #kept = "";

  constructor(options: SignerOptions) {
    const { config, folder, clock, log } = options;
    checkPrivateFolder(folder);
    this.#options = options;
    this.#events = signerEvents(log);
    this.#remembered = readState(join(folder, SIGNER_FILES.state));
    this.#custodian =
      options.custodian ??
      openFileCustodian({ folder: join(folder, SIGNER_FILES.custody), passphrase: "beside" });
    this.#resources.use(this.#custodian);
    // Both secrets first: a start that fails must not leave a connection behind.
    const [ledger, monitor] = [this.#peer("ledger"), this.#peer("monitor")];
    this.#ledger = this.#resources.use(new SocketClient(ledger));
    this.#reports = new MonitorReports(
      this.#resources.use(new SocketClient(monitor)),
      this.#events,
    );
    this.#registryGuard = new WitnessGuard({
      ...config,
      log: config.registry.log,
      logKey: config.registry.key,
      clock,
    });
    this.#view = new RegistryView({
      client: this.#ledger,
      log: config.registry.log,
      logKey: config.registry.key,
      operator: config.operator,
      guard: this.#registryGuard,
      events: this.#events,
      remembered: this.#remembered?.registry,
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
    const { config, root, service, log } = this.#options;
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
          log(event, fields);
          if (event === "connection_refused")
            this.#reports.refusal(caller, String(fields?.["code"]), "connection refused");
        },
      });
      this.#resources.use(server);
    }
  }

  start(): void {
    this.#running = this.#run();
    const flush = setInterval(() => this.#reports.flush(), TICK_MS).unref();
    this.#resources.defer(() => clearInterval(flush));
  }

  async #handle(call: Call): Promise<Answer> {
    try {
      if (call.op === "metadata") {
        new MemberReader(call.head, "metadata").done();
        return { head: this.#metadata() };
      }
      if (this.#core) return await this.#core.handler.handle(call);
      throw new ServiceError("ERR_SIGNER_STARTING", "Signer has not read its registry yet", {
        fields: { retryAfterSeconds: 1 },
      });
    } catch (error) {
      this.#refused(call.caller, error);
      throw error;
    }
  }

  /** THREAT-04: each refusal of what nobody may have is logged here and told to the monitor. */
  #refused(caller: string, error: unknown): void {
    const detail = error instanceof ServiceError ? error.message : "";
    this.#reports.refusal(caller, errorCode(error), detail);
  }

  /** Reads the registry until this signer is in it, opens its log, and then follows the clock. */
  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#isClosed) {
      try {
        await this.#inTurn(() => this.#step(false));
        failures = 0;
        this.#say(undefined);
        await this.#untilNews(this.#wasReady ? TICK_MS : START_TICK_MS);
      } catch (error) {
        this.#say(error);
        await this.#sleeper.sleep(RETRY_MS[failures] ?? LAST_RETRY_MS);
        failures += 1;
      }
    }
  }

  tick(): Promise<void> {
    return this.#inTurn(() => this.#step(true));
  }

  /** One step at a time, whoever asks for it. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(step);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #step(isAsked: boolean): Promise<void> {
    await this.#view.poll();
    const core = (this.#core ??= await this.#takeUp());
    if (!core) return;
    core.ring.refresh();
    await Promise.all([core.writer.refreshCosigned(), this.#view.refreshCosigned()]);
    // THREAT-29: no key is retired or destroyed by a clock that the witness contradicts.
    if (this.#problem(core) === undefined)
      await (isAsked ? core.steps.tick() : core.steps.tickWhenDue());
    this.#ticks += 1;
    if (this.#ticks % STATE_EVERY_TICKS === 1) this.#keepState();
    this.#wasReady ||= this.#isReady();
    if (this.#wasReady) this.#becomeReady();
  }

  async #takeUp(): Promise<SignerCore | undefined> {
    const { config } = this.#options;
    const info = this.#view.registry.writers.get(config.log);
    if (!info || !this.#view.registry.realms.has(config.realm)) return undefined;
    const since = this.#remembered?.registry.sinceSeconds ?? 0;
    this.#registryGuard.begin(since > 0 ? since : undefined);
    const { policy = decideIssue, tokenLog = (writer: LogWriter) => writer } = this.#options;
    const core = {
      ...this.#options,
      policy,
      tokenLog,
      events: this.#events,
      ledger: this.#ledger,
      view: this.#view,
      custodian: this.#custodian,
      reports: this.#reports,
      append: (statement: SignedStatement, ifSize?: number) => this.#append(statement, ifSize),
      refused: (caller: string, error: unknown) => this.#refused(caller, error),
    };
    return openCore(core, info, this.#remembered);
  }

  /** A statement takes effect when the registry holds it, and not before. */
  async #append({ statement, envelope }: SignedStatement, ifSize?: number): Promise<void> {
    const { log } = this.#options.config.registry;
    const head = {
      op: "append",
      log,
      statement: encodeBase64url(statement),
      envelope: encodeBase64url(envelope),
    };
    try {
      await this.#ledger.request(ifSize === undefined ? head : { ...head, ifSize });
      await this.#view.poll();
    } catch (error) {
      throw appendRefusal(error);
    }
  }

  /** Until the registry grew or it is time for the next turn. */
  async #untilNews(ms: number): Promise<void> {
    await this.#sleeper.sleep(MIN_TURN_MS);
    // One at a time and never waited for: a ledger that answers none must not stop this loop.
    if (!this.#isWaiting) void this.#waitForGrowth();
    await this.#sleeper.sleep(ms);
  }

  async #waitForGrowth(): Promise<void> {
    this.#isWaiting = true;
    try {
      await this.#view.wait(GROWTH_WAIT_MS);
    } catch {
      // The next turn asks the ledger itself, and says what is wrong.
    } finally {
      this.#isWaiting = false;
      this.#sleeper.wake();
    }
  }

  /** What keeps this signer from its work, once and not every second. */
  #say(error: unknown): void {
    const code = error === undefined ? undefined : errorCode(error);
    if (code === this.#trouble) return;
    this.#trouble = code;
    if (code === undefined) return this.#events.ledgerBack();
    this.#events.ledgerTrouble(code, errorLine(error));
    // THREAT-06, THREAT-30: said where an operator looks, and where nobody on this machine can take it back.
    if (/^ERR_(?:LOG|REGISTRY|SIGNER)_/.test(code))
      this.#reports.event("signer-refuses-ledger", `${code}: ${errorLine(error)}`);
  }

  /** Why nothing can be issued now, whatever the keys. */
  #problem({ guard }: SignerCore): string | undefined {
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
    if (!core || this.#problem(core) !== undefined) return false;
    try {
      core.writer.check();
    } catch {
      return false;
    }
    return core.ring.hasActive;
  }

  #keepState(): void {
    if (!this.#core) return;
    const { writer, guard } = this.#core;
    const text = encodeState({
      log: { ...writer.tree, sinceSeconds: guard.sinceSeconds ?? 0 },
      registry: { ...this.#view.held, sinceSeconds: this.#registryGuard.sinceSeconds ?? 0 },
    });
    if (text === this.#kept) return;
    try {
      writeState(join(this.#options.folder, SIGNER_FILES.state), text);
      this.#kept = text;
    } catch (error) {
      // Disk full: signing does not hang on it, a later tick tries again.
      this.#events.stateNotKept(errorCode(error));
    }
  }

  status(): object {
    const { realm } = this.#options.config;
    const keys = describeKeys(this.#view.registry, realm);
    return { ...this.#metadata(), trouble: this.#trouble ?? null, keys };
  }

  #metadata(): object {
    const { config } = this.#options;
    return describeSigner({
      config,
      instance: this.#instance,
      custody: this.#custodian.label,
      isReady: this.#isReady(),
      core: this.#core,
      problem: this.#core && this.#problem(this.#core),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#core?.writer.close();
    this.#keepState();
    this.#sleeper.close();
    // Connections before what waits on them: a ledger that never answers must not hold this up.
    await this.#resources.disposeAsync();
    await Promise.all([this.#running, this.#turn]);
  }
}

/** What a ledger answers must not be able to look like a refusal of ours: those are alarms about the caller. */
function appendRefusal(cause: unknown): ServiceError {
  const code = errorCode(cause);
  const isLedgers = cause instanceof RemoteError && code.startsWith("ERR_LEDGER_");
  const shown = isLedgers ? code : "ERR_SIGNER_REGISTRY";
  return new ServiceError(shown, `Registry did not confirm the statement: ${code}`, { cause });
}
