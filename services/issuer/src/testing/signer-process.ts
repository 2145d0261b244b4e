import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** A signer in a process of its own, at the place that a `System` made for it. */
export class SignerProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  #signed = 0;

  constructor(root: string) {
    this.#child = fork(join(import.meta.dirname, "signer-main.ts"), [root]);
    this.#child.on("message", (message) => {
      if (message === "signed") this.#signed += 1;
    });
  }

  static async start(root: string): Promise<SignerProcess> {
    const signer = new SignerProcess(root);
    await once(signer.#child, "message");
    return signer;
  }

  /** Tokens that it signed, whoever got them. */
  get signed(): number {
    return this.#signed;
  }

  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}
