import { EvidenceError } from "../evidence-error.ts";
import { ByteReader } from "../byte-reader.ts";
import { MAX_HASH_BYTES, readSized } from "./algorithms.ts";
import { TPM_RH, execute } from "./command.ts";
import { sized, u16 } from "./marshal.ts";
import { MAX_RESPONSE_BYTES, type Transport } from "./transport.ts";

/** TPMA_NV, TPM 2.0 Part 2 §13.4. */
const TPMA_NV_OWNERWRITE = 1 << 1;
const TPMA_NV_OWNERREAD = 1 << 17;
/** Every TPM of the PC Client profile gives this many bytes at once. */
const CHUNK_BYTES = 512;

/**
 * All bytes of an NV index: an EK certificate (0x01C00002, 0x01C00016), Azure's report (0x01400001).
 *
 * @throws EvidenceError `ERR_TPM_RESPONSE`, also where there is no such index
 */
export async function readNv(transport: Transport, index: number): Promise<Buffer> {
  const { size, attributes } = await readNvPublic(transport, index);
  const reader = (attributes & TPMA_NV_OWNERREAD) === 0 ? index : TPM_RH.owner;
  const chunks: Buffer[] = [];
  for (let offset = 0; offset < size; offset += CHUNK_BYTES) {
    const wanted = Math.min(CHUNK_BYTES, size - offset);
    // One after the other: a TPM does one thing at a time.
    const { parameters } = await execute(transport, "NV_Read", {
      handles: [reader, index],
      authorizations: ["empty password"],
      parameters: Buffer.concat([u16(wanted), u16(offset)]),
    });
    const chunk = readSized(parameters, CHUNK_BYTES, "NV_Read.data");
    if (chunk.length !== wanted)
      throw new EvidenceError("ERR_EVIDENCE_FORMAT", "TPM gives another part of an NV index", {
        part: "NV_Read.data",
        found: chunk.length,
        expected: wanted,
      });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Writes all bytes of an NV index at once, such as what an Azure machine wants to have in its report (0x01400002).
 *
 * @throws EvidenceError `ERR_TPM_RESPONSE`, also where there is no such index or it has another size
 * @throws RangeError for more bytes than a TPM takes at once
 */
export async function writeNv(
  transport: Transport,
  index: number,
  data: Uint8Array,
): Promise<void> {
  if (data.length > CHUNK_BYTES)
    throw new RangeError(`NV index: expected at most ${CHUNK_BYTES} bytes`);
  const { size, attributes } = await readNvPublic(transport, index);
  if (size !== data.length)
    throw new EvidenceError("ERR_TPM_RESPONSE", "NV index has another size", {
      part: "NV_ReadPublic.dataSize",
      found: size,
      expected: data.length,
    });
  const writer = (attributes & TPMA_NV_OWNERWRITE) === 0 ? index : TPM_RH.owner;
  await execute(transport, "NV_Write", {
    handles: [writer, index],
    authorizations: ["empty password"],
    parameters: Buffer.concat([sized(data), u16(0)]),
  });
}

/** TPMS_NV_PUBLIC, §13.6. */
async function readNvPublic(
  transport: Transport,
  index: number,
): Promise<{ attributes: number; size: number }> {
  const { parameters } = await execute(transport, "NV_ReadPublic", { handles: [index] });
  const area = readSized(parameters, MAX_RESPONSE_BYTES, "NV_ReadPublic.nvPublic");
  const reader = new ByteReader(area, "NV public area");
  // nvIndex, nameAlg
  reader.bytes(6);
  const attributes = reader.u32be();
  readSized(reader, MAX_HASH_BYTES, "NV_ReadPublic.authPolicy");
  return { attributes, size: reader.u16be() };
}
