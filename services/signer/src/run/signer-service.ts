import { randomBytes } from "node:crypto";
import { join } from "node:path";
import {
  errorCode,
  ServiceError,
  writeDurable,
  type EventSink,
  type Sample,
  type Service,
} from "@redoubt/base";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  MAX_HEAD_BYTES,
  processHandler,
  readSocketSecret,
  route,
  serveSocket,
  SIGNER,
  socketPlace,
  type Answer,
  type Call,
  type SignerMetadata,
  type WireEvent,
} from "@redoubt/wire";
import type { SignerLease } from "../custody/signer-lease.ts";
import type { SignerEvent } from "../events.ts";
import { SIGNER_FILES } from "../initialise.ts";
import type { SignerHandler } from "../issue/handler.ts";
import { KUBE_FRONT } from "../kubernetes/config.ts";
import { closedLog } from "../log/closed-log.ts";
import { encodeState, type SignerState } from "../log/state-file.ts";
import type { WitnessGuard } from "../log/witness-guard.ts";
import type { StandingFailure } from "./failure.ts";
import { openCore, type CoreOptions, type SignerCore } from "./signer-core.ts";
import { describeSigner, listKeys, signerMetrics } from "./status.ts";
import { TurnLoop } from "./turn-loop.ts";

/** What there is before the registry is read; wired in context.ts. */
export interface ServiceParts extends CoreOptions {
  /** The data folder; "" where it is the working directory. */
  readonly root: string;
  readonly service: string;
  /** For the events of the sockets. */
  readonly sink: EventSink<SignerEvent | WireEvent>;
  readonly registryGuard: WitnessGuard;
  readonly remembered: SignerState | undefined;
  readonly failure: StandingFailure;
  readonly lease: SignerLease | undefined;
  /** Closed with the service, the last one first. */
  readonly resources: AsyncDisposableStack;
}

/** docs/spec/wire.md §2: kind, id and head length. */
const FRAME_FIXED_BYTES = 9;
const MAX_CONNECTIONS = 32;
const REPORT_MS = 1000;
/** Shorter than what closing sockets leave to the calls under way: each of them still gets its answer. */
const DRAIN_MS = 3000;
const STATE_EVERY_TICKS = 5;
const SHOWN_REFUSED = 100;
const MAX_REASON = 400;

/** The code of the error that a check throws; undefined where it throws none. */
function codeOf(check: () => void): string | undefined {
  try {
    check();
  } catch (error) {
    return errorCode(error);
  }
  return undefined;
}

/** kube-apiserver's front has a table of calls of its own: for it there are no others. */
function handlerFor(
  { handler, cluster }: SignerCore,
  { caller }: Call,
): Pick<SignerHandler, "handle"> {
  if (caller !== KUBE_FRONT) return handler;
  // Never reached: the configuration refuses this caller without a cluster.
  if (!cluster) throw new ServiceError("ERR_SIGNER_OP", "No cluster here");
  return cluster;
}

/** A signer at work: it answers its callers, and takes one turn after the other. */
export class SignerService implements Service {
  /** Resolves once, when a token could be issued for the first time; `metadata` says how it is now. */
  readonly ready: Promise<void>;
  readonly #parts: ServiceParts;
  readonly #instance = encodeBase64url(randomBytes(8));
  /** The sockets of the callers: closed first, since an answer needs all the rest. */
  readonly #sockets = new AsyncDisposableStack();
  readonly #loop: TurnLoop;
  readonly #becomeReady: () => void;
  readonly #metadataRoute = route(SIGNER.metadata, () => this.#metadata());
  #core: SignerCore | undefined;
  #isClosed = false;
  #wasReady = false;
  #ticks = 0;
  #kept = "";

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    const { view, failure } = parts;
    this.#loop = new TurnLoop({
      turn: (isAsked) => this.#turn(isAsked),
      waitForNews: (timeoutMs) => view.wait(timeoutMs),
      failure,
    });
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    this.#becomeReady = ready.resolve;
  }

  async listen(): Promise<void> {
    const { config, root, service, sink, reports } = this.#parts;
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
        handler: processHandler(this, (call) => this.#handle(call)),
        sink: (event, fields) => {
          sink(event, fields);
          if (event === "connection_refused" || event === "request_refused")
            reports.refusal(caller, String(fields?.["code"]), "connection refused");
        },
      });
      this.#sockets.use(server);
    }
  }

  start(): void {
    this.#loop.start();
    const flush = setInterval(() => this.#parts.reports.flush(), REPORT_MS).unref();
    this.#parts.resources.defer(() => clearInterval(flush));
  }

  async #handle(call: Call): Promise<Answer> {
    try {
      if (call.op === SIGNER.metadata.op) return await this.#metadataRoute.handle(call);
      if (this.#core) return await handlerFor(this.#core, call).handle(call);
      throw this.#starting();
    } catch (error) {
      this.#parts.refused(call.caller, error);
      throw error;
    }
  }

  /** Whoever asks is told the code of what keeps the signer from its work; only the operator sees the text (`status`). */
  #starting(): ServiceError {
    const { code } = this.#parts.failure;
    const why =
      code === undefined
        ? "Signer has not read its registry yet"
        : `Signer cannot work yet: ${code}`;
    return new ServiceError("ERR_SIGNER_STARTING", why, { fields: { retryAfterSeconds: 1 } });
  }

  async tick(): Promise<void> {
    await this.#loop.ask();
  }

  /** Reads the registry until this signer is in it, opens its log, and then follows the clock. */
  async #turn(isAsked: boolean): Promise<boolean> {
    await this.#parts.view.poll();
    const { lease } = this.#parts;
    lease?.look(this.#core?.ring.kids() ?? []);
    // A moment, and no trouble of custody: without a lease nothing can be opened.
    if (lease?.isFirstAwaited === true) return false;
    const core = (this.#core ??= await this.#takeUp());
    if (!core) return false;
    const closed = this.#parts.view.registry.closedLogs.get(this.#parts.config.origin);
    if (closed) {
      core.writer.end(closed.successor);
      throw closedLog(closed);
    }
    core.ring.refresh();
    await Promise.all([core.writer.refreshCosigned(), this.#parts.view.refreshCosigned()]);
    // THREAT-29: no key is retired or destroyed by a clock that the witness contradicts.
    if (this.#refusal(core) === undefined)
      await (isAsked ? core.steps.tick() : core.steps.tickWhenDue());
    core.audit.look();
    this.#parts.custodian.look();
    this.#ticks += 1;
    if (this.#ticks % STATE_EVERY_TICKS === 1) this.#keepState();
    this.#wasReady ||= this.#isReady();
    if (this.#wasReady) this.#becomeReady();
    // Last, when all is done that needs no custody: the loop reports this failure like any other.
    const { failure } = this.#parts.custodian;
    if (failure) throw failure;
    return this.#wasReady;
  }

  /** Opens log and keys as soon as the registry names this signer; undefined until then. */
  async #takeUp(): Promise<SignerCore | undefined> {
    const { config, view, registryGuard, remembered } = this.#parts;
    const info = view.registry.writers.get(config.origin);
    if (!info || !view.registry.realms.has(config.realm)) return undefined;
    const since = remembered?.registry.sinceSeconds ?? 0;
    registryGuard.begin(view.held.size, since > 0 ? since : undefined);
    return openCore(this.#parts, info, remembered);
  }

  /** Why nothing can be issued now, whatever the keys. */
  #refusal({ guard }: SignerCore): string | undefined {
    return codeOf(() => {
      this.#parts.view.check();
      guard.check();
    });
  }

  #isReady(): boolean {
    const core = this.#core;
    if (!core || this.#refusal(core) !== undefined || this.#parts.custodian.failure) return false;
    if (this.#withoutLease() !== undefined) return false;
    return codeOf(() => core.writer.check()) === undefined && core.ring.hasActive;
  }

  #keepState(): void {
    if (!this.#core) return;
    const { writer, guard } = this.#core;
    const { config, folder } = this.#parts;
    const text = encodeState({
      log: { origin: config.origin, ...writer.tree, sinceSeconds: guard.sinceSeconds ?? 0 },
      registry: {
        origin: config.registry.origin,
        ...this.#parts.view.held,
        sinceSeconds: this.#parts.registryGuard.sinceSeconds ?? 0,
      },
    });
    if (text === this.#kept) return;
    try {
      writeDurable(join(folder, SIGNER_FILES.state), text);
      this.#kept = text;
    } catch (error) {
      // The disk may be full. Signing does not depend on it, and a later turn tries again.
      this.#parts.events.stateNotKept(errorCode(error));
    }
  }

  status(): object {
    const { realm } = this.#parts.config;
    const keys = listKeys(this.#parts.view.registry, realm);
    const refused = [...(this.#core?.ring.refused ?? [])].slice(0, SHOWN_REFUSED);
    const { code = null } = this.#parts.failure;
    const reason = this.#parts.failure.reason ?? this.#core?.steps.waiting() ?? this.#whyNot();
    return {
      ...this.#metadata(),
      trouble: code,
      ...(reason !== undefined && { reason }),
      refusedKeys: refused.map(([id, why]) => ({ id, reason: why.slice(0, MAX_REASON) })),
      keys,
    };
  }

  metrics(): readonly Sample[] {
    return signerMetrics(this.#metadata(), this.#parts.clock);
  }

  /** The code of what keeps it from issuing. */
  #whyNot(): string | undefined {
    const core = this.#core;
    const own = core && (this.#refusal(core) ?? codeOf(() => core.writer.check()));
    return own ?? this.#withoutLease() ?? this.#parts.custodian.failure?.code;
  }

  /** P5: the code with which every use of a key is refused, where a lease is needed and there is none. */
  #withoutLease(): string | undefined {
    return codeOf(() => this.#parts.lease?.check());
  }

  #metadata(): SignerMetadata {
    const { config, lease } = this.#parts;
    return describeSigner({
      config,
      leaseLabels: lease === undefined ? [] : lease.labelsFor(config.custody.kind),
      instance: this.#instance,
      custody: this.#parts.custodian.label,
      isReady: this.#isReady(),
      core: this.#core,
      registrySize: this.#parts.view.registry.size,
      issuerStatements: this.#parts.view.issuerStatements,
      whyNot: this.#whyNot(),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // Requests under way get their tokens. Those that the log does not take within `DRAIN_MS` are refused.
    const refuse = setTimeout(() => this.#core?.writer.close(), DRAIN_MS);
    await this.#sockets.disposeAsync();
    clearTimeout(refuse);
    this.#core?.writer.close();
    this.#keepState();
    this.#loop.close();
    // Connections before what waits on them: a ledger that never answers must not hold this up.
    await this.#parts.resources.disposeAsync();
    await this.#loop.ended();
    await this.#core?.audit.ended();
  }
}
