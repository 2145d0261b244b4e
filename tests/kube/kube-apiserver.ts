import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { promisify } from "node:util";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";

/** The program, or why there is none. */
export type Built = { readonly program: string } | { readonly why: string };

const GO = ["/usr/local/go/bin/go", ...(process.env.PATH ?? "").split(":").map((at) => `${at}/go`)];
const BUILD_MS = 500_000;

/** kube-apiserver's own packages, at the versions of client/go.mod; a minute or two where nothing is cached. */
export async function buildKubeClient(): Promise<Built> {
  const go = GO.find((file) => existsSync(file));
  if (go === undefined) return { why: "no Go here" };
  const env = { ...process.env, GOFLAGS: "-mod=readonly -buildvcs=false", GOTOOLCHAIN: "local" };
  const cwd = join(import.meta.dirname, "client");
  try {
    await promisify(execFile)(go, ["mod", "download", "k8s.io/kubernetes"], { cwd, env });
  } catch (error) {
    return { why: `no Go modules: ${String(error).slice(0, 300)}` };
  }
  // From here on a failure is one of ours.
  const program = join(mkdtempSync(join(tmpdir(), "rdt-kube-")), "kube-client");
  await promisify(execFile)(go, ["build", "-o", program, "."], { cwd, env, timeout: BUILD_MS });
  return { program };
}

/** kube-apiserver's client of an external signer, and its authenticator, as a process that answers one line each. */
export class KubeApiServer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #ended: Promise<unknown>;
  readonly #errors: string[] = [];

  constructor(program: string, socket: string, issuer: string) {
    const child = spawn(program, [socket, issuer], { stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    this.#ended = once(child, "exit");
    child.stderr.on("data", (chunk: Buffer) => this.#errors.push(chunk.toString("utf8")));
    this.#lines = createInterface({ input: child.stdout });
  }

  /** One question at a time. */
  async ask(question: JsonObject): Promise<JsonObject> {
    const answered = once(this.#lines, "line");
    this.#child.stdin?.write(`${JSON.stringify(question)}\n`);
    const ended = this.#ended.then(() => {
      throw new Error(`kube-apiserver's client ended: ${this.#errors.join("")}`);
    });
    const [line] = await Promise.race([answered, ended]);
    return parseJsonObject(Buffer.from(String(line)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
