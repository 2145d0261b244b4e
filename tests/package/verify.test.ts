import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { glob, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseJsonObject } from "@redoubt/verify/json";
import { coreSize } from "./core-size.ts";
import { PackedVerify, ROOT, run, TSC } from "./packed.ts";

/** Lines of releases that the README promises. */
const MAJORS = ["20", "22", "24"];
const MAX_CORE_BYTES = 20 * 1024;

const ENTRIES = ["", "/express", "/fastify", "/hono", "/fetch", "/json", "/base64url", "/record"];

let packed: PackedVerify;
before(async () => {
  packed = await PackedVerify.make();
});
after(() => packed[Symbol.asyncDispose]());

function installed(): string {
  return join(packed.consumer, "node_modules/@redoubt/verify");
}

async function listed(folder: string): Promise<readonly string[]> {
  const files: string[] = [];
  for await (const file of glob("**/*.*", { cwd: folder })) files.push(file);
  return files;
}

/** One Node.js of each line that is on the PATH or in REDOUBT_NODES. */
async function nodes(): Promise<ReadonlyMap<string, string>> {
  const { PATH = "", REDOUBT_NODES = "" } = process.env;
  const binaries = [
    process.execPath,
    ...REDOUBT_NODES.split(delimiter),
    ...PATH.split(delimiter).map((folder) => join(folder, "node")),
  ].filter((binary) => existsSync(binary));
  const found = new Map<string, string>();
  for (const binary of binaries) {
    const major = (await run(ROOT, binary, "-p", "process.versions.node")).split(".", 1)[0] ?? "";
    if (MAJORS.includes(major) && !found.has(major)) found.set(major, binary);
  }
  return found;
}

async function compile(options: object, source: string): Promise<void> {
  await writeFile(join(packed.consumer, "main.ts"), source);
  const compilerOptions = {
    types: [],
    skipLibCheck: false,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    target: "ES2022",
    ...options,
  };
  const config = { compilerOptions, files: ["main.ts"] };
  await writeFile(join(packed.consumer, "tsconfig.json"), JSON.stringify(config));
  await run(packed.consumer, TSC, "-p", ".").catch(({ stdout }) => assert.fail(String(stdout)));
}

describe("@redoubt/verify as it is packed", () => {
  it("is the same from its folder and from the root, and leaves the folder as it was", async () => {
    const { tree } = packed;
    const manifest = await readFile(join(tree, "packages/verify/package.json"), "utf8");
    assert.equal(manifest, await readFile(join(ROOT, "packages/verify/package.json"), "utf8"));
    const fromRoot = await packed.pack(tree, "--workspace", "@redoubt/verify");
    const list = await run(tree, "tar", "-tzf", fromRoot);
    const names = list.trim().split("\n");
    const files = await listed(installed());
    assert.deepEqual(
      names.map((name) => name.replace("package/", "")).toSorted(),
      [...files, "LICENSE"].toSorted(),
    );
  });

  it("holds licence, README, JavaScript and declarations, and needs nothing", async () => {
    const files = await listed(installed());
    const expected = /^(?:README\.md|package\.json|dist\/.*\.(?:js|d\.ts))$/;
    for (const file of files) assert.match(file, expected);
    const licence = await readFile(join(installed(), "LICENSE"), "utf8");
    assert.equal(licence, await readFile(join(ROOT, "LICENSE"), "utf8"));
    const manifest = parseJsonObject(await readFile(join(installed(), "package.json"), "utf8"));
    for (const name of ["dependencies", "peerDependencies", "scripts", "layer"])
      assert.equal(manifest[name], undefined, name);
    const { exports = null } = manifest;
    assert.doesNotMatch(JSON.stringify(exports), /src|(?<!\.d)\.ts"/);
    for (const file of files.filter((name) => name.endsWith(".js")))
      for (const [, from = ""] of (await readFile(join(installed(), file), "utf8")).matchAll(
        /from "([^"]+)"/g,
      ))
        assert.match(from, /^\.\.?\/.*\.js$|^node:/, file);
  });

  it("declares nothing in terms of Node.js", async () => {
    const files = (await listed(installed())).filter((file) => file.endsWith(".d.ts"));
    assert.ok(files.length > 10);
    for (const file of files) {
      const text = await readFile(join(installed(), file), "utf8");
      assert.doesNotMatch(text, /\bBuffer\b|\bKeyObject\b|"node:|\bNodeJS\b|\.ts"/, file);
    }
  });

  for (const [module, moduleResolution] of [
    ["NodeNext", "NodeNext"],
    ["ESNext", "bundler"],
  ])
    it(`compiles without @types/node, resolution ${moduleResolution}`, async () => {
      const all = ENTRIES.map((entry, i) => `export * as e${i} from "@redoubt/verify${entry}";\n`);
      const use = `
import { createVerifier, TokenError, type Verifier } from "@redoubt/verify";
import { decodeBase64url } from "@redoubt/verify/base64url";
export const bytes: Uint8Array = decodeBase64url("AQI");
export const subject = (verifier: Verifier, token: string): string => verifier.verify(token).payload.sub;
// @ts-expect-error No trust, no audience: the types are there, and say so.
export const wrong = createVerifier({});
export const code: string = new TokenError("ERR_JWT_EXPIRED", "Expired").code;
`;
      await compile({ module, moduleResolution }, all.join("") + use);
    });

  it("runs the first example of its README on each Node.js that is here", async (t) => {
    const readme = await readFile(join(installed(), "README.md"), "utf8");
    const [, example = ""] = /```js\n(import assert.*?)```/s.exec(readme) ?? [];
    assert.match(example, /from "@redoubt\/verify"/);
    await writeFile(join(packed.consumer, "example.mjs"), example);
    const entries = ENTRIES.map((entry) => `await import("@redoubt/verify${entry}");\n`);
    await writeFile(join(packed.consumer, "entries.mjs"), entries.join(""));
    const here = await nodes();
    assert.ok(here.size > 0);
    for (const major of MAJORS) {
      const node = here.get(major);
      t.diagnostic(`Node.js ${major}: ${node === undefined ? "not here, not run" : "runs"}`);
      if (node === undefined) continue;
      for (const file of ["example.mjs", "entries.mjs"]) await run(packed.consumer, node, file);
    }
  });

  it("its core is at most 20 KiB, bundled and gzipped", async (t) => {
    const size = await coreSize(packed.consumer);
    t.diagnostic(`core: ${size} bytes gzipped, at most ${MAX_CORE_BYTES}`);
    assert.ok(size > 10_000 && size <= MAX_CORE_BYTES, String(size));
  });
});
