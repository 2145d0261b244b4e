import type { Claims } from "../claims.ts";
import type { SnpTcb } from "./tcb.ts";
import { snpTcbText } from "./tcb.ts";
import type { VerifiedSnp } from "./verify-snp.ts";

/** What a verified report proves, under `snp.` in a policy. Digests and identifiers are lower-case hexadecimal. */
export function snpClaims(verified: VerifiedSnp): Claims {
  const { report, product, reportedTcb, committedTcb, currentTcb, endorsement } = verified;
  const { policy, platform, firmware } = report;
  return {
    product,
    "report-version": report.version,
    "signing-key": report.signingKey,
    "guest-svn": report.guestSvn,
    vmpl: report.vmpl,
    "is-debuggable": policy.isDebuggable,
    "migration-allowed": policy.allowsMigration,
    "smt-allowed": policy.allowsSmt,
    "single-socket": policy.isSingleSocket,
    "smt-enabled": platform.hasSmt,
    "tsme-enabled": platform.hasTsme,
    "ecc-enabled": platform.hasEcc,
    "alias-check-complete": platform.isAliasCheckComplete,
    measurement: hex(report.measurement),
    "report-data": hex(report.reportData),
    "host-data": hex(report.hostData),
    "family-id": hex(report.familyId),
    "image-id": hex(report.imageId),
    "id-key-digest": hex(report.idKeyDigest),
    "author-key-enabled": report.hasAuthorKey,
    "author-key-digest": hex(report.authorKeyDigest),
    "report-id": hex(report.reportId),
    // A VLEK is of a cloud, not of a chip: then the report alone speaks of one, and a host may have masked it.
    ...(endorsement.hardwareId === undefined ? {} : { "chip-id": hex(endorsement.hardwareId) }),
    "firmware-major": firmware.major,
    "firmware-minor": firmware.minor,
    "firmware-build": firmware.build,
    tcb: tcbClaims(reportedTcb),
    "committed-tcb": tcbClaims(committedTcb),
    "current-tcb": tcbClaims(currentTcb),
    "reported-is-committed": snpTcbText(reportedTcb) === snpTcbText(committedTcb),
  };
}

function tcbClaims({ fmc, bootloader, tee, snp, microcode }: SnpTcb): Claims {
  return { ...(fmc === undefined ? {} : { fmc }), bootloader, tee, snp, microcode };
}

function hex(bytes: Buffer): string {
  return bytes.toString("hex");
}
