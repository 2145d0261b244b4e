import type { MemberReader } from "@redoubt/base";
import {
  type CustodyConfig,
  type CustodyLabel,
  type CustodyLaunch,
  custodyLaunch as launchOf,
  custodyLabel as labelOf,
  type CustodyNeeds,
  parseCustodyConfig,
  PLAIN_FILES,
} from "@redoubt/custody";
import { type GatewayCustody, isGateway, readGateway } from "./lease-settings.ts";

export interface CustodySettings {
  readonly custody: CustodyConfig | GatewayCustody;
  readonly custodyNeeds: CustodyNeeds;
}

/** @throws ServiceError `ERR_CONFIG` */
export function readCustody(from: MemberReader): CustodyConfig | GatewayCustody {
  if (!from.has("custody")) return PLAIN_FILES;
  const settings = from.rawObject("custody");
  return isGateway(settings) ? readGateway(from.object("custody")) : parseCustodyConfig(settings);
}

/** How key records and `status` name this custody. */
export function custodyLabel(custody: CustodyConfig | GatewayCustody): CustodyLabel {
  return custody.kind === "gateway" ? custody.holds : labelOf(custody);
}

/** What a launcher gives the signer's process for its custody: nothing, where a gateway holds the keys. */
export function custodyLaunch(
  { custody, custodyNeeds }: CustodySettings,
  root: string,
): CustodyLaunch {
  return custody.kind === "gateway"
    ? { environment: {}, reads: [], addons: false }
    : launchOf({ custody, custodyNeeds }, root);
}
