import { nowSeconds, systemClock } from "@redoubt/base";
import { activeOf, standbys } from "@redoubt/keys";
import type { KeyInfo, Registry } from "@redoubt/registry";
import { errorLine } from "@redoubt/base";
import type { RingStatus } from "@redoubt/wire";
import { EXIT, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import { withOperator, type Operator } from "../operator.ts";
import { exposureText, measureExposure } from "./exposure.ts";
import { findKey } from "./find-key.ts";
import { whenText } from "./key-list.ts";
import { readPolicies } from "./key-sources.ts";
import { ringOf } from "./ring-of.ts";
import { classOf, footnote, rollBack, rotate, taint, type Takeover } from "./orders.ts";
import {
  checkTaint,
  taintWarning,
  waysOut,
  type RingView,
  type TaintChoice,
} from "./succession.ts";

export interface RotateOptions {
  readonly realm: string;
  /** Of a signer that makes one class of tokens, that one. */
  readonly class?: RingStatus["class"];
  readonly reason: string;
  readonly early?: boolean;
}

export function keysRotate(context: CommandContext, options: RotateOptions): Promise<number> {
  const { realm, reason, early = false } = options;
  return withOperator(context, async (operator) => {
    const tokenClass = await classOf(operator, realm, options.class);
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
  const standby = key ? standbyText(operator, key, registry) : [];
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
function standbyText(
  operator: Pick<Operator, "realms">,
  key: KeyInfo,
  registry: Registry,
): string[] {
  const ring = ringView(operator, key, registry);
  if (!ring.policy) return [];
  const [standby] = standbys(ring, ring.nowSeconds);
  if (!standby) return ["No standby is published yet"];
  const at = whenText(standby.readyAt, ring.nowSeconds);
  return [`The next standby is ${standby.key.kid}, ready ${at}`];
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
  return withOperator(context, async (operator, { ports }) => {
    const registry = await operator.readRegistry();
    const key = findKey(registry.keys, named);
    const refusedSeconds = checkTaint(key, ringView(operator, key, registry), options);
    for (const line of taintWarning(key, ringView(operator, key, registry), options))
      terminal.notice(line);
    await confirm(context, `Tainting key ${key.kid}`, options.yes);
    const done = await taint(operator, key, { reason, early });
    // Said at once: looking at what follows may take long, or fail.
    terminal.notice(
      `Done: key ${done.kid} is ${done.state}. Looking at who may still take its tokens`,
    );
    const exposure = await measureExposure(registry, key, ports.publisher);
    // Proven from the log, where the signer tells nothing of a ring whose key was gone already.
    const after = await seen(operator);
    const ring = ringView(operator, key, after.registry ?? registry);
    const active = after.registry ? (activeOf(ring)?.kid ?? null) : done.active;
    const unchecked = [after.unchecked, exposure.unchecked].filter((why) => why !== null);
    const next =
      active === null
        ? ["NO KEY of its ring signs now", ...waysOut(key, ring)]
        : [`Key ${active} signs now`];
    const word = after.unchecked === null ? [] : [`NOT CHECKED in the log: ${after.unchecked}`];
    terminal.result({
      json: { ...done, active, was: key.state, refusedSeconds, exposure, unchecked },
      text: [
        `Key ${done.kid} is ${done.state}; it was ${key.state}`,
        ...next,
        ...word,
        exposureText(exposure),
        footnote(done, isEnded(key) ? "nothing" : "by-signer"),
      ].join("\n"),
    });
    if (active === null) return EXIT.attention;
    return unchecked.length > 0 ? EXIT.unchecked : EXIT.ok;
  });
}

async function seen(
  operator: Pick<Operator, "readRegistry">,
): Promise<
  | { readonly registry: Registry; readonly unchecked: null }
  | { readonly registry: undefined; readonly unchecked: string }
> {
  try {
    return { registry: await operator.readRegistry(), unchecked: null };
  } catch (error) {
    return { registry: undefined, unchecked: errorLine(error) };
  }
}

function isEnded({ state }: KeyInfo): boolean {
  return state === "tainted" || state === "revoked";
}

function ringView(
  { realms }: Pick<Operator, "realms">,
  key: KeyInfo,
  registry: Registry,
): RingView {
  const policy = readPolicies(realms)(key.realm, key.record.class);
  return { ...ringOf(key, registry, policy), nowSeconds: nowSeconds(systemClock) };
}
