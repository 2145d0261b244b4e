import { join } from "node:path";
import { nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { nextAuthorKey } from "@redoubt/custody";
import { type RootDocument, type SignedRoot } from "@redoubt/registry";
import { encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { signDemoRoot } from "../ceremony/demo-root.ts";
import { draftRoot } from "../ceremony/draft.ts";
import { refuseExisting, writeRootFile } from "../ceremony/files.ts";
import { publishRoot } from "../ceremony/publish.ts";
import { delegations, type KnownRoots } from "../ceremony/root-state.ts";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import { checkRealm, OPERATOR_KEY, withOperator, type Operator } from "../operator.ts";
import { printable } from "../table.ts";

export interface AuthorOptions {
  /** Where the draft goes that holders of production roots are to sign. */
  readonly out?: string;
  /** The next key is there: an earlier call made it. */
  readonly prepared?: boolean;
  readonly yes?: boolean;
}
export interface RingOptions extends AuthorOptions {
  readonly realm: string;
}

/** What the next root changes, with lines for a person: `plan` before it is done, `after` when it is. */
interface Change {
  readonly who: string;
  readonly vkey: string;
  readonly delegation: Pick<RootDocument, "operator"> | Pick<RootDocument, "realms">;
  readonly plan: readonly string[];
  readonly after: readonly string[];
}

/**
 * Makes the next operator key and lets a root name it. The present key is not needed: it may be lost, stolen or old.
 */
export function recoverOperator(context: CommandContext, options: AuthorOptions): Promise<number> {
  return withOperator(context, async (operator) => {
    const registry = await operator.readRegistry();
    const { operator: current, formerOperators: former } = registry;
    checkWay(context, options, registry);
    const { publicKey } = nextAuthorKey(
      join(operator.folder, OPERATOR_KEY),
      { former },
      options.prepared,
    );
    const key = { name: current.name, type: SIGNATURE_TYPE.ed25519, publicKey };
    const vkey = encodeVerifierKey(key);
    return await changeByRoot(context, options, operator, {
      who: "operator",
      vkey,
      delegation: { operator: vkey },
      plan: [
        `The operator key becomes ${vkey}.`,
        "What the key before it signs from then on is void; what it said before stays.",
      ],
      after: [
        "Was the key before it stolen? Look through what it said: redoubt tenants list, clients list, reporters list, alarms",
      ],
    });
  });
}

/**
 * Makes a realm's next ring key, in the folder of its signer, and lets a root name it; the signer takes it up by
 * itself.
 */
export function recoverRing(context: CommandContext, options: RingOptions): Promise<number> {
  const { realm } = options;
  return withOperator(context, async (operator) => {
    const registry = await operator.readRegistry();
    const info = registry.realms.get(realm);
    checkRealm(operator, realm);
    if (!info) throw new ServiceError("ERR_RECOVER", `Realm ${realm} is not registered`);
    checkWay(context, options, registry);
    const path = join(operator.folder, `signer-${realm}`, "ring.key");
    const { publicKey } = nextAuthorKey(path, { former: info.formerRings }, options.prepared);
    const vkey = encodeVerifierKey({ ...info.ring, publicKey });
    const realms = delegations(registry).map((one) =>
      one.realm === realm ? { realm, ring: vkey } : one,
    );
    return await changeByRoot(context, options, operator, {
      who: `ring ${realm}`,
      vkey,
      delegation: { realms },
      plan: [
        `The ring key of ${realm} becomes ${vkey}.`,
        `The signer vouches with it for the keys that it holds, within seconds; tokens go on.`,
        "Relying parties that pin the ring key (option `ring`) must know both keys before, or they refuse the realm's tokens from then on.",
      ],
      after: [
        "Was the key before it stolen? Taint each key that nobody here made: redoubt keys list. Relying parties then pin the new one alone",
      ],
    });
  });
}

async function changeByRoot(
  context: CommandContext,
  { out, yes }: AuthorOptions,
  operator: Operator,
  change: Change,
): Promise<number> {
  const { terminal } = context;
  for (const line of change.plan) terminal.notice(line);
  if (out !== undefined) return draftChange(context, out, operator, change);
  await confirm(context, `Naming another key (${change.who})`, yes);
  const now = nowSeconds(systemClock);
  const root = signDemoRoot(operator.folder, operator.registry, now, change.delegation);
  const { index } = await publishRoot(operator, root);
  terminal.result({
    json: { who: change.who, key: change.vkey, root: { ...described(root), index } },
    text: [
      `Demo root ${root.document.version} names it; registry entry ${index}`,
      ...change.after,
    ].join("\n"),
  });
  return EXIT.ok;
}

/** Checks, before a key is made, that a root can name it in the way that the options say. @throws ServiceError */
function checkWay(context: CommandContext, { out }: AuthorOptions, { roots }: KnownRoots): void {
  const newest = roots.at(-1)?.document;
  if (!newest)
    throw new ServiceError(
      "ERR_RECOVER",
      "The registry has no root that could name another key: redoubt keys ceremony --help",
    );
  const isProduction = newest.kind === "production";
  if (isProduction && out === undefined)
    throw new ServiceError(
      "ERR_OPTION",
      "Holders of root keys must sign this: say with --out where the draft goes",
    );
  if (!isProduction && out !== undefined)
    throw new ServiceError("ERR_OPTION", "A demo root names it at once: leave --out away");
  if (out !== undefined) refuseExisting(fileArgument(context, out));
}

/** Writes a draft with the same keys, threshold and life, and the one change; k holders must sign it. */
function draftChange(
  context: CommandContext,
  out: string,
  { registry }: Operator,
  change: Change,
): number {
  const file = fileArgument(context, out);
  const newest = registry.roots.at(-1)?.document;
  if (!newest) throw new TypeError("Asked before");
  const { keys, threshold, made, expires } = newest;
  const root = draftRoot(registry, {
    keys,
    threshold,
    lifeSeconds: expires - made,
    nowSeconds: nowSeconds(systemClock),
    change: change.delegation,
  });
  writeRootFile(file, root);
  context.terminal.result({
    json: { who: change.who, key: change.vkey, draft: file, root: described(root) },
    text: [
      `${printable(file)} is the draft of root ${root.document.version}; nothing has changed yet.`,
      `Next: ${newest.threshold} holders sign it (redoubt keys ceremony sign), then redoubt keys ceremony publish`,
      ...change.after,
    ].join("\n"),
  });
  return EXIT.ok;
}

function described({ document, hash }: Pick<SignedRoot, "document" | "hash">) {
  return { version: document.version, hash };
}
