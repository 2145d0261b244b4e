import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

export const ROOT: string = resolve(import.meta.dirname, "../..");
export const TSC: string = join(ROOT, "node_modules/.bin/tsc");

const TIMEOUT_MS = 50_000;
/** All that packing needs of the repository. */
const COPIED = ["package-lock.json", "tsconfig.json", "tsconfig.pack.json", "tools", "packages"];
const LEFT_OUT = /\/(?:node_modules|dist|testing)$|\.test\.ts$/;

const execFileAsync = promisify(execFile);

export async function run(
  cwd: string,
  command: string,
  ...args: readonly string[]
): Promise<string> {
  const { stdout } = await execFileAsync(command, args, { cwd, timeout: TIMEOUT_MS });
  return stdout;
}

/** The verifier as npm packs it, and a project elsewhere that has installed it and nothing else. */
export class PackedVerify {
  readonly #scratch: string;
  readonly tree: string;
  readonly consumer: string;

  private constructor(scratch: string) {
    this.#scratch = scratch;
    this.tree = join(scratch, "tree");
    this.consumer = join(scratch, "consumer");
  }

  static async make(): Promise<PackedVerify> {
    const packed = new PackedVerify(await mkdtemp(join(tmpdir(), "redoubt-package-")));
    try {
      await packed.#copyTree();
      await packed.#install(await packed.pack(join(packed.tree, "packages/verify")));
    } catch (error) {
      await packed[Symbol.asyncDispose]();
      throw error;
    }
    return packed;
  }

  /** The tarball's path. */
  async pack(folder: string, ...args: readonly string[]): Promise<string> {
    const to = await mkdtemp(join(this.#scratch, "tarball-"));
    await run(folder, "npm", "pack", "--silent", "--pack-destination", to, ...args);
    const [name = ""] = await readdir(to);
    return join(to, name);
  }

  // Packing puts another manifest in the folder for a moment: not in the one that everybody works in.
  async #copyTree(): Promise<void> {
    await mkdir(this.tree);
    const workspaces = ["packages/verify"];
    await writeFile(
      join(this.tree, "package.json"),
      JSON.stringify({ name: "tree", private: true, workspaces }),
    );
    for (const name of COPIED)
      await cp(join(ROOT, name), join(this.tree, name), {
        recursive: true,
        filter: (source) => !LEFT_OUT.test(source),
      });
    await symlink(join(ROOT, "node_modules"), join(this.tree, "node_modules"));
  }

  async #install(tarball: string): Promise<void> {
    await mkdir(this.consumer);
    await writeFile(join(this.consumer, "package.json"), '{ "private": true }\n');
    await run(this.consumer, "npm", "install", "--offline", "--no-audit", "--no-fund", tarball);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#scratch, { recursive: true, force: true });
  }
}
