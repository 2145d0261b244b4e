import { chmodSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPrivateFile, systemClock, type Clock, type EventSink } from "@redoubt/base";
import {
  Operator,
  readDemo,
  readSettings,
  REALMS,
  loopbackPlan,
  setUp,
  stateBootstrap,
  type Demo,
  type Realm,
  type Settings,
} from "@redoubt/cli";
import type { Custodian } from "@redoubt/custody";
import { openIssuer, parseConfig as parseIssuerConfig } from "@redoubt/issuer";
import { openLedger, parseConfig as parseLedgerConfig, type LedgerOptions } from "@redoubt/ledger";
import { openMonitor, parseConfig as parseMonitorConfig, type Monitor } from "@redoubt/monitor";
import { openPublisher, parseConfig as parsePublisherConfig } from "@redoubt/publisher";
import {
  openSigner,
  parseConfig as parseSignerConfig,
  type Signer,
  type SignerOptions,
} from "@redoubt/signer";
import { freeBasePort } from "../e2e/free-ports.ts";

/** Layers that a test takes away. Only tests can: no configuration and no command reaches these. */
export interface Replacements {
  readonly signer?: Pick<SignerOptions, "policy" | "tokenLog">;
  /** Where a signer's private keys are, given its folder. */
  readonly custodian?: (folder: string) => Custodian;
  readonly ledger?: Partial<LedgerOptions>;
  /** Realms whose issuer is not started, for tests that play it. */
  readonly withoutIssuers?: boolean;
  /** For a test that plays the publisher on its port. */
  readonly withoutPublisher?: boolean;
  /** The clock of every service; default: this machine's, and one of its own for the monitor. */
  readonly clock?: MovableClock;
  /** Clocks of single services, by name. */
  readonly clocks?: Readonly<Record<string, Clock>>;
  /** A folder to fill and to keep, and the first of its six ports; default: a new one that is removed at the end. */
  readonly place?: { readonly folder: string; readonly port: number };
}

/** A clock that a test can put forward. */
export class MovableClock implements Clock {
  #offsetMs = 0;
  now(): number {
    return systemClock.now() + this.#offsetMs;
  }
  monotonic(): number {
    return systemClock.monotonic() + this.#offsetMs;
  }
  forward(ms: number): void {
    this.#offsetMs += ms;
  }
}

/** Every service of one machine in this process, over its real sockets and ports. */
export interface Composed extends AsyncDisposable {
  readonly folder: string;
  readonly settings: Settings;
  readonly demo: Demo;
  readonly operator: Operator;
  readonly monitor: Monitor;
  readonly monitorClock: MovableClock;
  readonly signers: Readonly<Record<Realm, Signer>>;
  /** Every event that a service logged, newest last. */
  readonly events: readonly {
    readonly service: string;
    readonly event: string;
    readonly fields: object;
  }[];
}

export async function compose(replace: Replacements = {}): Promise<Composed> {
  await using stack = new AsyncDisposableStack();
  const folder = replace.place?.folder ?? (await mkdtemp(join(tmpdir(), "rdt-")));
  if (!replace.place) stack.defer(() => rm(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o700);
  const { clock = systemClock } = replace;
  await setUp(
    folder,
    loopbackPlan(replace.place?.port ?? (await freeBasePort())),
    new Date(clock.now()),
  );
  const settings = readSettings(folder);
  const events: { service: string; event: string; fields: object }[] = [];
  const sinkOf =
    (service: string): EventSink =>
    (event, fields = {}) =>
      void events.push({ service, event, fields });
  const common = (service: string) => ({
    folder: join(folder, service),
    root: folder,
    clock: replace.clocks?.[service] ?? clock,
    sink: sinkOf(service),
  });
  const configOf = (service: string) => readPrivateFile(join(folder, service, "config.json"));

  stack.use(
    await openLedger({
      ...common("ledger"),
      config: parseLedgerConfig(configOf("ledger")),
      ...replace.ledger,
    }),
  );
  const monitorClock = replace.clock ?? new MovableClock();
  const monitor = stack.use(
    await openMonitor({
      ...common("monitor"),
      clock: replace.clocks?.["monitor"] ?? monitorClock,
      config: parseMonitorConfig(configOf("monitor")),
    }),
  );
  const openRealmSigner = async (realm: Realm) =>
    stack.use(
      await openSigner({
        ...common(`signer-${realm}`),
        sink: sinkOf(`signer-${realm}`),
        service: `signer-${realm}`,
        config: parseSignerConfig(configOf(`signer-${realm}`)),
        ...replace.signer,
        ...(replace.custodian && { custodian: replace.custodian(join(folder, `signer-${realm}`)) }),
      }),
    );
  const signers = {
    consumer: await openRealmSigner("consumer"),
    enterprise: await openRealmSigner("enterprise"),
  };
  if (!replace.withoutPublisher)
    stack.use(
      await openPublisher({
        ...common("publisher"),
        config: parsePublisherConfig(configOf("publisher")),
      }),
    );
  const operator = stack.use(new Operator(folder, settings));
  const demo = readDemo(folder);
  await stateBootstrap(operator, settings, demo);
  await Promise.all(REALMS.map((realm) => signers[realm].ready));
  // What is in a log before the monitor's first look can be no forgery that it missed: it must have looked.
  await monitor.tick();
  if (!replace.withoutIssuers) {
    for (const realm of REALMS)
      stack.use(
        await openIssuer({
          ...common(`issuer-${realm}`),
          config: parseIssuerConfig(configOf(`issuer-${realm}`)),
        }),
      );
    for (const realm of REALMS) await operator.realmCaughtUp(realm);
  }
  const owned = stack.move();
  return {
    folder,
    settings,
    demo,
    operator,
    monitor,
    monitorClock,
    signers,
    events,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
