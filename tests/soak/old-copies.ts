import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ServiceName } from "@redoubt/cli";
import { MemberReader } from "@redoubt/base";
import { isJsonObject, parseJson } from "@redoubt/verify/json";
import { RedoubtProcess } from "../e2e/redoubt-process.ts";
import { survivors, type Ending, type System } from "../e2e/system.ts";
import type { Fault, TrueAlarm } from "./fault.ts";
import type { Machine } from "./machine.ts";

/** docs/guide/backup.md, "Restoring": what ends it, as `redoubt recover` names it. */
type WayOut = "none" | "witness" | "log";

export interface OldCopyOptions {
  /** How the copy is made: by `redoubt backup`, or of the folder of a process that was stopped. */
  readonly made: "while it runs" | "at a stop";
  /** What ends the process whose folder is exchanged. */
  readonly by: "SIGTERM" | "SIGKILL";
}

const STOP_MS = 15_000;
const WORD_MS = 30_000;
const COMMAND_MS = 60_000;
const POLL_MS = 200;
const REASON = ["--reason", "old copy in a soak", "--yes"];

/** THREAT-38: one process starts again on an older copy of its folder, and what is named then is done. */
export function oldCopy(service: ServiceName, { made, by }: OldCopyOptions): Fault {
  let copy: string | undefined;
  return {
    kind: "old-copy",
    name: `old copy of ${service}, made ${made}, after ${by}`,
    holdMs: 0,
    alarms: alarmsOf(service),
    prepare: async (machine) => {
      copy = await (made === "at a stop" ? copyAtStop : backUp)(machine, service);
    },
    begin: async (machine) => {
      const { system } = machine;
      const from = copy;
      if (from === undefined) throw new TypeError("No copy was made");
      await whileStopped(system, service, by, () => {
        const newest = machine.place(`newest-${service}`);
        execFileSync("mv", [join(system.folder, service), newest]);
        execFileSync("cp", ["-a", from, join(system.folder, service)]);
        if (service === "ledger") machine.lostLedgers.push(join(newest, "ledger.db"));
        else rmSync(newest, { recursive: true });
      });
      return () => follow(system, wayOutOf(service));
    },
  };
}

function wayOutOf(service: ServiceName): WayOut {
  if (service === "ledger") return "log";
  return service === "monitor" ? "witness" : "none";
}

function alarmsOf(service: ServiceName): readonly TrueAlarm[] {
  switch (wayOutOf(service)) {
    case "log":
      return [
        { kind: "log-shrunk", endedBy: "itself" },
        { kind: "audit-blind", endedBy: "itself" },
        { kind: "log-closed", endedBy: "person" },
        { kind: "event signer-halted", endedBy: "person" },
        { kind: "event signer-refuses-ledger", endedBy: "person" },
      ];
    case "witness":
      return [
        { kind: "witness-rollback", endedBy: "person" },
        { kind: "witness-moved", endedBy: "person" },
        // Deliveries that were told to the memory that is lost.
        { kind: "orphaned", endedBy: "person", isLate: true },
      ];
    case "none":
      // Which tokens it had given out and not told yet, nobody knows any more.
      return service.startsWith("issuer-")
        ? [{ kind: "orphaned", endedBy: "person", isLate: true }]
        : [];
  }
}

async function backUp(machine: Machine, service: ServiceName): Promise<string> {
  const copy = machine.place("backup");
  await must(machine.system, ["backup", copy]);
  return join(copy, service);
}

async function copyAtStop({ system, place }: Machine, service: ServiceName): Promise<string> {
  const copy = place(`stopped-${service}`);
  await whileStopped(system, service, "SIGTERM", () => {
    execFileSync("cp", ["-a", join(system.folder, service), copy]);
  });
  return copy;
}

/** The supervisor would start it again at once: it stands still meanwhile. */
async function whileStopped(
  system: System,
  service: ServiceName,
  by: OldCopyOptions["by"],
  work: () => void,
): Promise<void> {
  const pid = await system.pidOf(service);
  process.kill(system.supervisor.pid, "SIGSTOP");
  try {
    process.kill(pid, by);
    if ((await survivors([pid], STOP_MS)).length > 0) throw new Error(`${service} does not end`);
    work();
  } finally {
    process.kill(system.supervisor.pid, "SIGCONT");
  }
}

/** Does what `recover` names, which must be what the guide says, and sees that nothing stands still after it. */
async function follow(system: System, wayOut: WayOut): Promise<void> {
  if (wayOut !== "none") {
    // An old ledger holds too little of both logs; an old witness may meet what it signed of one first.
    const wanted = wayOut === "log" ? 2 : 1;
    const named = await remediesWhen(
      system,
      (remedies) => remedies.filter((one) => one === wayOut).length >= wanted,
    );
    if (named.some((remedy) => !["none", "wait", wayOut].includes(remedy)))
      throw new Error(`recover names ${named.join(", ")}, expected ${wayOut}`);
  }
  if (wayOut === "witness") await must(system, ["recover", "witness", ...REASON]);
  if (wayOut === "log")
    for (const realm of ["consumer", "enterprise"])
      await must(system, ["recover", "log", "--realm", realm, ...REASON]);
  await remediesWhen(system, (remedies) => remedies.every((remedy) => remedy === "none"));
}

/** What `recover` names for each log, once that fits. */
async function remediesWhen(
  system: System,
  fits: (remedies: readonly string[]) => boolean,
): Promise<readonly string[]> {
  const deadline = performance.now() + WORD_MS;
  for (;;) {
    const { stdout, stderr } = await run(system, ["recover"]);
    const findings = parseFindings(stdout);
    if (findings.length > 0 && fits(findings)) return findings;
    if (performance.now() > deadline) throw new Error(`recover says ${stdout}${stderr}`);
    await pause(POLL_MS);
  }
}

function parseFindings(text: string): string[] {
  if (!text.startsWith("[")) return [];
  const findings = parseJson(text);
  if (!Array.isArray(findings)) return [];
  return findings
    .filter(isJsonObject)
    .map((finding) => new MemberReader(finding, "finding").string("remedy"));
}

async function must(system: System, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await run(system, args);
  if (code !== 0) throw new Error(`${args.join(" ")}: exit code ${code}: ${stdout}${stderr}`);
}

/** A command that does not end is one that fails. */
async function run({ folder }: System, args: readonly string[]): Promise<Ending> {
  const command = new RedoubtProcess(["--json", "--data", folder, ...args]);
  command.write("");
  const force = setTimeout(() => command.kill("SIGKILL"), COMMAND_MS);
  return await command.ended.finally(() => clearTimeout(force));
}
