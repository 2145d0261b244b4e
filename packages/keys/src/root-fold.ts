import { decodeBase64url } from "@redoubt/verify/base64url";
import { KeyError } from "./errors.ts";
import type { RealmInfo } from "./registry-types.ts";
import { parseVerifierKey } from "@redoubt/tlog";
import type { RoleKeys } from "./role-keys.ts";
import { checkRootLife, verifyNextRoot } from "./root-chain.ts";
import type { RootDocument } from "./root-document.ts";
import { parseRootPublicKey } from "./root-public-key.ts";
import { parseSignedRoot, verifyRootThreshold, type SignedRoot } from "./root-signature.ts";
import { conflict } from "./scope-rules.ts";
import type { RootStatement } from "./statement-types.ts";

export interface RootInfo extends SignedRoot {
  /** Where it stands in the registry log. */
  readonly index: number;
}

interface Surroundings {
  readonly realms: ReadonlyMap<string, RealmInfo>;
  readonly roleKeys: RoleKeys;
}

/** The chain of roots that the registry records (docs/spec/logs.md §4). A record, not where trust comes from. */
export class RootFold {
  #chain: readonly RootInfo[] = [];

  /** From version 1 of the current chain to the newest. */
  get chain(): readonly RootInfo[] {
    return this.#chain;
  }

  /** @throws KeyError; then nothing has changed */
  take(index: number, statement: RootStatement, { realms, roleKeys }: Surroundings): void {
    const root = readStatement(statement);
    const { document } = root;
    checkRootLife(root, statement.at);
    const before = this.#before(root);
    if (before) verifyNextRoot(before, root);
    else verifyFirst(root);
    checkDelegation(document, realms);
    const role = `root:${document.kind}`;
    const keys = document.keys.map(({ publicKey }) => parseRootPublicKey(publicKey));
    // ARCHITECTURE §9: the role of a demo root's key is for ever another than that of a production root's.
    for (const key of keys) roleKeys.checkKey(key, role);
    for (const key of keys) roleKeys.addKey(key, role);
    this.#chain = [...(before ? this.#chain : []), { ...root, index }];
  }

  /** What this root continues; nothing where it begins a chain: the first of all, or the first after demo roots. */
  #before({ document }: SignedRoot): RootInfo | undefined {
    const newest = this.#chain.at(-1);
    const isCeremony = newest?.document.kind === "demo" && document.kind === "production";
    return isCeremony ? undefined : newest;
  }
}

function readStatement({ kind, version, hash, root: text }: RootStatement): SignedRoot {
  const root = parseSignedRoot(decodeBase64url(text));
  const { document } = root;
  if (root.hash !== hash || document.kind !== kind || document.version !== version)
    throw conflict("Root is not the one that the statement names");
  return root;
}

function verifyFirst(root: SignedRoot): void {
  const { version } = root.document;
  if (version !== 1)
    throw new KeyError("ERR_ROOT_VERSION", `Chain begins with root ${version}, expected version 1`);
  verifyRootThreshold(root, root.document);
}

// Two answers to who speaks for a realm would be two rings that count.
function checkDelegation({ realms }: RootDocument, known: Surroundings["realms"]): void {
  for (const { realm, ring } of realms) {
    const registered = known.get(realm)?.ring;
    const delegated = parseVerifierKey(ring);
    const isSame =
      registered?.name === delegated.name && registered.publicKey.equals(delegated.publicKey);
    if (!isSame)
      throw conflict(`Root delegates realm ${realm} to another ring than the registry's`);
  }
}
