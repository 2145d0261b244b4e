import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { errorLine, ServiceError } from "@redoubt/base";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { printable } from "../table.ts";
import type { Case } from "./corpus.ts";

const MAX_LINE_CHARS = 65_536;
const MAX_ERROR_CHARS = 200;

/** What a verifier did with one case. `error` is what it said, made safe for a terminal, or how it failed. */
export interface Answer {
  readonly kind: "accepted" | "refused" | "crashed" | "timed-out" | "malformed";
  readonly error?: string;
}

export interface VerifierCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly timeoutMs: number;
  /** Where its stderr goes. */
  readonly stderr: "inherit" | "ignore";
}

/**
 * One run of somebody's verifier. After anything but a proper answer it is killed, and nothing more can be asked of it.
 */
export class VerifierProcess {
  readonly #child: ChildProcess;
  readonly #timeoutMs: number;
  /** Takes what comes next: a line, or the end. */
  #take: ((answer: Answer | string) => void) | undefined;
  /** What came before anybody asked. */
  #early: Answer | string | undefined;

  /** @throws ServiceError `ERR_VERIFIER_COMMAND` where it cannot be started */
  static async start(how: VerifierCommand): Promise<VerifierProcess> {
    const child = spawn(how.command, how.args, {
      cwd: how.cwd,
      stdio: ["pipe", "pipe", how.stderr],
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (cause) =>
        reject(new ServiceError("ERR_VERIFIER_COMMAND", errorLine(cause), { cause })),
      );
    });
    return new VerifierProcess(child, how.timeoutMs);
  }

  private constructor(child: ChildProcess, timeoutMs: number) {
    this.#child = child;
    this.#timeoutMs = timeoutMs;
    const { stdin, stdout } = child;
    // Writing fails if the process has ended; `close` below reports that.
    stdin?.on("error", () => undefined);
    child.on("error", () => undefined);
    if (stdout === null) throw new TypeError("stdout is not a pipe");
    let unfinished = 0;
    stdout.on("data", (chunk: Buffer) => {
      const end = chunk.lastIndexOf(0x0a);
      unfinished = end < 0 ? unfinished + chunk.length : chunk.length - end - 1;
      if (unfinished <= MAX_LINE_CHARS) return;
      stdout.destroy();
      this.#settle({ kind: "malformed", error: `a line of more than ${MAX_LINE_CHARS} bytes` });
    });
    createInterface({ input: stdout }).on("line", (line) => this.#settle(line));
    child.on("close", (code, signal) =>
      this.#settle({ kind: "crashed", error: signal ?? `exit code ${code}` }),
    );
  }

  get isRunning(): boolean {
    return !this.#child.killed && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async ask({ id, question }: Case): Promise<Answer> {
    const timer = setTimeout(() => this.#settle({ kind: "timed-out" }), this.#timeoutMs);
    const came = new Promise<Answer | string>((resolve) => (this.#take = resolve));
    if (this.#early === undefined) this.#child.stdin?.write(`${question}\n`);
    else this.#settle(this.#early);
    const taken = await came;
    clearTimeout(timer);
    const answer = typeof taken === "string" ? readAnswer(id, taken) : taken;
    if (answer.kind !== "accepted" && answer.kind !== "refused") this.kill();
    return answer;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
    this.#child.stdin?.destroy();
    this.#child.stdout?.destroy();
  }

  #settle(came: Answer | string): void {
    const take = this.#take;
    this.#take = undefined;
    if (take === undefined) this.#early ??= came;
    else take(came);
  }
}

function readAnswer(id: number, line: string): Answer {
  let answer: JsonObject;
  try {
    answer = parseJsonObject(line);
  } catch (error) {
    return { kind: "malformed", error: errorLine(error) };
  }
  const { error = "" } = answer;
  if (answer.id !== id) return { kind: "malformed", error: "id is not the question's" };
  if (typeof answer.accepted !== "boolean" || typeof error !== "string")
    return { kind: "malformed", error: "accepted must be true or false, error a string" };
  const kind = answer.accepted ? "accepted" : "refused";
  return error === "" ? { kind } : { kind, error: printable(error.slice(0, MAX_ERROR_CHARS)) };
}
