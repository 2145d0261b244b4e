import { ConfigReader, REALM } from "@redoubt/base";
import {
  type CustodyConfig,
  type CustodyNeeds,
  parseCustodyConfig,
  readCustodyNeeds,
} from "@redoubt/custody";
import { type GrantLog, readGrantLog } from "@redoubt/lease";
import type { JsonObject } from "@redoubt/verify/json";

export interface GatewayConfig {
  readonly realm: string;
  /** The one caller: the realm's signer, which the broker knows by the same name. */
  readonly signer: string;
  /** The broker's log. */
  readonly log: GrantLog;
  readonly custody: CustodyConfig;
  readonly custodyNeeds: CustodyNeeds;
}

const CALLER = /^signer-[a-z0-9-]{1,32}$/;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(json: JsonObject | Uint8Array): GatewayConfig {
  const config = new ConfigReader(json, "custody config");
  return config.finish<GatewayConfig>({
    realm: config.attempt((from) => from.string("realm", 32, REALM)),
    signer: config.attempt((from) => from.string("signer", 64, CALLER)),
    log: config.attempt((from) => readGrantLog(from.object("log"))),
    custody: config.attempt((from) => parseCustodyConfig(from.rawObject("custody"))),
    custodyNeeds: config.attempt(readCustodyNeeds),
  });
}
