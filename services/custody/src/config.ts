import { ConfigReader, REALM } from "@redoubt/base";
import { type CustodyConfig, parseCustodyConfig } from "@redoubt/custody";
import type { GrantLog } from "@redoubt/lease";
import { parseVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";

export interface GatewayConfig {
  readonly realm: string;
  /** The one caller: the realm's signer, which the broker knows by the same name. */
  readonly signer: string;
  /** The broker's log. */
  readonly log: GrantLog;
  readonly custody: CustodyConfig;
}

const ORIGIN = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;
const CALLER = /^signer-[a-z0-9-]{1,32}$/;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(json: JsonObject | Uint8Array): GatewayConfig {
  const config = new ConfigReader(json, "custody config");
  return config.finish<GatewayConfig>({
    realm: config.attempt((from) => from.string("realm", 32, REALM)),
    signer: config.attempt((from) => from.string("signer", 64, CALLER)),
    log: config.attempt((from) => readGrantLog(from.object("log"))),
    custody: config.attempt((from) => parseCustodyConfig(from.rawObject("custody"))),
  });
}

function readGrantLog(from: {
  string(name: string, max?: number, pattern?: RegExp): string;
  done(): void;
}): GrantLog {
  const origin = from.string("origin", 256, ORIGIN);
  const [logKey, writerKey] = (["key", "writer"] as const).map((name) =>
    parseVerifierKey(from.string(name)),
  );
  from.done();
  if (
    logKey?.name !== origin ||
    writerKey?.name !== `${origin}/writer` ||
    logKey.type !== SIGNATURE_TYPE.ed25519 ||
    writerKey.type !== SIGNATURE_TYPE.ed25519
  )
    throw new RangeError("custody config: log: keys must be Ed25519 and named as the log");
  return { origin, logKey, writerKey };
}
