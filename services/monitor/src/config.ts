import {
  configError,
  ConfigReader,
  type MemberReader,
  Secret,
  type ServiceError,
  callerPattern,
} from "@redoubt/base";
import { readHttpPlaces, type HttpPlaces } from "@redoubt/http";
import { readEd25519Key, readPinnedRegistry, type PinnedRegistry } from "@redoubt/registry";
import type { VerifierKey } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import { FIRST_KEYS, type KeyNumbers } from "./initialise.ts";
import type { WebhookTarget } from "./alarms/webhook.ts";

export interface Config {
  readonly http: HttpPlaces;
  readonly registry: PinnedRegistry;
  readonly operator: VerifierKey;
  readonly keyNumbers: KeyNumbers;
  readonly callers: readonly string[];
  /** Where the publisher is reached; the path of an issuer follows it. */
  readonly publisherUrl: string;
  readonly webhook?: WebhookTarget;
}

/**
 * Who receives tokens from a realm's signer, and reports what was delivered: an issuer, or a cluster's front on behalf
 * of kube-apiserver. A drill receives them on a socket of its own (docs/spec/wire.md §1). To the monitor it is an
 * issuer with another name, and that is all that the monitor knows of drills: a drill's key is a key of the registry
 * like another, and what it signs is judged like anything else.
 */
export const RECEIVERS: readonly string[] = ["issuer", "drill", "kube-front"];
const CALLER = callerPattern(["operator", "broker"], [...RECEIVERS, "signer"]);
const WEBHOOK_SECRET = /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/;

/** Reads the whole configuration and reports everything that is wrong with it at once. */
export function parseConfig(json: JsonObject | Uint8Array): Config {
  const config = new ConfigReader(json, "config");
  const webhook = config.attempt((from) =>
    from.has("webhook") ? readWebhook(from.object("webhook")) : undefined,
  );
  const whole = config.finish<Omit<Config, "webhook">>({
    http: config.attempt((from) => readHttpPlaces(from.object("http"))),
    registry: config.attempt((from) => readPinnedRegistry(from.object("registry"))),
    operator: config.attempt((from) => readEd25519Key(from, "operator")),
    keyNumbers: config.attempt(readKeyNumbers),
    callers: config.attempt(readCallers),
    publisherUrl: config.attempt(readPublisherUrl),
  });
  return { ...whole, ...(webhook && { webhook }) };
}

function readKeyNumbers(from: MemberReader): KeyNumbers {
  if (!from.has("keyNumbers")) return FIRST_KEYS;
  const reader = from.object("keyNumbers");
  const read = (kind: keyof KeyNumbers) => reader.optionalInteger(kind, 1, 1000) ?? 1;
  const numbers = { witness: read("witness"), ack: read("ack"), events: read("events") };
  reader.done();
  return numbers;
}

function readCallers(reader: MemberReader): readonly string[] {
  const callers = reader.strings("callers", 64, 64);
  const wrong = callers.filter((caller) => !CALLER.test(caller));
  if (wrong.length > 0)
    throw invalid(`callers must be operator, or signer or ${RECEIVERS.join(" or ")} with -<realm>`);
  if (new Set(callers).size !== callers.length) throw invalid("callers must be distinct");
  return callers;
}

function readUrl(reader: MemberReader, name: string): URL {
  const text = reader.string(name, 2048);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url && !url.username && !url.password && !url.hash;
  if (!isPlain || (url.protocol !== "http:" && url.protocol !== "https:"))
    throw invalid(`${name} must be an http or https URL without user and fragment`);
  return url;
}

function readPublisherUrl(reader: MemberReader): string {
  const { href, search } = readUrl(reader, "publisherUrl");
  if (search !== "") throw invalid("publisherUrl must have no query");
  return href.replace(/\/$/, "");
}

function readWebhook(reader: MemberReader): WebhookTarget {
  const url = readUrl(reader, "url").href;
  const secret = reader.string("secret", 128);
  reader.done();
  if (!WEBHOOK_SECRET.test(secret))
    throw invalid("webhook secret must be whsec_ and 24 to 64 bytes in base64");
  return { url, secret: new Secret(secret) };
}

function invalid(message: string): ServiceError {
  return configError(`config: ${message}`);
}
