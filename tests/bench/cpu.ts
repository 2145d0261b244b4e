import { readFileSync } from "node:fs";

/** Linux: clock ticks per second of /proc/<pid>/stat; 100 on every platform that Node runs on here. */
const TICKS_PER_SECOND = 100;

/** CPU seconds, user and system, that a process has used; 0 for one that is gone. */
export function cpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name may hold spaces and parentheses: fields are counted from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

export function totalCpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

/** CPU microseconds of this process for one call of `run`, over `count` calls. */
export async function cpuMicrosPerCall(
  count: number,
  run: (i: number) => unknown,
): Promise<number> {
  const start = process.cpuUsage();
  for (let i = 0; i < count; i += 1) {
    const result = run(i);
    if (result instanceof Promise) await result;
  }
  const { user, system } = process.cpuUsage(start);
  return (user + system) / count;
}
