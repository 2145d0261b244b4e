import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";

const IMPORT = /^(?:import|export)\b[^"]*?from "(\.[^"]+)";\n/gms;
const COMMENT = /^\s*\/\*\*.*?\*\/\n|^\s*\/\/[^\n]*\n/gms;

/** Bytes of what the main entry loads, without the middleware: one text without comments and indentation, gzipped. */
export async function coreSize(dist: string): Promise<number> {
  const files = new Set([join(dist, "index.js")]);
  const texts: string[] = [];
  for (const file of files) {
    const text = await readFile(file, "utf8");
    for (const [, path = ""] of text.matchAll(IMPORT))
      if (!path.includes("/http/")) files.add(join(dirname(file), path));
    texts.push(text.replaceAll(IMPORT, "").replaceAll(COMMENT, "").replaceAll(/^\s+/gm, ""));
  }
  return gzipSync(texts.join(""), { level: 9 }).length;
}
