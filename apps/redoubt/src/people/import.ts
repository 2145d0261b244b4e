import { errorCode, errorLine } from "@redoubt/base";
import { ask, ISSUER } from "@redoubt/wire";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { readInput } from "../input.ts";
import { withOperator } from "../operator.ts";
import { table } from "../table.ts";
import { parseImport, type ImportRow } from "./import-file.ts";
import { lookUp, peopleOf, type PeopleOf, type PeoplePlace } from "./names.ts";

/** What one line of the file comes to. */
export type ImportAction = "add" | "disable" | "enable" | "none";

interface Planned {
  readonly row: ImportRow;
  readonly action: ImportAction;
  /** Null where nobody is there yet. */
  readonly id: string | null;
}

interface Failed {
  readonly line: number;
  readonly userName: string;
  readonly code: string;
  readonly message: string;
}

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * Adds the people of a file who are not there, and disables or enables those whose `active` says otherwise. Names and
 * addresses of people who are there stay as they are. Without `apply` nothing is changed.
 */
export async function peopleImport(
  context: CommandContext,
  file: string,
  { apply = false, ...options }: PeoplePlace & { readonly apply?: boolean },
): Promise<number> {
  const path = fileArgument(context, file);
  const rows = parseImport(readInput(path, MAX_FILE_BYTES).toString("utf8"));
  return withOperator(context, async (operator) => {
    const place = await peopleOf(operator, options);
    const plan = await planImport(place, rows);
    const failed = apply ? await applyPlan(place, plan) : [];
    const counts = countsOf(plan);
    context.terminal.result({
      json: {
        applied: apply,
        ...counts,
        changes: plan
          .filter(({ action }) => action !== "none")
          .map(({ row, action }) => ({ line: row.line, userName: row.userName, action })),
        failed,
      },
      text: importText(plan, { apply, failed, counts }),
    });
    return failed.length > 0 ? EXIT.attention : EXIT.ok;
  });
}

async function planImport(
  place: PeopleOf,
  rows: readonly ImportRow[],
): Promise<readonly Planned[]> {
  const plan: Planned[] = [];
  for (const row of rows) {
    // oxlint-disable-next-line no-await-in-loop -- thousands at once would be a flood
    const found = await lookUp(place, row.userName);
    const status = found?.person.status;
    plan.push({ row, action: actionOf(status, row.active), id: found?.person.id ?? null });
  }
  return plan;
}

function actionOf(
  status: "active" | "disabled" | undefined,
  active: boolean | undefined,
): ImportAction {
  // Who is not there and is not to be active is not there.
  if (status === undefined) return active === false ? "none" : "add";
  if (active === undefined || active === (status === "active")) return "none";
  return active ? "enable" : "disable";
}

/** One that fails keeps no other back: a second run does what is left. */
async function applyPlan(place: PeopleOf, plan: readonly Planned[]): Promise<readonly Failed[]> {
  const failed: Failed[] = [];
  for (const { row, action, id } of plan)
    try {
      // oxlint-disable-next-line no-await-in-loop -- in the order of the file
      await applyOne(place, row, { action, id });
    } catch (error) {
      const { line, userName } = row;
      failed.push({ line, userName, code: errorCode(error), message: errorLine(error) });
    }
  return failed;
}

async function applyOne(
  { issuer, tenant }: PeopleOf,
  row: ImportRow,
  { action, id }: Pick<Planned, "action" | "id">,
): Promise<void> {
  if (action === "add") {
    const { line: _line, active: _active, email, ...details } = row;
    const emails = email === null ? [] : [{ value: email, primary: true }];
    const given = { isAdministrator: false, source: "import" } as const;
    await ask(issuer, ISSUER.addPerson, { tenant, ...details, emails, ...given });
  } else if (id !== null && action !== "none") {
    const operation = action === "enable" ? ISSUER.enablePerson : ISSUER.disablePerson;
    await ask(issuer, operation, { tenant, person: id });
  }
}

function countsOf(plan: readonly Planned[]): Readonly<Record<ImportAction, number>> {
  const counts = { add: 0, disable: 0, enable: 0, none: 0 };
  for (const { action } of plan) counts[action] += 1;
  return counts;
}

function importText(
  plan: readonly Planned[],
  {
    apply,
    failed,
    counts,
  }: {
    readonly apply: boolean;
    readonly failed: readonly Failed[];
    readonly counts: Readonly<Record<ImportAction, number>>;
  },
): string {
  const changes = plan.filter(({ action }) => action !== "none");
  const rows = changes.map(({ row, action }) => [String(row.line), action, row.userName]);
  const sum = `${counts.add} to add, ${counts.disable} to disable, ${counts.enable} to enable, ${counts.none} as they are`;
  const end = apply
    ? `Done, but for ${failed.length}.`
    : "Nothing was changed: --apply does what stands here.";
  return [
    ...(rows.length === 0 ? [] : [table([["LINE", "WHAT", "USER NAME"], ...rows]), ""]),
    `${sum}.`,
    end,
    ...failed.map(({ line, message }) => `line ${line}: ${message}`),
  ].join("\n");
}
