import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { pathToFileURL } from "node:url";

it("the first example of the README runs as it stands", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, example = ""] = /```js\n(.*?)```/s.exec(readme) ?? [];
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
