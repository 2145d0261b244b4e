import type { LedgerOptions } from "./context.ts";
import type { LedgerEvents } from "./events.ts";
import type { Mark } from "./history.ts";
import type { Cosigned, Log } from "./log.ts";
import { Prover } from "./proofs.ts";
import type { Store } from "./store.ts";
import type { TileFolder } from "./tile-folder.ts";
import { TileWriter } from "./tile-writer.ts";
import type { WitnessTransport } from "./witness-client.ts";
import { WitnessSubmitter } from "./witness-submitter.ts";

/** What works behind one log: tiles, proofs, witness. None of it is on the path of a commit. */
export interface RunningLog extends AsyncDisposable {
  readonly tiles: TileWriter;
  readonly prover: Prover;
  readonly submitter: WitnessSubmitter;
  readonly start: () => void;
}

export interface RunningLogParts {
  readonly options: LedgerOptions;
  readonly log: Log;
  readonly marks: readonly Mark[];
  readonly store: Store;
  readonly folder: TileFolder;
  readonly events: LedgerEvents;
  readonly halt: (log: Log, error: unknown) => void;
  readonly transport: WitnessTransport;
  readonly keepCosigned: (log: Log, cosigned: Cosigned) => void;
}

export function runLog(parts: RunningLogParts): RunningLog {
  const { options, log, marks, store, events } = parts;
  const delayMs = options.publishDelayMs;
  const tiles = new TileWriter({
    ...parts,
    clock: options.clock,
    onWritten: () => submitter.changed(),
    ...(delayMs === undefined ? {} : { delayMs }),
  });
  const prover = new Prover(log, store, tiles, events);
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
      tiles.start(marks);
      submitter.start();
    },
    [Symbol.asyncDispose]: async () => {
      await submitter[Symbol.asyncDispose]();
      await tiles[Symbol.asyncDispose]();
    },
  };
}
