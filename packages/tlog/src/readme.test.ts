import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

describe("README.md", () => {
  it("has an example that runs", async () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const [, example = ""] = /```js\n(.*?)```/s.exec(readme) ?? [];
    // The name resolves only inside a package: the example gets the address instead.
    const index = new URL("./index.ts", import.meta.url).href;
    const source = example.replace('"@redoubt/tlog"', JSON.stringify(index));
    assert.notEqual(source, example);
    const module: { verified?: { index: number; checkpoint: { size: number } } } = await import(
      `data:text/javascript,${encodeURIComponent(source)}`
    );
    assert.deepEqual([module.verified?.index, module.verified?.checkpoint.size], [1, 3]);
  });
});
