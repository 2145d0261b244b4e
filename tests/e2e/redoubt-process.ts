import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const MAIN = join(repository, "apps", "redoubt", "src", "main.ts");

export interface Ending {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One `redoubt` command as a process of its own, as an operator runs it. */
export class RedoubtProcess {
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #text = { stdout: "", stderr: "" };
  readonly #readers = new Set<() => void>();

  /** With `isTied` the command is told, by the end of its channel, when this process ends however it ends. */
  constructor(
    args: readonly string[],
    options: {
      readonly isTied?: boolean;
      readonly cwd?: string;
      /** Network namespace that stands for a machine. */
      readonly namespace?: string;
      /** Variables beside the few that every command gets. */
      readonly environment?: Readonly<Record<string, string>>;
    } = {},
  ) {
    const { isTied = false, cwd = repository, namespace, environment } = options;
    const command = [process.execPath, MAIN, ...args];
    const inside =
      namespace === undefined ? command : ["ip", "netns", "exec", namespace, ...command];
    this.#child = spawn(inside[0] ?? "", inside.slice(1), {
      cwd,
      env: { ...cleanEnvironment(), ...environment },
      stdio: isTied ? ["pipe", "pipe", "pipe", "ipc"] : ["pipe", "pipe", "pipe"],
    });
    this.#collect("stdout");
    this.#collect("stderr");
    // A command that does not read its input may end before it is written.
    this.#child.stdin?.on("error", () => undefined);
    this.ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code, signal) => {
        resolve({ code, signal, ...this.#text });
        for (const read of this.#readers) read();
      });
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error("Process did not start");
    return pid;
  }

  get stdout(): string {
    return this.#text.stdout;
  }
  get stderr(): string {
    return this.#text.stderr;
  }
  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  write(input: string): void {
    this.#child.stdin?.end(input);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The first whole line of stdout that `take` takes; undefined when the process ended without one. */
  async line(take: (line: string) => boolean, timeoutMs: number): Promise<string | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    const read = () => {
      const found = this.stdout.split("\n").slice(0, -1).find(take);
      if (found !== undefined || !this.isRunning) resolve(found);
    };
    const timer = setTimeout(() => {
      reject(new Error(`No such line in ${timeoutMs} ms; stderr: ${this.stderr.slice(-2000)}`));
    }, timeoutMs);
    this.#readers.add(read);
    read();
    return promise.finally(() => {
      clearTimeout(timer);
      this.#readers.delete(read);
    });
  }

  #collect(name: "stdout" | "stderr"): void {
    const stream = this.#child[name];
    stream?.setEncoding("utf8");
    stream?.on("data", (chunk: string) => {
      this.#text[name] += chunk;
      for (const read of this.#readers) read();
    });
  }
}

/** What the caller's shell says of Redoubt would decide what is tested. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  return { PATH, HOME, TMPDIR, LANG: "C.UTF-8" };
}

/**
 * Whether a process still runs. A zombie does not: where nobody collects orphans (a container without init) a
 * process that ended stays in the table.
 */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // proc(5): the name is in brackets and may hold anything; the state is the first field after it.
    return !stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return process.platform !== "linux";
  }
}
