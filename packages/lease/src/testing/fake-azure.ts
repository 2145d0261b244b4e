import {
  AK_P256,
  createSoftTpm,
  extendPcr,
  parsePublicArea,
  readTpmKey,
  type SnpRoots,
  type Transport,
} from "@redoubt/evidence";
import { type AzureSample, makeAzureSnp } from "@redoubt/evidence/testing/azure-evidence";

const [REPORT, NEWER_REPORT, USER_DATA] = [0x0140_0001, 0x0140_0009, 0x0140_0002];
const AK = 0x8100_0003;
/** TPM_CC, TPM 2.0 Part 2 §6.5.2. */
const CC = {
  createPrimary: 0x131,
  nvWrite: 0x137,
  nvRead: 0x14e,
  flush: 0x165,
  nvReadPublic: 0x169,
} as const;
const NV_COMMANDS: readonly number[] = [CC.nvWrite, CC.nvRead, CC.nvReadPublic];
/** Of a command: its code, its first handle, its second. Of a response that made an object: its handle. */
const [CODE_AT, FIRST_AT, SECOND_AT] = [6, 10, 14];
const DONE = Buffer.from("80010000000a00000000", "hex");
/** TPMT_PUBLIC of a restricted RSA 2048 key that signs by RSASSA and SHA-256, as Azure's paravisor makes it. */
const RSA_AK = {
  hierarchy: AK_P256.hierarchy,
  publicArea: Buffer.concat([
    Buffer.from("0001000b", "hex"),
    AK_P256.publicArea.subarray(4, 8),
    Buffer.from("000000100014000b0800000000000000", "hex"),
  ]),
};

export interface FakeAzureOptions {
  /** Whether there is an index for user data; a machine has none by itself. */
  readonly hasUserData: boolean;
  /** How often the report of the boot is still read after user data were written. */
  readonly staleReads?: number;
  readonly reportType?: number;
}

/**
 * The virtual TPM of an Azure confidential VM, made of two soft ones: an RSA key under a persistent handle, which the
 * report in an NV index vouches for, and a report that is made anew some time after user data were written.
 */
export class FakeAzure implements Transport {
  readonly chain: readonly Buffer[];
  readonly roots: SnpRoots;
  /** How often the report was asked for. */
  reads = 0;
  isClosed = false;
  readonly #keys: Transport;
  readonly #nv: Transport;
  readonly #ak: number;
  #staleReads: number;
  #isWritten = false;

  /** @param data that the newer report is over */
  static async create(data: Buffer, options: FakeAzureOptions): Promise<FakeAzure> {
    const keys = createSoftTpm();
    // As firmware does.
    await extendPcr(keys, 0, "sha256", Buffer.alloc(32, 1));
    const keeper = new Keeper(keys);
    const { key } = parsePublicArea(await readTpmKey(keeper, RSA_AK));
    return new FakeAzure(keys, keeper.handle, String(key.export({ format: "jwk" }).n), {
      ...options,
      data,
    });
  }

  private constructor(
    keys: Transport,
    ak: number,
    modulus: string,
    options: FakeAzureOptions & { readonly data: Buffer },
  ) {
    const { data, hasUserData, reportType = 2 } = options;
    const sample = (userData: Buffer): AzureSample => ({
      reportType,
      runtime: (runtime) => ({
        ...runtime,
        keys: [{ kid: "HCLAkPub", key_ops: ["sign"], kty: "RSA", e: "AQAB", n: modulus }],
        "user-data": userData.toString("hex").toUpperCase(),
      }),
    });
    const boot = makeAzureSnp(sample(Buffer.alloc(64)));
    // Both reports are signed by one hierarchy, but each by a certificate of its own time.
    const newer = makeAzureSnp(sample(Buffer.concat([data, Buffer.alloc(64 - data.length)])));
    this.chain = newer.evidence.chain.map((der) => Buffer.from(der));
    this.roots = newer.roots;
    const nv = new Map<number, Uint8Array>([
      [REPORT, boot.evidence.hclReport],
      [NEWER_REPORT, newer.evidence.hclReport],
    ]);
    if (hasUserData) nv.set(USER_DATA, Buffer.alloc(64));
    this.#nv = createSoftTpm({ nv });
    this.#keys = keys;
    this.#ak = ak;
    this.#staleReads = options.staleReads ?? 0;
  }

  async send(command: Uint8Array): Promise<Uint8Array> {
    const bytes = Buffer.from(command);
    const code = bytes.readUInt32BE(CODE_AT);
    if (NV_COMMANDS.includes(code)) return this.#nv.send(this.#redirected(bytes, code));
    if (bytes.length >= SECOND_AT && bytes.readUInt32BE(FIRST_AT) === AK)
      bytes.writeUInt32BE(this.#ak, FIRST_AT);
    return this.#keys.send(bytes);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #redirected(bytes: Buffer, code: number): Buffer {
    if (code === CC.nvWrite) this.#isWritten = true;
    const at = code === CC.nvReadPublic ? FIRST_AT : SECOND_AT;
    if (bytes.readUInt32BE(at) !== REPORT) return bytes;
    if (code === CC.nvReadPublic) {
      this.reads += 1;
      if (this.#isWritten) this.#staleReads -= 1;
    }
    if (this.#isWritten && this.#staleReads < 0) bytes.writeUInt32BE(NEWER_REPORT, at);
    return bytes;
  }
}

/** Keeps what is made through it loaded, and knows its handle. */
class Keeper implements Transport {
  handle = 0;
  readonly #tpm: Transport;

  constructor(tpm: Transport) {
    this.#tpm = tpm;
  }

  async send(command: Uint8Array): Promise<Uint8Array> {
    const code = Buffer.from(command).readUInt32BE(CODE_AT);
    if (code === CC.flush) return DONE;
    const response = await this.#tpm.send(command);
    if (code === CC.createPrimary) this.handle = Buffer.from(response).readUInt32BE(FIRST_AT);
    return response;
  }

  async close(): Promise<void> {
    await this.#tpm.close();
  }
}
