import { callerPattern, configError, ConfigReader, type MemberReader } from "@redoubt/base";
import { readHttpPlaces, type HttpPlaces } from "@redoubt/http";
import { ORIGIN, RP_ID } from "@redoubt/presence";
import type { JsonObject } from "@redoubt/verify/json";

export interface PresenceConfig {
  readonly http: HttpPlaces;
  /** Of the passkeys: the same as where people sign in. */
  readonly rpId: string;
  /** Of this page, and of nothing else (THREAT-20). */
  readonly origin: string;
  /** Who may have statements shown. */
  readonly callers: readonly string[];
}

const CALLER = callerPattern(["operator"], ["issuer"]);
const MAX_CALLERS = 64;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(json: JsonObject | Uint8Array): PresenceConfig {
  const config = new ConfigReader(json, "presence config");
  const place = config.attempt((from) => readPlace(from));
  return config.finish<PresenceConfig>({
    http: config.attempt((from) => readHttpPlaces(from.object("http"))),
    rpId: place?.rpId,
    origin: place?.origin,
    callers: config.attempt((from) => readCallers(from)),
  });
}

function readPlace(reader: MemberReader): Pick<PresenceConfig, "rpId" | "origin"> {
  const rpId = reader.string("rpId", 253, RP_ID);
  const origin = reader.string("origin", 270, ORIGIN);
  const { hostname } = new URL(origin);
  // WebAuthn §5.1.4: a browser refuses another RP ID, and nobody could ever approve anything.
  if (hostname !== rpId && !hostname.endsWith(`.${rpId}`))
    throw configError("presence config: rpId must be the host of origin, or end it");
  return { rpId, origin };
}

function readCallers(reader: MemberReader): readonly string[] {
  const callers = reader.strings("callers", MAX_CALLERS, 64);
  if (callers.length === 0 || !callers.every((caller) => CALLER.test(caller)))
    throw configError("presence config: callers must be operator, or issuers such as issuer-main");
  return callers;
}
