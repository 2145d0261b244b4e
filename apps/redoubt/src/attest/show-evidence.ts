import { EvidenceError, unverifiedClaims } from "@redoubt/evidence";
import { type CommandContext, EXIT } from "../command.ts";
import { printable, table } from "../table.ts";
import { claimRows } from "./claim-rows.ts";
import { readRecognised } from "./evidence-file.ts";

/** What a file says of itself. Exit code 3 if it is no evidence. */
export async function attestShow(context: CommandContext, file: string): Promise<number> {
  try {
    const claims = unverifiedClaims(readRecognised(context, file));
    context.terminal.notice("Nothing of this is verified: redoubt attest verify does that.");
    context.terminal.result({ json: { unverified: claims }, text: table(claimRows(claims)) });
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    const { code, message, part } = error;
    context.terminal.result({
      json: { code, message, part },
      text: printable(`no evidence: ${message} (${code})`),
    });
    return EXIT.refused;
  }
}
