import {
  isDrill,
  keyAge,
  needsCustody,
  nextStep,
  type KeyAge,
  type KeyState,
  type NextStep,
} from "@redoubt/keys";
import type { KeyInfo } from "@redoubt/registry";
import type { KeyRecord } from "@redoubt/verify/record";
import { isOpen, type Alarm } from "../alarms.ts";
import { EXIT, type CommandContext } from "../command.ts";
import { withOperator, type Operator } from "../operator.ts";
import { instant, span, table } from "../table.ts";
import { coveredTenants } from "./blast-radius.ts";
import { readPolicies, readSigners, readSources, type KeySources } from "./key-sources.ts";
import { ringOf } from "./ring-of.ts";

export interface KeyView {
  readonly realm: string;
  readonly kid: string;
  readonly alg: string;
  readonly class: string;
  readonly state: KeyState;
  /** Seconds since the epoch. */
  readonly since: number;
  /** Since its first activation, against the age at which it stops; null where it never signed. */
  readonly age: KeyAge | null;
  readonly custody: KeyRecord["custody"];
  readonly tenants: KeyRecord["tenants"];
  /** Blast radius: how many active tenants' tokens it can make. */
  readonly activeTenants: number;
  readonly signUntil: number;
  readonly verifyUntil: number;
  readonly next: NextStep | null;
  /** Who said that automation must keep it published. */
  readonly retained: string | null;
  /** State that the signer tells; null where it does not know the key or does not answer. */
  readonly signer: string | null;
  /** Whether the signer's custody has it; null where the signer does not say. */
  readonly held: boolean | null;
  /** Open alarms that name it. */
  readonly alarms: readonly KeyAlarm[];
}

export interface KeyAlarm {
  readonly id: number;
  /** What happened: an event's own name rather than `event`. */
  readonly kind: string;
  readonly severity: string;
}

/** The keys of the registry, and what each can reach. */
export function keysList(
  context: CommandContext,
  { all = false }: { readonly all?: boolean },
): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator) => {
    const others = await readSources(operator, (line) => terminal.notice(line));
    // The registry is read after the signers, so that no state that they tell is newer than the registry.
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

/** The keys that are not gone for good; of a signer that does not answer, only what the registry says. */
export async function readKeys(
  operator: Operator,
  { alarms, nowSeconds }: Pick<KeySources, "alarms" | "nowSeconds">,
): Promise<readonly KeyView[]> {
  const signers = await readSigners(operator, () => undefined);
  const policyOf = readPolicies(operator.realms);
  const registry = await operator.readRegistry();
  return listKeys({ registry, signers, policyOf, alarms, nowSeconds }, false);
}

/** Every key of the registry that is not gone for good, or all of them. */
export function listKeys(sources: KeySources, isAll: boolean): KeyView[] {
  return [...sources.registry.keys.values()]
    .filter(({ state }) => isAll || (state !== "destroyed" && state !== "revoked"))
    .map((key) => viewKey(key, sources));
}

export function viewKey(key: KeyInfo, sources: KeySources): KeyView {
  const { registry, signers, policyOf, alarms, nowSeconds } = sources;
  const { kid, realm, state, stateAt, record } = key;
  const policy = policyOf(realm, record.class);
  return {
    realm,
    kid,
    alg: record.alg,
    class: record.class,
    state,
    since: stateAt,
    age: (policy && keyAge(key, policy, nowSeconds)) ?? null,
    custody: record.custody,
    tenants: record.tenants,
    activeTenants: coveredTenants(registry, key).length,
    signUntil: record.signUntil,
    verifyUntil: record.verifyUntil,
    next: nextStep(key, ringOf(key, registry, policy, signers), nowSeconds) ?? null,
    retained: key.retainedBy ?? null,
    signer: signers.get(kid)?.state ?? null,
    held: signers.get(kid)?.held ?? null,
    alarms: alarmsOf(kid, alarms),
  };
}

function alarmsOf(kid: string, alarms: readonly Alarm[]): KeyAlarm[] {
  return alarms
    .filter((alarm) => isOpen(alarm) && JSON.stringify(alarm).includes(kid))
    .map(({ id, kind, severity, detail }) => {
      const event = typeof detail === "object" && detail !== null && Reflect.get(detail, "event");
      return { id, kind: typeof event === "string" ? event : kind, severity };
    });
}

/** Keys whose state is one thing in the registry and another in the signer. */
export function disagreements(keys: readonly KeyView[]): readonly KeyView[] {
  return keys.filter(({ state, signer }) => signer !== null && signer !== state);
}

/** What somebody must look at; empty while rotation works. */
export function concerns(keys: readonly KeyView[]): readonly string[] {
  return [...keys.flatMap(concernsOf), ...silentRings(keys)];
}

function concernsOf({ kid, state, held, age }: KeyView): string[] {
  const found: string[] = [];
  if (held === false && needsCustody(state))
    found.push(`Custody does not hold key ${kid}, which is ${state}`);
  if (state === "active" && (age?.level === "alarm" || age?.level === "stop"))
    found.push(
      `Key ${kid} has reached ${age.percent} % of its age limit: rotation does not happen`,
    );
  return found;
}

function silentRings(keys: readonly KeyView[]): string[] {
  const used = keys.filter((key) => !isDrill(key));
  const rings = new Set(used.map((key) => `${key.realm}, class ${key.class}`));
  for (const key of used)
    if (key.state === "active" && key.age?.level !== "stop")
      rings.delete(`${key.realm}, class ${key.class}`);
  return [...rings].map((ring) => `No key signs in realm ${ring}`);
}

const HEADING = [
  "REALM",
  "STATE",
  "AGE",
  "NEXT",
  "ALG",
  "CUSTODY",
  "SCOPE",
  "TENANTS",
  "NOTES",
  "KID",
];

export function keyTable(keys: readonly KeyView[], nowSeconds: number): string {
  const rows = keys.map((key) => [
    key.realm,
    key.signer === null || key.signer === key.state
      ? key.state
      : `${key.state} (signer: ${key.signer})`,
    ageText(key.age),
    nextText(key.next, nowSeconds),
    key.alg,
    key.custody,
    tenantsText(key.tenants),
    String(key.activeTenants),
    notesText(key),
    key.kid,
  ]);
  return table([HEADING, ...rows]);
}

export function ageText(age: KeyAge | null): string {
  return age ? `${span(age.seconds)} (${age.percent} %)` : "-";
}

export function nextText(next: NextStep | null, nowSeconds: number): string {
  if (!next) return "-";
  return next.at <= nowSeconds
    ? `${next.state} now`
    : `${next.state} in ${span(next.at - nowSeconds)}`;
}

function notesText({ retained, held, age, alarms }: KeyView): string {
  const notes = [
    ...(retained === null ? [] : [`retained by ${retained}`]),
    ...(held === false ? ["not in custody"] : []),
    ...(age === null || age.level === "young" ? [] : [`age: ${age.level}`]),
    ...alarms.map(({ id, kind }) => `alarm ${id} ${kind}`),
  ];
  return notes.length > 0 ? notes.join(", ") : "-";
}

/** When something is or was, for a person. */
export function whenText(seconds: number, nowSeconds: number): string {
  const distance = Math.abs(seconds - nowSeconds);
  const words = seconds > nowSeconds ? `in ${span(distance)}` : `${span(distance)} ago`;
  return `${instant(seconds)} (${words})`;
}

export function tenantsText(tenants: KeyRecord["tenants"]): string {
  if ("ids" in tenants) {
    const [first = "none", ...others] = tenants.ids;
    return others.length === 0 ? first : `${first} and ${others.length} more`;
  }
  const { bucket, of, except } = tenants;
  const group = of === 1 ? "all" : `bucket ${bucket} of ${of}`;
  return except.length === 0 ? group : `${group} but ${except.length}`;
}
