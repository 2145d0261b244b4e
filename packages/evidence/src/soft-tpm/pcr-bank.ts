import { createHash } from "node:crypto";
import { TPM_HASHES, type TpmHash } from "../tpm/algorithms.ts";
import { PCR_COUNT, type PcrSelection } from "../tpm/pcr-selection.ts";
import { RC, TpmRefusal } from "./refusal.ts";

const BANKS: readonly TpmHash[] = ["sha256", "sha384"];
/** PCRs of a dynamic root of trust: all ones, and not for locality 0. */
const DYNAMIC = { first: 17, last: 22 } as const;

/** The PCRs of a soft TPM: SHA-256 and SHA-384. */
export class PcrBanks {
  readonly #values: ReadonlyMap<TpmHash, Buffer[]>;
  /** Counts every change, so that a policy over PCRs notices one that comes between. */
  updates = 0;

  constructor() {
    this.#values = new Map(
      BANKS.map((bank) => [
        bank,
        Array.from({ length: PCR_COUNT }, (_, i) =>
          Buffer.alloc(TPM_HASHES[bank].size, isDynamic(i) ? 0xff : 0),
        ),
      ]),
    );
  }

  extend(index: number, bank: TpmHash, digest: Uint8Array): void {
    if (isDynamic(index)) throw new TpmRefusal(RC.locality);
    const values = this.#values.get(bank) ?? [];
    const before = values[index];
    // A bank that is not there is passed over, as TPMs do.
    if (before === undefined) return;
    values[index] = createHash(bank).update(before).update(digest).digest();
    this.updates += 1;
  }

  /** Values of those that exist, in order. */
  read({ bank, indices }: PcrSelection): readonly (readonly [number, Buffer])[] {
    const values = this.#values.get(bank) ?? [];
    return indices.flatMap((index) => {
      const value = values[index];
      return value === undefined ? [] : [[index, value] as const];
    });
  }
}

function isDynamic(index: number): boolean {
  return index >= DYNAMIC.first && index <= DYNAMIC.last;
}
