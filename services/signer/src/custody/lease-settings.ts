import { configError, type MemberReader } from "@redoubt/base";
import { CUSTODY_LABELS, type CustodyLabel } from "@redoubt/custody";
import { type GrantLog, readGrantLog } from "@redoubt/lease";
import type { JsonObject } from "@redoubt/verify/json";

/** Keys that a gateway holds: the signer uses them with a lease (docs/spec/leases.md §5). */
export interface GatewayCustody {
  readonly kind: "gateway";
  /** What the gateway holds them in. */
  readonly holds: CustodyLabel;
}

export interface LeaseSettings {
  /** The broker's log. */
  readonly log: GrantLog;
  /** What vouches for this machine; read by whoever opens it. */
  readonly attester: JsonObject;
}

export function isGateway(settings: JsonObject): boolean {
  return settings["kind"] === "gateway";
}

/** @throws ServiceError `ERR_CONFIG`, `ERR_REQUEST_MEMBER` */
export function readGateway(from: MemberReader): GatewayCustody {
  from.oneOf("kind", ["gateway"]);
  const holds = from.oneOf("holds", CUSTODY_LABELS);
  from.done();
  return { kind: "gateway", holds };
}

/** @throws ServiceError `ERR_CONFIG`, `ERR_REQUEST_MEMBER` for a custody that needs a lease, without one */
export function readLease(from: MemberReader): LeaseSettings | null {
  if (!from.has("lease")) {
    if (from.has("custody") && isGateway(from.rawObject("custody")))
      throw configError("signer config: custody gateway needs lease");
    return null;
  }
  const lease = from.object("lease");
  const settings = {
    log: readGrantLog(lease.object("log")),
    attester: lease.rawObject("attester"),
  };
  lease.done();
  return settings;
}
