// Formats every file, applies the lint fixes that are safe, and writes what is generated from the sources.
import { spawnSync } from "node:child_process";

const commands: readonly (readonly [string, ...string[]])[] = [
  ["node_modules/.bin/oxlint", "--type-aware", "--fix"],
  ["node_modules/.bin/oxfmt"],
  [process.execPath, "tools/errors.ts"],
  [process.execPath, "tools/api.ts"],
  [process.execPath, "tools/metrics.ts"],
];
for (const [command, ...args] of commands) {
  const { status } = spawnSync(command, args, { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
