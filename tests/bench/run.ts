// Ratios of one interleaved run: each side of a comparison was measured in turn with the other.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { benchAppend, postgresIsInstalled } from "./append.ts";
import { benchEvidence, evidenceSamplesExist } from "./evidence.ts";
import { benchIssuance } from "./issuance.ts";
import { benchLeases } from "./leases.ts";
import type { Measure } from "./measure.ts";
import { benchSignIn } from "./sign-in.ts";
import { benchVerification } from "./verification.ts";

const isJson = process.argv.includes("--json");
const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const suites: Readonly<Record<string, () => AsyncGenerator<Measure>>> = {
  issuance: benchIssuance,
  verify: benchVerification,
  append: benchAppend,
  evidence: benchEvidence,
  leases: benchLeases,
  "sign-in": benchSignIn,
};

refuseMemoryFileSystem();
let measured = 0;
for (const [name, suite] of Object.entries(suites)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  if (name === "append" && !postgresIsInstalled()) {
    console.error("append: skipped, PostgreSQL is not installed (npm run setup)");
    continue;
  }
  if (name === "evidence" && !evidenceSamplesExist()) {
    console.error("evidence: skipped, the evidence of real machines is not here");
    continue;
  }
  for await (const measure of suite()) {
    measured += 1;
    console.log(isJson ? JSON.stringify(measure) : line(measure));
  }
}
if (measured === 0)
  throw new Error(`no suite measured: there are ${Object.keys(suites).join(", ")}`);
process.exit();

function line({ name, value, unit, against, ratio }: Measure): string {
  const comparison = against === undefined ? "" : `  ${ratio} × ${against}`;
  return `${name.padEnd(26)} ${String(value).padStart(9)} ${unit}${comparison}`;
}

/** A log on a memory file system syncs nothing: its figures would be about another machine. */
function refuseMemoryFileSystem(): void {
  if (!existsSync("/usr/bin/stat")) return;
  const type = execFileSync("/usr/bin/stat", ["-f", "-c", "%T", tmpdir()], {
    encoding: "utf8",
  }).trim();
  if (type === "tmpfs" || type === "ramfs")
    throw new Error(`${tmpdir()} is ${type}: set TMPDIR to a folder on a disk`);
}
