import {
  formatDuration,
  KeyError,
  parseRotationPolicy,
  type RotationPolicy,
  type RotationSubject,
} from "@redoubt/keys";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { readInput } from "../input.ts";
import { printable, table } from "../table.ts";

export type PolicyCheck =
  | { readonly valid: true; readonly policy: RotationPolicy }
  | { readonly valid: false; readonly problems: readonly string[] };

const MAX_FILE_BYTES = 64 * 1024;

export interface PolicyCheckOptions {
  readonly tenants: RotationSubject["tenants"];
  readonly maxLifetime: number;
}

/** Reads an Azure Key Vault rotation policy as a signer would. */
export async function keysPolicyCheck(
  context: CommandContext,
  file: string,
  { tenants, maxLifetime: maxLifetimeSeconds }: PolicyCheckOptions,
): Promise<number> {
  const check = checkPolicyFile(fileArgument(context, file), { tenants, maxLifetimeSeconds });
  context.terminal.result({ json: check, text: policyText(check) });
  return check.valid ? EXIT.ok : EXIT.failed;
}

export function checkPolicyFile(path: string, subject: RotationSubject): PolicyCheck {
  return checkPolicy(readInput(path, MAX_FILE_BYTES), subject);
}

export function checkPolicy(json: Uint8Array, subject: RotationSubject): PolicyCheck {
  try {
    return { valid: true, policy: parseRotationPolicy(json, subject) };
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    return { valid: false, problems: problemsOf(error.message) };
  }
}

/** Splits a message that names every problem, separated by semicolons; one in brackets is part of a problem. */
function problemsOf(message: string): string[] {
  return message.replace(/^Rotation policy: /, "").split(/; (?![^(]*\))/);
}

export function policyText(check: PolicyCheck): string {
  if (!check.valid)
    return [
      `${check.problems.length} problem${check.problems.length === 1 ? "" : "s"}:`,
      ...check.problems.map((problem) => `  ${printable(problem)}`),
    ].join("\n");
  const { policy } = check;
  const rows = [
    ["signs for", policy.activeSeconds, "then the standby takes over"],
    ["stops at", policy.expirySeconds, "of age, whether or not another can follow"],
    [
      "alarm at",
      Math.floor((policy.expirySeconds * policy.alarmAtPercent) / 100),
      `of age (${policy.alarmAtPercent} %)`,
    ],
    ["notify at", policy.notifySeconds, "of age"],
    ["published", policy.prepublishSeconds, "before it may sign"],
    ["verifies for", policy.verifyOnlySeconds, "after it signed last"],
  ] as const;
  const shown = rows.flatMap(([name, seconds, what]) =>
    seconds === null ? [] : [[name, formatDuration(seconds), what]],
  );
  return [
    "The policy is good:",
    table([...shown, ["standbys", String(policy.standby), ""]]),
    ...policy.labels.map((label) => `Label: ${printable(label)}`),
    ...policy.notes.map((note) => `Note: ${printable(note)}`),
  ].join("\n");
}
