import { createHash } from "node:crypto";
import { configError, errorLine, MemberReader, readPrivateFile } from "@redoubt/base";
import {
  connectTpmSocket,
  createSoftTpm,
  extendPcr,
  openTpmDevice,
  type Transport,
} from "@redoubt/evidence";
import type { JsonObject } from "@redoubt/verify/json";
import { type Attester, type BootLogs, TpmAttester } from "./attester.ts";
import { parseAttester, parseSeed, type AttesterSettings } from "./attester-settings.ts";
import { AzureAttester } from "./azure-attester.ts";
import { readBounded, readIfThere } from "./read-bounded.ts";
import { readSnpChain } from "./snp-chain.ts";
import { TsmAttester } from "./tsm-attester.ts";
import { KERNEL_FILES } from "./tsm-files.ts";

/** 64 digits, and the end of the line. */
const MAX_SEED_TEXT = 66;
/** Firmware that measures nothing has none. */
const CCEL_TABLE = "/sys/firmware/acpi/tables/data/CCEL";

export type OpenedAttester = Attester & AsyncDisposable;

/**
 * Opens what a signer's configuration says vouches for its machine.
 *
 * - `{"kind":"soft","seedFile":"…"}`: a TPM in this process, for one machine without hardware; the 0600 file holds 32
 *   bytes in base64url or hexadecimal. It proves nothing about the machine.
 * - `{"kind":"tpm","platform":"tpm2"|"swtpm","device":"/dev/tpmrm0"}`, or `socket` in place of `device`, and
 *   `eventLog`, `userspaceLog`: files that are read each time.
 * - `{"kind":"tsm"}`: SEV-SNP or TDX by configfs-tsm, and `chain` (files), `privilegeLevel`; `collateral`, `eventLog`.
 * - `{"kind":"azure","device":"/dev/tpmrm0","chain":["…"]}`, and `eventLog`, `userspaceLog`.
 *
 * @param image what runs: a soft TPM measures it in place of firmware
 * @throws ServiceError `ERR_CONFIG`, `ERR_FILE_*`; EvidenceError `ERR_TPM_TRANSPORT`
 */
export async function openAttester(json: JsonObject, image: string): Promise<OpenedAttester> {
  const settings = readSettings(json);
  switch (settings.kind) {
    case "soft":
      return openSoft(settings.seedFile, image);
    case "tpm": {
      const { platform, tpm } = settings;
      const transport = await openTransport(tpm);
      return owningTpm(transport, new TpmAttester({ transport, platform, ...logsOf(settings) }));
    }
    case "azure": {
      const transport = await openTransport(settings.tpm);
      const chain = (): Promise<readonly Buffer[]> => readSnpChain(settings.chain);
      return owning(transport, new AzureAttester({ transport, chain, ...logsOf(settings) }));
    }
    case "tsm":
      return openTsm(settings);
  }
}

function readSettings(json: JsonObject): AttesterSettings {
  try {
    return parseAttester(new MemberReader(json, "attester"));
  } catch (error) {
    throw configError(errorLine(error));
  }
}

async function openSoft(seedFile: string, image: string): Promise<OpenedAttester> {
  const text = readPrivateFile(seedFile, MAX_SEED_TEXT).toString("latin1").trim();
  const transport = createSoftTpm({ seed: parseSeed(text, seedFile) });
  // What firmware and loader would do.
  await extendPcr(transport, 0, "sha256", sha256("redoubt soft boot"));
  await extendPcr(transport, SOFT_IMAGE_PCR, "sha256", sha256(image));
  return owningTpm(transport, new TpmAttester({ transport, platform: "soft" }));
}

function openTransport(tpm: { readonly device: string } | { readonly socket: string }) {
  return "device" in tpm ? openTpmDevice(tpm.device) : connectTpmSocket(tpm.socket);
}

function logsOf({
  eventLog,
  userspaceLog,
}: {
  readonly eventLog: string | undefined;
  readonly userspaceLog: string | undefined;
}): BootLogs {
  return {
    eventLog: eventLog === undefined ? undefined : () => readBounded(eventLog),
    userspaceLog: userspaceLog === undefined ? undefined : () => readBounded(userspaceLog),
  };
}

function openTsm(settings: AttesterSettings & { readonly kind: "tsm" }): OpenedAttester {
  const { chain, collateral, eventLog, folder, privilegeLevel } = settings;
  const attester = new TsmAttester({
    files: KERNEL_FILES,
    folder,
    privilegeLevel,
    chain: chain.length === 0 ? undefined : () => readSnpChain(chain),
    collateral: collateral === undefined ? undefined : () => readBounded(collateral),
    eventLog: eventLog === undefined ? () => readIfThere(CCEL_TABLE) : () => readBounded(eventLog),
  });
  return {
    evidence: (data) => attester.evidence(data),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function owning(transport: Transport, attester: Attester): OpenedAttester {
  return {
    evidence: (data) => attester.evidence(data),
    [Symbol.asyncDispose]: () => transport.close(),
  };
}

function owningTpm(transport: Transport, attester: TpmAttester): OpenedAttester {
  return {
    ...owning(transport, attester),
    openCredential: (credential) => attester.openCredential(credential),
  };
}

/** Where an image is measured, as systemd-stub does. */
const SOFT_IMAGE_PCR = 11;

/** PCR 11 of a soft TPM that measured this image: its reference value, in hexadecimal. */
export function softImageValue(image: string): string {
  return createHash("sha256").update(Buffer.alloc(32)).update(sha256(image)).digest("hex");
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
