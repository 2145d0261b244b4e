import { createHash } from "node:crypto";
import type { ByteReader } from "../byte-reader.ts";
import { readHash, TPM_HASHES, type TpmHash } from "../tpm/algorithms.ts";
import { MAX_BANKS, PCR_COUNT, type PcrSelection, selectedIndices } from "../tpm/pcr-selection.ts";
import { ofParameter, RC, TpmRefusal } from "./refusal.ts";

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

/**
 * TPML_PCR_SELECTION of a command. The PC Client Platform TPM Profile has 24 PCRs: as many bits, not fewer and not more.
 *
 * @param parameter its index among the parameters of the command
 */
export function readPcrList(reader: ByteReader, parameter: number): PcrSelection[] {
  const count = reader.u32be();
  if (count > MAX_BANKS) throw new TpmRefusal(ofParameter(RC.size, parameter));
  return Array.from({ length: count }, () => {
    const bank = readHash(reader, "pcrSelection");
    if (reader.u8() !== PCR_COUNT / 8) throw new TpmRefusal(ofParameter(RC.value, parameter));
    return { bank, indices: selectedIndices(reader.bytes(PCR_COUNT / 8)) };
  });
}

function isDynamic(index: number): boolean {
  return index >= DYNAMIC.first && index <= DYNAMIC.last;
}
