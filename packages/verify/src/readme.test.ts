import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { pathToFileURL } from "node:url";
import { ISSUER_PROFILES } from "./issuer-profile.ts";

it("the whole example of the README runs as it stands", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, example = ""] = /```js\n(import assert.*?)```/s.exec(readme) ?? [];
  assert.match(example, /from "@redoubt\/verify"/);
  const folder = await mkdtemp(join(tmpdir(), "redoubt-readme-"));
  try {
    const file = join(folder, "example.mjs");
    const index = new URL("./index.ts", import.meta.url).href;
    await writeFile(file, example.replace("@redoubt/verify", index));
    await import(pathToFileURL(file).href);
  } finally {
    await rm(folder, { recursive: true });
  }
});

it("the README names every profile", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  for (const name of Object.keys(ISSUER_PROFILES)) assert.ok(readme.includes(`\`${name}\``), name);
});
