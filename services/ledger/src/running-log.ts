import type { Clock } from "@redoubt/base";
import type { VerifierKey } from "@redoubt/tlog";
import { Audit } from "./audit.ts";
import type { LedgerEvents } from "./events.ts";
import type { Cosigned, Log } from "./log.ts";
import { Prover } from "./proofs.ts";
import type { Store } from "./store.ts";
import type { TileFolder } from "./tile-folder.ts";
import { TileWriter } from "./tile-writer.ts";
import type { WitnessTransport } from "./witness-client.ts";
import { WitnessSubmitter } from "./witness-submitter.ts";

/** What works in the background for one log: tiles, proofs, audit, witness. No commit waits for any of it. */
export interface RunningLog extends AsyncDisposable {
  readonly tiles: TileWriter;
  readonly prover: Prover;
  readonly submitter: WitnessSubmitter;
  readonly start: () => void;
}

/** Times that only tests set, where services are composed; no configuration reaches them. */
export interface LogTiming {
  readonly publishDelayMs?: number;
  readonly auditRestMs?: number;
  readonly witnessTiming?: { readonly intervalMs: number; readonly refreshMs: number };
}

export interface RunningLogParts {
  readonly options: LogTiming & {
    readonly clock: Clock;
    readonly config: { readonly witness: { readonly key: VerifierKey } };
  };
  readonly log: Log;
  readonly store: Store;
  readonly folder: TileFolder;
  readonly events: LedgerEvents;
  readonly halt: (log: Log, error: unknown) => void;
  readonly transport: WitnessTransport;
  readonly keepCosigned: (log: Log, cosigned: Cosigned) => void;
  readonly keepMark: (log: Log, note: string) => void;
}

export function runLog(parts: RunningLogParts): RunningLog {
  const { options, log } = parts;
  const { publishDelayMs: delayMs, auditRestMs: restMs } = options;
  const audit = new Audit({
    ...parts,
    clock: options.clock,
    writtenSize: () => tiles.written.size,
    ...(restMs === undefined ? {} : { restMs }),
  });
  const tiles = new TileWriter({
    ...parts,
    clock: options.clock,
    audited: audit.covered,
    onWritten: () => {
      if (log.identity.isClosed !== true) submitter.changed();
    },
    ...(delayMs === undefined ? {} : { delayMs }),
  });
  const prover = new Prover({ ...parts, tiles, onDamaged: () => audit.again() });
  const submitter = new WitnessSubmitter({
    ...parts,
    tiles,
    prover,
    clock: options.clock,
    witness: options.config.witness.key,
    ...options.witnessTiming,
  });
  return {
    tiles,
    prover,
    submitter,
    start: () => {
      audit.start(tiles.flush());
      // The witness cosigns a closed log no more.
      if (log.identity.isClosed !== true) submitter.start();
    },
    [Symbol.asyncDispose]: async () => {
      await submitter[Symbol.asyncDispose]();
      await audit[Symbol.asyncDispose]();
      await tiles[Symbol.asyncDispose]();
    },
  };
}
