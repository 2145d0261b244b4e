import { errorLine } from "@redoubt/base";
import type { CommandContext } from "../command.ts";
import type { Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";

/** What an addition came to; a repetition neither creates nor changes. */
export interface Outcome {
  readonly created: boolean;
  readonly changed: boolean;
}

export function outcomeText({ created, changed }: Outcome): string {
  if (created) return "Registered:";
  return changed ? "Updated:" : "Known already, nothing to do:";
}

/** What is in the registry stays, whatever else is down: then this is said, and nothing has failed. */
export async function caughtUp(
  { terminal }: CommandContext,
  operator: Operator,
  realm: Realm,
): Promise<void> {
  try {
    await operator.realmCaughtUp(realm);
  } catch (error) {
    terminal.notice(`Said to the registry, but not in effect yet: ${errorLine(error)}`);
  }
}
