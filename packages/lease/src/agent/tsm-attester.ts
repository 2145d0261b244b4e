import { ServiceError } from "@redoubt/base";
import {
  parseSnpCertificateTable,
  parseSnpReport,
  parseTdxCollateral,
  type SnpCertificateName,
} from "@redoubt/evidence";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";
import type { Attester } from "./attester.ts";
import { decodeCertificates } from "./snp-chain.ts";
import { makeTsmReport, type TsmOptions, type TsmReport } from "./tsm-report.ts";

export interface TsmAttesterOptions extends TsmOptions {
  /** SNP: `[key,] issuer, root` in DER, for what the host's table lacks; read each time. */
  readonly chain?: (() => Promise<readonly Buffer[]>) | undefined;
  /** TDX: as PCCS clients write it; read each time, since it runs out. */
  readonly collateral?: (() => Promise<Uint8Array>) | undefined;
  /** TDX: the CCEL table; undefined where there is none. */
  readonly eventLog?: (() => Promise<Uint8Array | undefined>) | undefined;
}

const INBLOB_BYTES = 64;
const COLLATERAL_DEPTH = 2;

/** A confidential VM whose kernel makes reports: SEV-SNP or TDX by configfs-tsm, from Linux 6.7 on. */
export class TsmAttester implements Attester {
  readonly #options: TsmAttesterOptions;

  constructor(options: TsmAttesterOptions) {
    this.#options = options;
  }

  /** @throws ServiceError `ERR_ATTESTER_*`; EvidenceError for a report, table or collateral of another form */
  async evidence(data: Buffer): Promise<string> {
    const inblob = Buffer.alloc(INBLOB_BYTES);
    inblob.set(data);
    const report = await makeTsmReport(inblob, this.#options);
    const members =
      report.provider === "sev_guest" ? await this.#snp(report) : await this.#tdx(report);
    return JSON.stringify({ v: 1, ...members });
  }

  async #snp({ outblob, auxblob }: TsmReport): Promise<object> {
    const chain = await this.#chain(outblob, auxblob);
    return {
      platform: "snp",
      report: encodeBase64url(outblob),
      chain: chain.map((der) => encodeBase64url(der)),
    };
  }

  /** The key is of this firmware, so the host's comes first (field report A1); issuer and root are of the product. */
  async #chain(report: Buffer, auxblob: Buffer): Promise<readonly Buffer[]> {
    const { signingKey } = parseSnpReport(report);
    const table = parseSnpCertificateTable(auxblob);
    const configured = (await this.#options.chain?.()) ?? [];
    const given = (name: SnpCertificateName): readonly Buffer[] => {
      const der = table.get(name);
      return der ? decodeCertificates(der) : [];
    };
    const key = table.has(signingKey) ? given(signingKey) : configured.slice(0, -2);
    const issuers =
      configured.length > 0 ? configured.slice(-2) : [...given("ask"), ...given("ark")];
    if (key.length !== 1 || issuers.length !== 2)
      throw missing("Certificates of this machine: name files in chain, with key, issuer and root");
    return [...key, ...issuers];
  }

  async #tdx({ outblob }: TsmReport): Promise<object> {
    const { collateral, eventLog } = this.#options;
    if (collateral === undefined)
      throw missing("Collateral of this machine: name a file in collateral");
    const [text, log] = await Promise.all([collateral(), eventLog?.()]);
    parseTdxCollateral(text);
    return {
      platform: "tdx",
      quote: encodeBase64url(outblob),
      collateral: parseJsonObject(text, { maxDepth: COLLATERAL_DEPTH }),
      ...(log && { eventLog: encodeBase64url(log) }),
    };
  }
}

function missing(message: string): ServiceError {
  return new ServiceError("ERR_ATTESTER_FILE", message);
}
