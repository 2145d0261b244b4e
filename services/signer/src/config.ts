import { configError, ConfigReader, MemberReader, type ServiceError, REALM } from "@redoubt/base";
import { type CustodyConfig, type CustodyNeeds, readCustodyNeeds } from "@redoubt/custody";
import {
  KeyError,
  parseRotationPolicy,
  SIGNATURE_ALGORITHMS,
  type RotationPolicy,
  type RotationSubject,
  type SignatureAlgorithm,
} from "@redoubt/keys";
import { readPinnedRegistry } from "@redoubt/registry";
import {
  parseVerifierKey,
  SIGNATURE_TYPE,
  type SignatureType,
  type VerifierKey,
} from "@redoubt/tlog";
import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { readCustody } from "./custody/custody-settings.ts";
import { type GatewayCustody, type LeaseSettings, readLease } from "./custody/lease-settings.ts";
import {
  checkKubernetes,
  KUBE_FRONT,
  kubernetesLabels,
  readKubernetes,
  type KubernetesPolicy,
} from "./kubernetes/config.ts";

/** One ring: which keys this signer makes and keeps, and what they may sign. */
export interface RingPolicy extends RotationPolicy {
  readonly class: "at" | "oidc";
  readonly alg: SignatureAlgorithm;
  readonly maxLifetimeSeconds: number;
}

export interface BudgetPolicy {
  /** Tokens per second for each (caller, tenant, client). */
  readonly perSecond: number;
  readonly burst: number;
}

export interface SignerConfig {
  readonly realm: string;
  readonly instance: string;
  /** Origin of this instance's issuance log. */
  readonly origin: string;
  readonly callers: readonly string[];
  readonly registry: { readonly origin: string; readonly key: VerifierKey };
  readonly operator: VerifierKey;
  readonly witness: VerifierKey;
  readonly maxUnwitnessedSeconds: number;
  readonly rings: readonly RingPolicy[];
  readonly budget: BudgetPolicy;
  readonly labels: readonly string[];
  /** Where private keys are. */
  readonly custody: CustodyConfig | GatewayCustody;
  /** How this signer gets the right to use them; null where nobody asks it to. */
  readonly lease: LeaseSettings | null;
  readonly custodyNeeds: CustodyNeeds;
  /** The cluster that this realm is for; null for every other realm. */
  readonly kubernetes: KubernetesPolicy | null;
}

const ORIGIN = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;
/** docs/spec/wire.md §1. */
const CALLERS: readonly string[] = ["issuer", "drill", "operator", KUBE_FRONT];
/** ARCHITECTURE §3.4: tokens live an hour at most. */
const MAX_LIFETIME_SECONDS = 3600;
/** kube-apiserver asks for 3607 s for each pod by itself, and warns whoever asks where it gets less. */
const MAX_CLUSTER_SECONDS = 3660;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(json: Uint8Array | JsonObject): SignerConfig {
  const config = new ConfigReader(json, "signer config");
  const origin = config.attempt((from) => from.string("log", 256, ORIGIN));
  const registry = config.attempt((from) => readRegistry(from.object("registry")));
  config.attempt(() => {
    if (registry && registry.origin === origin) throw problem("log must not be the registry");
  });
  const callers = config.attempt(readCallers);
  const kubernetes = config.attempt(readKubernetes);
  const rings = readRings(config, kubernetes ? MAX_CLUSTER_SECONDS : MAX_LIFETIME_SECONDS);
  config.attempt(() => {
    if (kubernetes && rings && callers) checkKubernetes({ rings, callers });
    // Without a cluster there is no handle that it could have anything signed for.
    if (kubernetes === null && callers?.includes(KUBE_FRONT))
      throw problem(`callers must not name ${KUBE_FRONT} without kubernetes`);
  });
  return config.finish<SignerConfig>({
    realm: config.attempt((from) => from.string("realm", 32, REALM)),
    instance: config.attempt((from) => from.string("instance", 64, /^[a-z0-9-]+$/)),
    origin,
    callers,
    registry,
    operator: config.attempt((from) => readKey(from, "operator", SIGNATURE_TYPE.ed25519)),
    witness: config.attempt((from) => readKey(from, "witness", SIGNATURE_TYPE.cosignature)),
    maxUnwitnessedSeconds: config.attempt((from) => from.integer("maxUnwitnessedSeconds", 60, 900)),
    rings,
    budget: readBudget(config),
    labels: config.attempt((from) => [
      ...from.strings("labels", 16, 64),
      ...kubernetesLabels(kubernetes ?? null),
    ]),
    custody: config.attempt(readCustody),
    lease: config.attempt(readLease),
    custodyNeeds: config.attempt(readCustodyNeeds),
    kubernetes,
  });
}

function readCallers(reader: MemberReader): readonly string[] {
  const callers = reader.strings("callers", CALLERS.length, 64);
  if (!callers.every((caller) => CALLERS.includes(caller)) || new Set(callers).size === 0)
    throw problem(`callers must be some of ${CALLERS.join(", ")}`);
  if (new Set(callers).size !== callers.length) throw problem("callers must be distinct");
  return callers;
}

function readRegistry(reader: MemberReader): SignerConfig["registry"] {
  const { log, vkey } = readPinnedRegistry(reader);
  return { origin: log, key: vkey };
}

/** `type` keeps witness and log keys apart: with one key for both, a log could vouch for itself. */
function readKey(reader: MemberReader, name: string, type: SignatureType): VerifierKey {
  const key = parseVerifierKey(reader.string(name, 512));
  if (key.type !== type) throw problem(`${name} must be a verifier key of type ${type}`);
  return key;
}

function readRings(config: ConfigReader, maxSeconds: number): RingPolicy[] | undefined {
  const values = config.attempt((from) => from.array("rings", 2));
  const rings = values?.map((value, i) =>
    config.attempt(() => readRing(value, `rings[${i}]`, maxSeconds)),
  );
  config.attempt(() => {
    if (values?.length === 0) throw problem("rings must name one ring at least");
    const classes = rings?.flatMap((ring) => (ring ? [ring.class] : [])) ?? [];
    // Two policies over one set of keys would undo each other's steps.
    if (new Set(classes).size !== classes.length) throw problem("rings must differ in class");
  });
  return rings?.filter((ring) => ring !== undefined);
}

function readRing(value: JsonValue, what: string, maxSeconds: number): RingPolicy {
  if (!isJsonObject(value)) throw problem(`${what} must be an object`);
  const reader = new MemberReader(value, what);
  const ring = {
    class: reader.oneOf("class", ["at", "oidc"]),
    alg: reader.oneOf("alg", SIGNATURE_ALGORITHMS),
    maxLifetimeSeconds: reader.integer("maxLifetimeSeconds", 60, maxSeconds),
  };
  const rotation = reader.has("rotation") ? reader.rawObject("rotation") : {};
  reader.done();
  // "many": a key of this signer is for every tenant of its realm, and the consumer realm's one tenant is everybody.
  const subject = { tenants: "many", maxLifetimeSeconds: ring.maxLifetimeSeconds } as const;
  return { ...ring, ...readRotation(rotation, subject, what) };
}

function readRotation(json: JsonObject, subject: RotationSubject, what: string): RotationPolicy {
  try {
    return parseRotationPolicy(json, subject);
  } catch (error) {
    if (error instanceof KeyError) throw problem(`${what}: ${error.message}`);
    throw error;
  }
}

function readBudget(config: ConfigReader): BudgetPolicy | undefined {
  const budget = config.attempt((from) => from.object("budget"));
  const perSecond = config.attempt(() => budget?.integer("perSecond", 1, 1_000_000));
  const burst = config.attempt(() => budget?.integer("burst", 1, 1_000_000));
  config.attempt(() => budget?.done());
  return perSecond === undefined || burst === undefined ? undefined : { perSecond, burst };
}

function problem(message: string): ServiceError {
  return configError(`signer config: ${message}`);
}
