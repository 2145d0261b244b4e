import type { KeyObject } from "node:crypto";
import { configError, ConfigReader, type MemberReader, REALM } from "@redoubt/base";
import { parsePublicArea, type TpmPlatform } from "@redoubt/evidence";
import { publicKeyOf } from "@redoubt/lease";
import { parseVerifierKey, SIGNATURE_TYPE, type VerifierKey } from "@redoubt/tlog";
import { decodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import type { EnrolledTpm } from "./granting.ts";

/** Whose leases are granted to whom. */
export interface RealmConfig {
  readonly realm: string;
  /** The caller. */
  readonly signer: string;
}

export interface BrokerConfig {
  readonly realms: readonly RealmConfig[];
  /** The broker's own log. */
  readonly log: { readonly origin: string; readonly logKey: VerifierKey };
  /** Origin of the registry. */
  readonly registry: string;
  readonly witness: VerifierKey;
  readonly release: { readonly keys: readonly KeyObject[]; readonly threshold: number };
  readonly image: string;
  readonly leaseSeconds: number;
  readonly nonceSeconds: number;
  readonly enrolled: readonly EnrolledTpm[];
}

const ORIGIN = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;
const SIGNER = /^signer-[a-z0-9-]{1,32}$/;
const REFERENCE = /^[a-z0-9][a-z0-9._@/-]{0,127}$/;
const AK_NAME = /^000[bc](?:[0-9a-f]{2}){32,48}$/;
const TPMS: readonly TpmPlatform[] = ["tpm2", "swtpm", "soft"];
const MAX_REALMS = 64;
const MAX_ENROLLED = 1024;
const MAX_KEYS = 16;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(json: JsonObject | Uint8Array): BrokerConfig {
  const config = new ConfigReader(json, "broker config");
  return config.finish<BrokerConfig>({
    realms: config.attempt((from) => from.objects("realms", MAX_REALMS).map(readRealm)),
    log: config.attempt((from) => readLog(from.object("log"))),
    registry: config.attempt((from) => from.string("registry", 256, ORIGIN)),
    witness: config.attempt((from) => parseVerifierKey(from.string("witness"))),
    release: config.attempt((from) => readRelease(from.object("release"))),
    image: config.attempt((from) => from.string("image", 128, REFERENCE)),
    leaseSeconds: config.attempt((from) => from.integer("leaseSeconds", 2, 900)),
    nonceSeconds: config.attempt((from) => from.integer("nonceSeconds", 1, 300)),
    enrolled: config.attempt((from) => from.objects("enrolled", MAX_ENROLLED).map(readEnrolled)),
  });
}

function readRealm(reader: MemberReader): RealmConfig {
  const realm = reader.string("realm", 32, REALM);
  const signer = reader.string("signer", 64, SIGNER);
  reader.done();
  return { realm, signer };
}

function readLog(reader: MemberReader): BrokerConfig["log"] {
  const origin = reader.string("origin", 256, ORIGIN);
  const logKey = parseVerifierKey(reader.string("key"));
  reader.done();
  if (logKey.name !== origin || logKey.type !== SIGNATURE_TYPE.ed25519)
    throw configError("broker config: log: the key must be Ed25519 and named as the log");
  return { origin, logKey };
}

function readRelease(reader: MemberReader): BrokerConfig["release"] {
  const keys = reader
    .strings("keys", MAX_KEYS)
    .map((raw) => decodeBase64url(raw, { bytes: 32 }))
    .map((raw) => publicKeyOf(raw, "Ed25519"));
  const threshold = reader.integer("threshold", 1, MAX_KEYS);
  reader.done();
  if (threshold > keys.length)
    throw configError("broker config: release: threshold is above the number of keys");
  return { keys, threshold };
}

function readEnrolled(reader: MemberReader): EnrolledTpm {
  const signer = reader.string("signer", 64, SIGNER);
  const platform = reader.oneOf("platform", TPMS);
  const akName = reader.string("akName", 100, AK_NAME);
  const ek = parsePublicArea(decodeBase64url(reader.string("ek", 1024), { maxBytes: 768 }));
  reader.done();
  return { signer, platform, akName, ek };
}
