/** What an operator does about a claim that good machines fail, too. */
const HINTS: ReadonlyMap<string, string> = new Map([
  [
    "snp.alias-check-complete",
    "AMD-SB-3015: the host's BIOS must be updated and the host restarted, or the firmware's check has not run",
  ],
  [
    "snp.reported-is-committed",
    "the host reports another firmware than it has committed: SNP_COMMIT after a firmware update",
  ],
  [
    "snp.product",
    "Milan's endorsement key can be extracted by software: allow it for a while only, with `until`",
  ],
  [
    "tdx.tcb-status",
    "Intel has newer firmware for this platform, or the collateral is older than the platform",
  ],
  [
    "event-log.secure-boot",
    "turn Secure Boot on in the firmware's setup, or in the VM's security profile",
  ],
]);

export function hintFor(claim: string): string | undefined {
  return HINTS.get(claim);
}
