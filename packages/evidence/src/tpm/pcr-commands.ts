import type { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";
import { MAX_HASH_BYTES, TPM_HASHES, readSized } from "./algorithms.ts";
import { execute } from "./command.ts";
import { u16, u32 } from "./marshal.ts";
import {
  checkedSelection,
  encodeSelection,
  readSelections,
  type PcrSelection,
} from "./pcr-selection.ts";
import type { Transport } from "./transport.ts";

/**
 * The values of PCRs, in ascending order. They are not read at one moment.
 *
 * @throws EvidenceError; `ERR_EVIDENCE_PCR_SELECTION` for a bank that the TPM does not have
 */
export async function readPcrs(
  transport: Transport,
  selection: PcrSelection,
): Promise<Map<number, Buffer>> {
  const values = new Map<number, Buffer>();
  let left = checkedSelection(selection).indices;
  while (left.length > 0) {
    // One after the other: a TPM gives eight values at most, and says which.
    const parameters = encodeSelection({ bank: selection.bank, indices: left });
    const response = await execute(transport, "PCR_Read", { parameters });
    for (const [index, value] of readValues(response.parameters)) values.set(index, value);
    const next = left.filter((index) => !values.has(index));
    if (next.length === left.length)
      throw new EvidenceError("ERR_EVIDENCE_PCR_SELECTION", "TPM gives no value of a PCR", {
        part: `pcrs[${left[0]}]`,
        expected: selection.bank,
      });
    left = next;
  }
  return new Map([...values].toSorted(([a], [b]) => a - b));
}

function readValues(reader: ByteReader): (readonly [number, Buffer])[] {
  // pcrUpdateCounter
  reader.u32be();
  const indices = readSelections(reader, "PCR_Read.pcrSelectionOut").flatMap((s) => s.indices);
  const count = reader.u32be();
  return indices
    .slice(0, count)
    .map((index) => [index, readSized(reader, MAX_HASH_BYTES, "PCR_Read.pcrValues")]);
}

export async function extendPcr(
  transport: Transport,
  index: number,
  bank: PcrSelection["bank"],
  digest: Uint8Array,
): Promise<void> {
  await execute(transport, "PCR_Extend", {
    handles: [index],
    authorizations: ["empty password"],
    parameters: Buffer.concat([u32(1), u16(TPM_HASHES[bank].id), digest]),
  });
}
