import type { KeyInfo, Registry } from "@redoubt/registry";
import { issuerFor } from "@redoubt/verify";
import { JsonError, isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import { onLoopback } from "../layout.ts";
import { fetchBytes, type LoopbackAnswer } from "../loopback.ts";
import { lookUntil } from "../wait.ts";
import { coveredTenants } from "./blast-radius.ts";

/** What the publisher serves under one issuer. */
export interface ServedKeys {
  readonly issuer: string;
  readonly kids: readonly string[];
  /** What ordinary clients are told that they may keep it for; null where nothing is said. */
  readonly maxAgeSeconds: number | null;
}

/** An issuer, and the loopback port of the publisher that serves its documents. */
export interface PublishedIssuer {
  readonly issuer: string;
  readonly publisher: number;
}

const MAX_JWKS_BYTES = 4 * 1024 * 1024;
const SETTLE = { timeoutMs: 5000, pollMs: 100 };

/** The issuers whose tokens a key can make. */
export function issuersOf(
  registry: Pick<Registry, "tenants" | "realms">,
  key: KeyInfo,
): readonly string[] {
  const template = registry.realms.get(key.realm)?.issuer;
  if (template === undefined) return [];
  return coveredTenants(registry, key).map((tenant) => issuerFor({ issuer: template }, tenant));
}

/** The key set of one issuer as it is served now; undefined where none is. */
export async function readServedKeys({
  issuer,
  publisher,
}: PublishedIssuer): Promise<ServedKeys | undefined> {
  const answer = await fetchBytes(onLoopback(`${issuer}/keys`, publisher), MAX_JWKS_BYTES);
  const kids = answer.status === 200 ? kidsIn(answer) : undefined;
  return kids && { issuer, kids, maxAgeSeconds: maxAgeOf(answer) };
}

/**
 * As `readServedKeys`, but waits up to 5 s until the key set lists the key, or no longer does, as `shouldList` says.
 */
export function settledKeys(
  at: PublishedIssuer,
  kid: string,
  shouldList: boolean,
): Promise<ServedKeys | undefined> {
  return lookUntil(
    () => readServedKeys(at),
    (served) => served?.kids.includes(kid) === shouldList,
    SETTLE,
  );
}

function kidsIn({ body }: LoopbackAnswer): string[] | undefined {
  try {
    const { keys } = parseJsonObject(body, { maxBytes: MAX_JWKS_BYTES, maxDepth: 16 });
    if (!Array.isArray(keys)) return undefined;
    return keys.flatMap((key) => {
      const kid = isJsonObject(key) ? key["kid"] : undefined;
      return typeof kid === "string" ? [kid] : [];
    });
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

// RFC 9111 §5.2.2.1.
function maxAgeOf({ headers }: LoopbackAnswer): number | null {
  const seconds = /(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])/.exec(
    headers.get("cache-control") ?? "",
  )?.[1];
  return seconds === undefined ? null : Number(seconds);
}
