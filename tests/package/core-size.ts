import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Bytes, bundled, minified and gzipped, of what a service loads that verifies the tokens of its issuers. */
export async function coreSize(folder: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: {
      contents: 'export { createVerifier, fromDiscovery } from "@redoubt/verify";',
      resolveDir: folder,
    },
    bundle: true,
    minify: true,
    platform: "node",
    format: "esm",
    write: false,
    // Imported when the option is given, and only then.
    external: ["*/attestation.js"],
  });
  return gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length;
}
