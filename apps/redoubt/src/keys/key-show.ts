import {
  jwkOf,
  keysForIssuer,
  type KeyEvent,
  type KeyInfo,
  type Registry,
} from "@redoubt/registry";
import { encodeVerifierKey } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { EXIT, type CommandContext } from "../command.ts";
import { withOperator } from "../operator.ts";
import { asciiJson, printable, table } from "../table.ts";
import { coveredTenants } from "./blast-radius.ts";
import { findKey } from "./find-key.ts";
import { ageText, nextText, tenantsText, viewKey, whenText, type KeyView } from "./key-list.ts";
import { readSources, type KeySources } from "./key-sources.ts";
import { issuersOf, readServedKeys, type PublishedIssuer } from "./served-keys.ts";

export function keysShow(context: CommandContext, named: string): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator, { ports }) => {
    const others = await readSources(operator, (line) => terminal.notice(line));
    const registry = await operator.readRegistry();
    const key = findKey(registry.keys, named);
    const details = await showKey(key, { ...others, registry, publisher: ports.publisher });
    const found = jwksConcerns(details);
    for (const line of found) terminal.notice(line);
    terminal.result({ json: details, text: detailsText(details, others.nowSeconds) });
    return found.length === 0 ? EXIT.ok : EXIT.attention;
  });
}

/** Everything that is known of one key. */
export interface KeyDetails extends KeyView {
  /** Where the record stands in the registry log. */
  readonly index: number;
  /** The canonical record that the kid is the hash of. */
  readonly record: JsonObject;
  readonly ring: { readonly key: string; readonly signature: string };
  readonly coveredTenants: readonly string[];
  readonly history: readonly KeyEvent[];
  readonly jwks: JwksMembership;
}

export interface JwksMembership {
  /** Whether the registry has it in the key sets of the issuers that it covers. */
  readonly expected: boolean;
  readonly issuers: number;
  /** What the publisher serves under the first of them; `listed` is null where it does not answer. */
  readonly served: readonly { readonly issuer: string; readonly listed: boolean | null }[];
  /** The key as a JWKS lists it. */
  readonly jwk: object;
}

const CHECKED_ISSUERS = 8;

export type ShowSources = Omit<KeySources, "registry"> & {
  readonly registry: Registry;
  /** Port of the publisher. */
  readonly publisher: number;
};

export async function showKey(key: KeyInfo, sources: ShowSources): Promise<KeyDetails> {
  const { registry } = sources;
  return {
    ...viewKey(key, sources),
    index: key.index,
    record: parseJsonObject(key.recordBytes),
    ring: {
      key: encodeVerifierKey(key.ring),
      signature: encodeBase64url(key.ringSignature),
    },
    coveredTenants: coveredTenants(registry, key),
    history: key.history,
    jwks: await membership(key, sources),
  };
}

async function membership(
  key: KeyInfo,
  { registry, nowSeconds, publisher }: ShowSources,
): Promise<JwksMembership> {
  const issuers = issuersOf(registry, key);
  const [tenant] = coveredTenants(registry, key);
  const listed = tenant === undefined ? [] : keysForIssuer(registry, key.realm, tenant, nowSeconds);
  return {
    expected: listed.some(({ kid }) => kid === key.kid),
    issuers: issuers.length,
    served: await Promise.all(
      issuers.slice(0, CHECKED_ISSUERS).map(async (issuer) => ({
        issuer,
        listed: await isListed({ issuer, publisher }, key.kid),
      })),
    ),
    jwk: jwkOf(key),
  };
}

async function isListed(at: PublishedIssuer, kid: string): Promise<boolean | null> {
  try {
    const served = await readServedKeys(at);
    return served ? served.kids.includes(kid) : null;
  } catch {
    // The publisher is away; everything else about the key is still worth telling.
    return null;
  }
}

/** Where what is served is not what the registry says. */
export function jwksConcerns({ kid, jwks }: KeyDetails): string[] {
  return jwks.served.flatMap(({ issuer, listed }) => {
    if (listed === null) return [`${issuer}/keys cannot be read`];
    if (listed === jwks.expected) return [];
    return [
      `${issuer}/keys ${listed ? "lists" : "does not list"} key ${kid}, against the registry`,
    ];
  });
}

export function detailsText(details: KeyDetails, nowSeconds: number): string {
  return [
    summary(details, nowSeconds),
    historyText(details.history, nowSeconds),
    `Record (registry index ${details.index}):\n${asciiJson(details.record)}`,
    `Signed by ring ${details.ring.key}\n  ${details.ring.signature}`,
    `Covers ${details.activeTenants} active tenants: ${shorten(details.coveredTenants)}`,
    membershipText(details.jwks),
  ].join("\n\n");
}

function summary(details: KeyDetails, nowSeconds: number): string {
  const { signUntil, verifyUntil, retained, held, alarms, age } = details;
  const ends = age ? whenText(age.endsAt, nowSeconds) : whenText(signUntil, nowSeconds);
  return table([
    ["kid", details.kid],
    ["realm", `${details.realm}, class ${details.class}, ${details.alg}`],
    ["state", `${details.state} since ${whenText(details.since, nowSeconds)}`],
    ["signer", details.signer ?? "does not say"],
    ["age", ageText(age)],
    ["next", nextText(details.next, nowSeconds)],
    ["signs until", `${ends}, whatever happens`],
    ["verifies until", whenText(verifyUntil, nowSeconds)],
    ["retained", retained === null ? "no" : `by ${retained}`],
    ["custody", held === false ? `${details.custody}: not there` : details.custody],
    ["scope", tenantsText(details.tenants)],
    ["alarms", alarms.map(({ id, kind }) => `${id} ${kind}`).join(", ") || "none"],
  ]);
}

function historyText(events: readonly KeyEvent[], nowSeconds: number): string {
  const rows = events.map(({ event, at, index, reason }) => [
    event,
    whenText(at, nowSeconds),
    String(index),
    reason ?? "-",
  ]);
  return table([["EVENT", "AT", "INDEX", "REASON"], ...rows]);
}

function membershipText({ expected, issuers, served }: JwksMembership): string {
  const lines = served.map(({ issuer, listed }) => {
    const found = listed === null ? "cannot be read" : listed ? "listed" : "not listed";
    return `  ${printable(issuer)}/keys: ${found}`;
  });
  const more = issuers > served.length ? [`  and ${issuers - served.length} more`] : [];
  return [
    `JWKS: ${expected ? "in" : "not in"} the key sets of ${issuers} issuers`,
    ...lines,
    ...more,
  ].join("\n");
}

const SHOWN_TENANTS = 5;

function shorten(tenants: readonly string[]): string {
  const more = tenants.length > SHOWN_TENANTS ? ` and ${tenants.length - SHOWN_TENANTS} more` : "";
  return `${tenants.slice(0, SHOWN_TENANTS).join(", ") || "none"}${more}`;
}
