import { join } from "node:path";
import { privateFileExists } from "@redoubt/base";
import { createKeyFile, openKeyFile } from "@redoubt/custody";
import {
  encodeRoot,
  encodeRootKey,
  parseRootKey,
  signRoot,
  type RootDocument,
  type SignedRoot,
  type StatementBody,
} from "@redoubt/registry";
import { delegations, rootStatement, type KnownRoots } from "./root-state.ts";

const LIFE_SECONDS = 365 * 86_400;
const RENEW_SECONDS = 30 * 86_400;

/**
 * ARCHITECTURE §9: what `redoubt up` has in place of offline keys, tagged `demo`: one key, and its passphrase beside
 * it. Undefined where the registry has a production root, or a demo root that delegates every realm and has more than
 * 30 days left.
 */
export function demoRootStatement(
  folder: string,
  registry: KnownRoots,
  now: number,
): StatementBody | undefined {
  const before = registry.roots.at(-1)?.document;
  const isWhole = before?.realms.length === registry.realms.size;
  if (before && (before.kind !== "demo" || (isWhole && before.expires - now > RENEW_SECONDS)))
    return undefined;
  return rootStatement(signDemoRoot(folder, registry, now));
}

/** The next demo root, signed. It says what the registry says, but for the members in `change`. */
export function signDemoRoot(
  folder: string,
  registry: KnownRoots,
  now: number,
  change: Partial<Pick<RootDocument, "operator" | "realms">> = {},
): SignedRoot {
  const path = join(folder, "up", "root.key");
  const { privateKey } = privateFileExists(path)
    ? openKeyFile(path)
    : createKeyFile(path, "Ed25519");
  const root = encodeRoot({
    kind: "demo",
    version: (registry.roots.at(-1)?.document.version ?? 0) + 1,
    threshold: 1,
    keys: [parseRootKey(encodeRootKey("demo", privateKey))],
    made: now,
    expires: now + LIFE_SECONDS,
    realms: delegations(registry),
    ...change,
  });
  return signRoot({ ...root, signatures: [] }, privateKey);
}
