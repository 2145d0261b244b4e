import { errorLine } from "@redoubt/base";
import type { CommandContext } from "../command.ts";
import type { Operator } from "../operator.ts";

/** What an `add` did. Done again, it creates and changes nothing. */
export interface Outcome {
  readonly created: boolean;
  readonly changed: boolean;
}

export function outcomeText({ created, changed }: Outcome): string {
  if (created) return "Registered:";
  return changed ? "Updated:" : "Known already, nothing to do:";
}

/**
 * Waits until issuer and signer have read the change. If they have not, says so: the change is made, so nothing failed.
 */
export async function caughtUp(
  { terminal }: CommandContext,
  operator: Operator,
  realm: string,
): Promise<void> {
  try {
    await operator.realmCaughtUp(realm);
  } catch (error) {
    terminal.notice(`Written to the registry, but not in effect yet: ${errorLine(error)}`);
  }
}
