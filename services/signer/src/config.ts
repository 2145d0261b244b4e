import { errorLine, MemberReader, ServiceError } from "@redoubt/base";
import { SIGNATURE_ALGORITHMS, type LifeCyclePolicy, type SignatureAlgorithm } from "@redoubt/keys";
import {
  parseVerifierKey,
  SIGNATURE_TYPE,
  type SignatureType,
  type VerifierKey,
} from "@redoubt/tlog";
import {
  isJsonObject,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "@redoubt/verify/json";

/** One ring: which keys this signer makes and keeps, and what they may sign. */
export interface RingPolicy extends LifeCyclePolicy {
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
  readonly log: string;
  readonly callers: readonly string[];
  readonly registry: { readonly log: string; readonly key: VerifierKey };
  readonly operator: VerifierKey;
  readonly witness: VerifierKey;
  readonly maxUnwitnessedSeconds: number;
  readonly rings: readonly RingPolicy[];
  readonly budget: BudgetPolicy;
  readonly labels: readonly string[];
}

const DAY = 86_400;
const ORIGIN = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;
/** docs/spec/wire.md §1. */
const CALLERS: readonly string[] = ["issuer", "drill", "operator"];
/** What a verifier's clock may be off: a key is published this much longer than its tokens live. */
const SKEW_SECONDS = 60;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(json: Uint8Array | JsonObject): SignerConfig {
  const problems = new Problems();
  const { attempt } = problems;
  const reader = new MemberReader(
    json instanceof Uint8Array ? readObject(json) : json,
    "signer config",
  );
  const config = {
    v: attempt(() => reader.integer("v", 1, 1)),
    realm: attempt(() => reader.string("realm", 32, /^[a-z][a-z0-9-]{0,31}$/)),
    instance: attempt(() => reader.string("instance", 64, /^[a-z0-9-]+$/)),
    log: attempt(() => reader.string("log", 256, ORIGIN)),
    callers: attempt(() => readCallers(reader)),
    registry: attempt(() => readRegistry(reader.object("registry"))),
    operator: attempt(() => readKey(reader, "operator", SIGNATURE_TYPE.ed25519)),
    witness: attempt(() => readKey(reader, "witness", SIGNATURE_TYPE.cosignature)),
    maxUnwitnessedSeconds: attempt(() => reader.integer("maxUnwitnessedSeconds", 60, 900)),
    rings: readRings(reader, problems),
    budget: readBudget(reader, problems),
    labels: attempt(() => reader.strings("labels", 16, 64)),
  };
  attempt(() => reader.done());
  attempt(() => {
    if (config.registry && config.registry.log === config.log)
      throw problem("log must not be the registry");
  });
  if (problems.found.length > 0 || !isComplete(config))
    throw new ServiceError("ERR_CONFIG", problems.found.join("; "));
  const { v: _, ...read } = config;
  return read;
}

/** Reads on after a problem, so that the operator hears of all of them at once. */
class Problems {
  readonly found: string[] = [];
  readonly attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      this.found.push(errorLine(error));
      return undefined;
    }
  };
}

type Partly<T> = { readonly [K in keyof T]: T[K] | undefined };
type Parsed = SignerConfig & { readonly v: number };

function isComplete(read: Partly<Parsed>): read is Parsed {
  return Object.values(read).every((value) => value !== undefined);
}

function readObject(bytes: Uint8Array): JsonObject {
  try {
    return parseJsonObject(bytes, { maxDepth: 8 });
  } catch (cause) {
    throw new ServiceError("ERR_CONFIG", "signer config: not strict JSON", { cause });
  }
}

function readCallers(reader: MemberReader): readonly string[] {
  const callers = reader.strings("callers", CALLERS.length, 64);
  if (!callers.every((caller) => CALLERS.includes(caller)) || new Set(callers).size === 0)
    throw problem(`callers must be some of ${CALLERS.join(", ")}`);
  if (new Set(callers).size !== callers.length) throw problem("callers must be distinct");
  return callers;
}

function readRegistry(reader: MemberReader): SignerConfig["registry"] {
  const log = reader.string("log", 256, ORIGIN);
  const key = readKey(reader, "key", SIGNATURE_TYPE.ed25519);
  reader.done();
  if (key.name !== log) throw problem(`registry key must be named ${log}`);
  return { log, key };
}

/** A witness key is no log key: one that signs both could vouch for itself. */
function readKey(reader: MemberReader, name: string, type: SignatureType): VerifierKey {
  const key = parseVerifierKey(reader.string(name, 512));
  if (key.type !== type) throw problem(`${name} must be a verifier key of type ${type}`);
  return key;
}

function readRings(reader: MemberReader, { attempt }: Problems): RingPolicy[] | undefined {
  const values = attempt(() => reader.array("rings", 2));
  const rings = values?.map((value, place) => attempt(() => readRing(value, `rings[${place}]`)));
  attempt(() => {
    if (values?.length === 0) throw problem("rings must name one ring at least");
    const classes = rings?.flatMap((ring) => (ring ? [ring.class] : [])) ?? [];
    // Two policies over one set of keys would undo each other's steps.
    if (new Set(classes).size !== classes.length) throw problem("rings must differ in class");
  });
  return rings?.filter((ring) => ring !== undefined);
}

function readRing(value: JsonValue, what: string): RingPolicy {
  if (!isJsonObject(value)) throw problem(`${what} must be an object`);
  const reader = new MemberReader(value, what);
  const ring: RingPolicy = {
    class: reader.oneOf("class", ["at", "oidc"]),
    alg: reader.oneOf("alg", SIGNATURE_ALGORITHMS),
    maxLifetimeSeconds: reader.integer("maxLifetimeSeconds", 60, 3600),
    // ARCHITECTURE §3: twice the longest metadata cache (1 h), at least 2 h.
    prepublishSeconds: reader.integer("prepublishSeconds", 7200, 30 * DAY),
    activeSeconds: reader.integer("activeSeconds", 3600, 14 * DAY),
    verifyOnlySeconds: reader.integer("verifyOnlySeconds", 120, 30 * DAY),
  };
  reader.done();
  // P6: a key stays published until the last token that it signed has ended everywhere.
  if (ring.verifyOnlySeconds < ring.maxLifetimeSeconds + SKEW_SECONDS)
    throw problem(
      `${what}: verifyOnlySeconds must be maxLifetimeSeconds + ${SKEW_SECONDS} at least`,
    );
  return ring;
}

function readBudget(reader: MemberReader, { attempt }: Problems): BudgetPolicy | undefined {
  const budget = attempt(() => reader.object("budget"));
  const perSecond = attempt(() => budget?.integer("perSecond", 1, 1_000_000));
  const burst = attempt(() => budget?.integer("burst", 1, 1_000_000));
  attempt(() => budget?.done());
  return perSecond === undefined || burst === undefined ? undefined : { perSecond, burst };
}

function problem(message: string): ServiceError {
  return new ServiceError("ERR_CONFIG", `signer config: ${message}`);
}
