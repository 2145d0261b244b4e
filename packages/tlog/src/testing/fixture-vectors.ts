import { existsSync, globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Published vectors lie beside the repository, our own inside it.
const published = new URL("../../../../../shared/vectors/ledger/", import.meta.url);
const own = new URL("../../../../vectors/tlog/", import.meta.url);

export const NEEDS_VECTORS = "needs ../shared/vectors";

/** The text of a published vector file, or `undefined` where the folder is missing. */
export function publishedVector(path: string): string | undefined {
  const url = new URL(path, published);
  return existsSync(url) ? readFileSync(url, "utf8") : undefined;
}

/** The texts of all files below a folder of published vectors, in a stable order. */
export function publishedVectors(folder: string): { path: string; text: string }[] {
  const cwd = fileURLToPath(new URL(folder, published));
  return globSync("**/*.json", { cwd })
    .toSorted()
    .map((path) => ({ path, text: readFileSync(new URL(`${folder}/${path}`, published), "utf8") }));
}

export function ownVector(path: string): string {
  return readFileSync(new URL(path, own), "utf8");
}
