import { nowSeconds, systemClock } from "@redoubt/base";
import type { KeyInfo, Registry } from "@redoubt/registry";
import type { RotationSubject } from "@redoubt/keys";
import type { RingStatus } from "@redoubt/wire";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import type { Realm } from "../layout.ts";
import { withOperator, type Operator } from "../operator.ts";
import { exposureText, measureExposure } from "./exposure.ts";
import { findKey } from "./find-key.ts";
import { readKeyJournal } from "./key-journal.ts";
import { concerns, disagreements, keyTable, listKeys, whenText } from "./key-list.ts";
import { readPolicies, readSources } from "./key-sources.ts";
import { detailsText, jwksConcerns, showKey } from "./key-show.ts";
import { activeOf, readyAt, standbysOf } from "./next-step.ts";
import { retain, rollBack, rotate, taint, type Takeover } from "./orders.ts";
import { checkPolicyFile, policyText } from "./policy-check.ts";
import {
  checkTaint,
  taintWarning,
  waysOut,
  type RingView,
  type TaintChoice,
} from "./succession.ts";

export function keysList(
  context: CommandContext,
  { all = false }: { readonly all?: boolean },
): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator) => {
    const others = await readSources(operator, (line) => terminal.notice(line));
    // After the signers: what they tell is then never newer than the registry below.
    const registry = await operator.readRegistry();
    const keys = listKeys({ ...others, registry }, all);
    for (const { kid, state, signer } of disagreements(keys))
      terminal.notice(`Key ${kid} is ${state} in the registry and ${signer} in the signer`);
    const found = concerns(keys);
    for (const line of found) terminal.notice(line);
    terminal.result({ json: keys, text: keyTable(keys, others.nowSeconds) });
    return found.length === 0 ? EXIT.ok : EXIT.attention;
  });
}

export function keysShow(context: CommandContext, named: string): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator, { settings }) => {
    const others = await readSources(operator, (line) => terminal.notice(line));
    const { journal, registry } = await readKeyJournal(operator, settings);
    const key = findKey(registry.keys, named);
    const history = journal.of(key.kid);
    const details = await showKey(key, { ...others, registry, history });
    const found = jwksConcerns(details);
    for (const line of found) terminal.notice(line);
    terminal.result({ json: details, text: detailsText(details, others.nowSeconds) });
    return found.length === 0 ? EXIT.ok : EXIT.attention;
  });
}

export interface RotateOptions {
  readonly realm: Realm;
  readonly class: RingStatus["class"];
  readonly reason: string;
  readonly early?: boolean;
}

export function keysRotate(context: CommandContext, options: RotateOptions): Promise<number> {
  const { realm, class: tokenClass, reason, early = false } = options;
  return withOperator(context, async (operator) => {
    const done = await rotate(operator, realm, { tokenClass, reason, early });
    return toldTakeover(context, operator, { done, isNew: true });
  });
}

export function keysRollBack(
  context: CommandContext,
  named: string,
  { reason }: { readonly reason: string },
): Promise<number> {
  return withOperator(context, async (operator) => {
    const key = findKey((await operator.readRegistry()).keys, named);
    const done = await rollBack(operator, key, reason);
    return toldTakeover(context, operator, { done, isNew: key.state !== "active" });
  });
}

async function toldTakeover(
  { terminal }: CommandContext,
  operator: Operator,
  { done, isNew }: { readonly done: Takeover; readonly isNew: boolean },
): Promise<number> {
  const { realm, kid, before } = done;
  const registry = await operator.readRegistry();
  const key = registry.keys.get(kid);
  const standby = key ? standbyText(key, registry) : [];
  const then = before === null ? "" : `; ${before} verifies only`;
  const text = [
    `Key ${kid} signs now in realm ${realm}${then}`,
    ...standby,
    footnote(done, isNew ? "by-signer" : "nothing"),
  ];
  terminal.result({ json: done, text: text.join("\n") });
  return EXIT.ok;
}

/** When the next takeover can be, by hand or after a taint. */
function standbyText(key: KeyInfo, registry: Registry): string[] {
  const policy = readPolicies()(key.realm, key.record.class);
  if (!policy) return [];
  const [standby] = standbysOf(key, registry, policy);
  if (!standby) return ["No standby is published yet"];
  const at = whenText(readyAt(standby, policy), nowSeconds(systemClock));
  return [`The next standby is ${standby.kid}, ready ${at}`];
}

export interface TaintOptions extends TaintChoice {
  readonly reason: string;
  readonly yes?: boolean;
}

export function keysTaint(
  context: CommandContext,
  named: string,
  options: TaintOptions,
): Promise<number> {
  const { terminal } = context;
  const { reason, early = false } = options;
  return withOperator(context, async (operator) => {
    const registry = await operator.readRegistry();
    const key = findKey(registry.keys, named);
    const refusedSeconds = checkTaint(key, ringView(key, registry), options);
    for (const line of taintWarning(key, ringView(key, registry), options)) terminal.notice(line);
    await confirm(context, `Tainting key ${key.kid}`, options.yes);
    const done = await taint(operator, key, { reason, early });
    const exposure = await measureExposure(registry, key);
    // Proven from the log, where the signer tells nothing of a ring whose key was gone already.
    const after = await operator.readRegistry();
    const active = activeOf(key, after)?.kid ?? null;
    const next =
      active === null
        ? ["NO KEY of its ring signs now", ...waysOut(key, ringView(key, after))]
        : [`Key ${active} signs now`];
    terminal.result({
      json: { ...done, active, was: key.state, refusedSeconds, exposure },
      text: [
        `Key ${done.kid} is ${done.state}; it was ${key.state}`,
        ...next,
        exposureText(exposure),
        footnote(done, isEnded(key) ? "nothing" : "by-signer"),
      ].join("\n"),
    });
    return active === null ? EXIT.attention : EXIT.ok;
  });
}

function isEnded({ state }: KeyInfo): boolean {
  return state === "tainted" || state === "revoked";
}

function ringView({ realm, record }: KeyInfo, fold: Registry): RingView {
  const policy = readPolicies()(realm, record.class);
  return { fold, policy, nowSeconds: nowSeconds(systemClock) };
}

export interface RetainOptions {
  readonly reason: string;
  readonly off?: boolean;
  readonly asOperator?: boolean;
}

export function keysRetain(
  context: CommandContext,
  named: string,
  { reason, off = false, asOperator = false }: RetainOptions,
): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator) => {
    const key = findKey((await operator.readRegistry()).keys, named);
    const by = asOperator ? "operator" : "ring";
    const done = await retain(operator, key, { retain: !off, by, reason });
    const until = whenText(key.record.verifyUntil, nowSeconds(systemClock));
    const text = done.retained
      ? `Key ${done.kid} stays published until ${until}, unless it is tainted or released`
      : `Key ${done.kid} is released: the life cycle withdraws it when it is time`;
    terminal.result({ json: done, text: `${text}\n${footnote(done, done.written)}` });
    return EXIT.ok;
  });
}

export interface PolicyCheckOptions {
  readonly tenants: RotationSubject["tenants"];
  readonly maxLifetime: number;
}

export async function keysPolicyCheck(
  context: CommandContext,
  file: string,
  { tenants, maxLifetime }: PolicyCheckOptions,
): Promise<number> {
  const subject = { tenants, maxLifetimeSeconds: maxLifetime };
  const check = checkPolicyFile(fileArgument(context, file), subject);
  context.terminal.result({ json: check, text: policyText(check) });
  return check.valid ? EXIT.ok : EXIT.failed;
}

/** P8: what was done by hand is labelled until presence is proven. */
function footnote(
  { presence }: { readonly presence: string },
  written: "by-signer" | "by-operator" | "nothing",
): string {
  switch (written) {
    case "by-signer":
      return `Written to the registry, and told to the monitor (presence: ${presence})`;
    case "by-operator":
      return `Written to the registry with the operator key (presence: ${presence})`;
    case "nothing":
      return "It was so already: nothing was written";
  }
}
