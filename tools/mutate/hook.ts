// Loaded before everything else in a process of a mutation run: it serves one module with its mutation, and writes
// down which modules of the package are loaded. Processes that a test starts inherit it.
import { appendFileSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

interface Task {
  readonly folderUrl: string;
  readonly recordFile?: string;
  readonly mutation?: { url: string; start: number; end: number; replacement: string };
}

const task: Task = JSON.parse(process.env.REDOUBT_MUTATE ?? "{}");

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.startsWith(task.folderUrl)) return loaded;
    if (task.recordFile !== undefined) appendFileSync(task.recordFile, `${url}\n`);
    if (task.mutation?.url !== url) return loaded;
    const { start, end, replacement } = task.mutation;
    const text = readFileSync(fileURLToPath(url), "utf8");
    return { ...loaded, source: text.slice(0, start) + replacement + text.slice(end) };
  },
});
