import type { TpmPlatform } from "@redoubt/evidence";
import { optionError } from "../command.ts";

const PLATFORMS: readonly TpmPlatform[] = ["tpm2", "swtpm", "soft"];

/** `--enrolled`: the TPM name of an attestation key, and what was found behind it. */
export function parseEnrolled(text: string): readonly [string, TpmPlatform] {
  const [kind, name = "", ...rest] = text.split(":");
  const platform = PLATFORMS.find((one) => one === kind);
  if (platform === undefined || rest.length > 0 || !/^[0-9a-f]{8,140}$/.test(name))
    throw optionError(
      "--enrolled is tpm2:<name>, swtpm:<name> or soft:<name> of an attestation key",
    );
  return [name, platform];
}
