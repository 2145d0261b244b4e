import type { Claims } from "../claims.ts";
import type { TcbVerdict } from "./tcb-status.ts";
import type { VerifiedTdx } from "./verify-tdx.ts";

/** TD_ATTRIBUTES, TUD group: bit 0 is DEBUG; the seven after it are reserved for the same purpose. */
const DEBUG_BYTE = 0;

/** What a verified quote proves, under `tdx.` in a policy. Digests and identifiers are lower-case hexadecimal. */
export function tdxClaims({ quote, pck, tcb, collateralExpires }: VerifiedTdx): Claims {
  const { body } = quote;
  return {
    "quote-version": quote.version,
    "is-debuggable": body.tdAttributes[DEBUG_BYTE] !== 0,
    "td-attributes": hex(body.tdAttributes),
    xfam: hex(body.xfam),
    mrtd: hex(body.mrTd),
    rtmrs: Object.fromEntries(body.rtmrs.map((value, i) => [String(i), hex(value)])),
    "mr-config-id": hex(body.mrConfigId),
    "mr-owner": hex(body.mrOwner),
    "mr-owner-config": hex(body.mrOwnerConfig),
    "mr-seam": hex(body.mrSeam),
    ...(body.mrServiceTd === undefined ? {} : { "mr-service-td": hex(body.mrServiceTd) }),
    "report-data": hex(body.reportData),
    ppid: hex(pck.ppid),
    fmspc: pck.fmspc,
    ...verdictClaims(tcb, "tcb"),
    ...verdictClaims(tcb.platform, "platform-tcb"),
    ...(tcb.module === undefined ? {} : verdictClaims(tcb.module, "module-tcb")),
    ...verdictClaims(tcb.quotingEnclave, "qe-tcb"),
    "tcb-evaluation": tcb.evaluation,
    "collateral-expires": new Date(collateralExpires).toISOString(),
  };
}

function verdictClaims({ status, date, advisoryIds }: TcbVerdict, name: string): Claims {
  return {
    [`${name}-status`]: status,
    [`${name}-date`]: new Date(date).toISOString(),
    ...(name === "tcb" ? { "advisory-ids": advisoryIds } : {}),
  };
}

function hex(bytes: Buffer): string {
  return bytes.toString("hex");
}
