import { ServiceError } from "@redoubt/base";
import { DRILL_AUDIENCE } from "@redoubt/registry";
import type { IssueRequest } from "@redoubt/wire";

const DRILL_CLIENT = "redoubt-drill";

/** A drill has a socket of its own: tokens for the drill audience, and records of keys that it made. */
export function isDrillCaller(caller: string): boolean {
  return caller === "drill";
}

/** Nobody but a drill has tokens for it, whatever a registry says of tenants and clients. */
export function isDrillAudience(audience: string): boolean {
  return audience === DRILL_AUDIENCE;
}

/** The drill socket reaches no relying party but those that accept the drill audience. */
export function checkDrillRequest({ client, audience }: IssueRequest): void {
  if (client !== DRILL_CLIENT)
    throw new ServiceError("ERR_SIGNER_CLIENT", `A drill's client is ${DRILL_CLIENT}`);
  if (!isDrillAudience(audience))
    throw new ServiceError("ERR_SIGNER_AUDIENCE", `A drill's audience is ${DRILL_AUDIENCE}`);
}
