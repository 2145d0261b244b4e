import { ConfigReader, REALM } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";

export interface KubeFrontConfig {
  /** The cluster's realm: its signer is asked, and no other. */
  readonly realm: string;
}

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(json: Uint8Array | JsonObject): KubeFrontConfig {
  const config = new ConfigReader(json, "config");
  return config.finish<KubeFrontConfig>({
    realm: config.attempt((from) => from.string("realm", 32, REALM)),
  });
}
