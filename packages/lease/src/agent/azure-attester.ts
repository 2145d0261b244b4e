import { setTimeout } from "node:timers/promises";
import { ServiceError } from "@redoubt/base";
import {
  DEFAULT_PCRS,
  EvidenceError,
  type HclReport,
  parseHclReport,
  parseRuntimeData,
  type PcrSelection,
  quote,
  readNv,
  type Transport,
  writeNv,
} from "@redoubt/evidence";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { type Attester, type BootLogs, logMembers, quoteMembers } from "./attester.ts";

export interface AzureAttesterOptions extends BootLogs {
  /** The virtual TPM of the machine. */
  readonly transport: Transport;
  /** VCEK, ASK and ARK in DER, as Azure's host gives them; read each time. */
  readonly chain: () => Promise<readonly Buffer[]>;
  readonly pcrs?: PcrSelection;
  /** Before the report is read again. */
  readonly pauseMs?: number;
}

const HCL_REPORT = 0x0140_0001;
const USER_DATA = 0x0140_0002;
const USER_DATA_BYTES = 64;
/** The key that the paravisor made, and whose public half it puts into the report. */
const AK = { persistentHandle: 0x8100_0003 } as const;
/** A new report takes the host about three seconds. */
const ATTEMPTS = 10;
const PAUSE_MS = 500;
const NO_SUCH_INDEX = "0x18b TPM_RC_HANDLE";

/**
 * A confidential VM of Azure on SEV-SNP: the report that its paravisor keeps, and a quote of its virtual TPM. The quote is
 * what makes the evidence fresh. Where the index for user data exists, the report is made anew over the data, too.
 */
export class AzureAttester implements Attester {
  readonly #options: AzureAttesterOptions;

  constructor(options: AzureAttesterOptions) {
    this.#options = options;
  }

  /** @throws ServiceError `ERR_ATTESTER_*`; EvidenceError of the TPM and for a report of another form */
  async evidence(data: Buffer): Promise<string> {
    const { transport, chain, pcrs = DEFAULT_PCRS } = this.#options;
    const hclReport = await this.#report(data);
    const made = await quote(transport, AK, pcrs, data);
    const certificates = await chain();
    return JSON.stringify({
      v: 1,
      platform: "az-snp",
      hclReport: encodeBase64url(hclReport),
      chain: certificates.map((der) => encodeBase64url(der)),
      vtpm: quoteMembers(made),
      ...(await logMembers(this.#options)),
    });
  }

  async #report(data: Buffer): Promise<Buffer> {
    const { transport, pauseMs = PAUSE_MS } = this.#options;
    const userData = Buffer.alloc(USER_DATA_BYTES);
    userData.set(data);
    const isAsked = await writeUserData(transport, userData);
    for (let attempt = 1; ; attempt += 1) {
      // One after the other, until the host has made the report anew.
      const bytes = await readNv(transport, HCL_REPORT);
      const hcl = snpReport(bytes);
      if (!isAsked || attempt === ATTEMPTS || isOver(hcl, userData)) return bytes;
      await setTimeout(pauseMs);
    }
  }
}

/** Whether there is an index for it: a machine gets one by `tpm2_nvdefine`, and none by itself (field report A7). */
async function writeUserData(transport: Transport, userData: Buffer): Promise<boolean> {
  try {
    await writeNv(transport, USER_DATA, userData);
    return true;
  } catch (error) {
    if (
      // mutate: only such an error has what was found; the type asks.
      error instanceof EvidenceError &&
      error.found === NO_SUCH_INDEX
    )
      return false;
    throw error;
  }
}

function snpReport(bytes: Buffer): HclReport {
  const hcl = parseHclReport(bytes);
  if (hcl.type !== "snp")
    throw new ServiceError(
      "ERR_ATTESTER_PROVIDER",
      `Azure's report is of another kind: ${hcl.type}`,
    );
  return hcl;
}

function isOver({ runtimeData }: HclReport, userData: Buffer): boolean {
  return parseRuntimeData(runtimeData).userData?.equals(userData) === true;
}
