import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeDurable } from "@redoubt/base";
import { unverifiedEnvelope } from "@redoubt/presence";
import { ask, ISSUER, type Requester } from "@redoubt/wire";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import type { Realm } from "../layout.ts";
import { withOperator } from "../operator.ts";
import { instant, table } from "../table.ts";

export interface ApprovalsOptions {
  readonly realm: Realm;
  /** A folder, where each is written to a file of its own. */
  readonly export?: string;
}

interface Kept {
  readonly id: string;
  readonly at: number;
  readonly envelope: Buffer;
}

/** What people approved and the realm's issuer acted on, the newest first. Nothing of it is verified here. */
export function peopleApprovals(
  context: CommandContext,
  { realm, export: folder }: ApprovalsOptions,
): Promise<number> {
  // Commands run in the data folder.
  const target = folder === undefined ? undefined : fileArgument(context, folder);
  return withOperator(context, async (operator) => {
    const { service, kept } = await readAll(operator.client(`issuer-${realm}`));
    if (target !== undefined) exportAll(target, kept);
    const rows = kept.map(({ id, at, envelope }) => {
      const { statement, assertions } = unverifiedEnvelope(envelope);
      const { action, subject } = statement.statement;
      return { id, at, action, subject, code: statement.code, assertions: assertions.length };
    });
    context.terminal.result({
      json: { realm, service, approvals: rows },
      text: [
        rows.length === 0
          ? "Nothing was approved in this realm so far."
          : table([
              ["AT", "ACTION", "PERSON", "BY", "CODE", "ID"],
              ...rows.map(({ id, at, action, subject, code, assertions }) => [
                instant(at),
                action,
                "userName" in subject ? subject.userName : subject.person,
                String(assertions),
                code,
                id,
              ]),
            ]),
        ...(service === null ? [] : ["", `service: ${service}`]),
        ...(target === undefined ? [] : [`written: ${kept.length} to ${target}`]),
      ].join("\n"),
    });
    return EXIT.ok;
  });
}

async function readAll(
  issuer: Requester,
): Promise<{ readonly service: string | null; readonly kept: readonly Kept[] }> {
  const kept: Kept[] = [];
  for (let from = 1; ;) {
    // oxlint-disable-next-line no-await-in-loop -- each page says where the next begins
    const { service, items, next } = await ask(issuer, ISSUER.listApprovals, { from });
    for (const { id, at } of items) {
      // oxlint-disable-next-line no-await-in-loop -- one envelope at a time is in memory at the issuer
      const { envelope } = await ask(issuer, ISSUER.showApproval, { id });
      kept.push({ id, at, envelope });
    }
    // A page that leads nowhere must not be asked for ever.
    if (next === undefined || next <= from) return { service, kept };
    from = next;
  }
}

function exportAll(folder: string, kept: readonly Kept[]): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const { id, envelope } of kept) writeDurable(join(folder, `${id}.json`), envelope);
}
