import { decodeBase64url } from "@redoubt/verify/base64url";
import { KeyError } from "@redoubt/keys";
import type { RealmInfo } from "./registry-types.ts";
import { parseVerifierKey, type VerifierKey } from "@redoubt/tlog";
import type { RoleKeys } from "./role-keys.ts";
import { checkRootLife, verifyNextRoot } from "./root-chain.ts";
import type { RootDocument } from "./root-document.ts";
import { parseRootPublicKey } from "./root-public-key.ts";
import { parseSignedRoot, verifyRootThreshold, type SignedRoot } from "./root-signature.ts";
import { conflict } from "./scope-rules.ts";
import type { RootStatement, StatementBody } from "./statement-types.ts";

export interface RootInfo extends SignedRoot {
  /** Where it stands in the registry log. */
  readonly index: number;
}

/** Whose statements count before the root is taken. */
interface Speakers {
  readonly operator: VerifierKey;
  readonly realms: ReadonlyMap<string, RealmInfo>;
  readonly roleKeys: RoleKeys;
}
/** Whose statements count from the root on: only those who are others than before. */
export interface NewSpeakers {
  readonly operator?: VerifierKey;
  readonly rings: ReadonlyMap<string, VerifierKey>;
}

/**
 * The chain of roots that the registry records (docs/spec/logs.md §4). It only records them: whoever relies on a root
 * verifies the chain from the hash that was pinned (docs/spec/trust-data.md §1.1).
 */
export class RootFold {
  #chain: readonly RootInfo[] = [];

  /** From version 1 of the current chain to the newest. */
  get chain(): readonly RootInfo[] {
    return this.#chain;
  }

  /**
   * Takes the next root. One that continues another may replace ring keys and the operator's: k holders of root keys
   * agreed. Before the first of a chain there is nobody who could have agreed, so it must repeat what the registry says.
   *
   * @throws KeyError; then nothing has changed
   */
  take(index: number, statement: RootStatement, speakers: Speakers): NewSpeakers {
    const root = readStatement(statement);
    const { document } = root;
    checkRootLife(root, statement.at);
    const before = this.#before(root);
    if (before) verifyNextRoot(before, root);
    else verifyFirst(root);
    const { roleKeys } = speakers;
    const changes = changesOf(document, speakers);
    if (!before && (changes.operator || changes.rings.size > 0))
      throw conflict("The first root of a chain must name the operator and rings that there are");
    const role = `root:${document.kind}`;
    const keys = document.keys.map(({ publicKey }) => parseRootPublicKey(publicKey));
    // ARCHITECTURE §9: the role of a demo root's key is for ever another than that of a production root's.
    for (const key of keys) roleKeys.checkKey(key, role);
    takeChanges(changes, speakers);
    for (const key of keys) roleKeys.addKey(key, role);
    this.#chain = [...(before ? this.#chain : []), { ...root, index }];
    return changes;
  }

  /** What this root continues; nothing where it begins a chain: the first of all, or the first after demo roots. */
  #before({ document }: SignedRoot): RootInfo | undefined {
    const newest = this.#chain.at(-1);
    const isCeremony = newest?.document.kind === "demo" && document.kind === "production";
    return isCeremony ? undefined : newest;
  }
}

/** The operator key in a root statement's document. Nothing is verified: who signed the root is not looked at here. */
export function operatorNamedBy(statement: StatementBody<RootStatement>): VerifierKey | undefined {
  const { operator } = readStatement(statement).document;
  return operator === undefined ? undefined : parseVerifierKey(operator);
}

function readStatement({
  kind,
  version,
  hash,
  root: text,
}: StatementBody<RootStatement>): SignedRoot {
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

function changesOf(document: RootDocument, { operator, realms }: Speakers): NewSpeakers {
  const rings = new Map<string, VerifierKey>();
  for (const { realm, ring } of document.realms) {
    const registered = realms.get(realm)?.ring;
    if (!registered) throw conflict(`Root delegates realm ${realm}, which is not registered`);
    const delegated = parseVerifierKey(ring);
    if (!isSame(registered, delegated)) rings.set(realm, delegated);
  }
  const named = document.operator === undefined ? operator : parseVerifierKey(document.operator);
  return isSame(operator, named) ? { rings } : { operator: named, rings };
}

function isSame(one: VerifierKey, other: VerifierKey): boolean {
  return one.name === other.name && one.publicKey.equals(other.publicKey);
}

/** Gives the new keys their roles. A key that was replaced gets the role `former …`, so that it never comes back. */
function takeChanges({ operator, rings }: NewSpeakers, speakers: Speakers): void {
  const { roleKeys, realms } = speakers;
  const changes = [...rings].map(([realm, key]) => {
    return { role: `ring:${realm}`, key, before: realms.get(realm)?.ring };
  });
  if (operator) changes.push({ role: "operator", key: operator, before: speakers.operator });
  for (const { role, key, before } of changes) {
    roleKeys.checkKey(key.publicKey, role);
    if (before?.publicKey.equals(key.publicKey))
      throw conflict(`Root gives the key of ${role} another name`);
  }
  for (const { role, key, before } of changes) {
    if (before) roleKeys.addKey(before.publicKey, `former ${role}`);
    roleKeys.addKey(key.publicKey, role);
  }
}
