import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { configError, MemberReader, readPrivateFile } from "@redoubt/base";
import {
  connectTpmSocket,
  createSoftTpm,
  extendPcr,
  openTpmDevice,
  type Transport,
} from "@redoubt/evidence";
import { decodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import { type Attester, TpmAttester } from "./attester.ts";

const KINDS = ["soft", "tpm"] as const;
const PATH = /^[^\0]+$/;
const MAX_PATH = 4096;
const SEED_BYTES = 32;

export type OpenedAttester = Attester & AsyncDisposable;

/**
 * Opens what a signer's configuration says vouches for its machine.
 *
 * - `{"kind":"soft","seedFile":"…"}`: a TPM in this process, for one machine without hardware; the 0600 file holds 32
 *   bytes in base64url. It proves nothing about the machine.
 * - `{"kind":"tpm","platform":"tpm2"|"swtpm","device":"/dev/tpmrm0"}`, or `socket` in place of `device`, and
 *   `eventLog`, `userspaceLog`: files that are read each time.
 *
 * @param image what runs: a soft TPM measures it in place of firmware
 * @throws ServiceError `ERR_CONFIG`, `ERR_FILE_*`; EvidenceError `ERR_TPM_TRANSPORT`
 */
export async function openAttester(settings: JsonObject, image: string): Promise<OpenedAttester> {
  const from = new MemberReader(settings, "attester");
  return from.oneOf("kind", KINDS) === "soft" ? openSoft(from, image) : openTpm(from);
}

async function openSoft(from: MemberReader, image: string): Promise<OpenedAttester> {
  const seedFile = from.string("seedFile", MAX_PATH, PATH);
  from.done();
  const text = readPrivateFile(seedFile, 64).toString("latin1").trim();
  const transport = createSoftTpm({ seed: decodeBase64url(text, { bytes: SEED_BYTES }) });
  // What firmware and loader would do.
  await extendPcr(transport, 0, "sha256", sha256("redoubt soft boot"));
  await extendPcr(transport, SOFT_IMAGE_PCR, "sha256", sha256(image));
  return owning(transport, new TpmAttester({ transport, platform: "soft" }));
}

async function openTpm(from: MemberReader): Promise<OpenedAttester> {
  const platform = from.oneOf("platform", ["tpm2", "swtpm"]);
  if (from.has("device") === from.has("socket"))
    throw configError("attester: one of device and socket must be there");
  const device = from.optionalString("device", MAX_PATH, PATH);
  const socket = from.optionalString("socket", MAX_PATH, PATH);
  const [eventLog, userspaceLog] = (["eventLog", "userspaceLog"] as const).map((name) =>
    from.optionalString(name, MAX_PATH, PATH),
  );
  from.done();
  const transport =
    device === undefined ? await connectTpmSocket(socket ?? "") : await openTpmDevice(device);
  const attester = new TpmAttester({
    transport,
    platform,
    ...(eventLog !== undefined && { eventLog: () => readFile(eventLog) }),
    ...(userspaceLog !== undefined && { userspaceLog: () => readFile(userspaceLog) }),
  });
  return owning(transport, attester);
}

function owning(transport: Transport, attester: TpmAttester): OpenedAttester {
  return {
    evidence: (data) => attester.evidence(data),
    openCredential: (credential) => attester.openCredential(credential),
    [Symbol.asyncDispose]: () => transport.close(),
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
