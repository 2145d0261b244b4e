import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { Result } from "../terminal.ts";
import { linkInit, type LinkInitOptions } from "./link-init.ts";

const root = mkdtempSync(join(tmpdir(), "redoubt-link-init-"));
after(() => rmSync(root, { recursive: true }));

async function run(folder: string, options: LinkInitOptions) {
  const results: Result[] = [];
  const terminal = {
    result: (result: Result) => void results.push(result),
    line: () => assert.fail("a line"),
    notice: () => assert.fail("a notice"),
  };
  const questions = { input: process.stdin, output: process.stderr };
  const context = { folder, typedIn: root, json: true, terminal, questions };
  assert.equal(await linkInit(context, options), 0);
  return results[0] ?? assert.fail("no result");
}

describe("redoubt link init", () => {
  it("makes a key for its user alone and says its pin, the same the next time", async () => {
    const folder = join(root, "a");
    const options = { name: "link", alg: "Ed25519" } as const;
    const { json, text } = await run(folder, options);
    const files = {
      key: join(folder, "link", "link.key"),
      certificate: join(folder, "link", "link.pem"),
    };
    const [pin = ""] = /[\w-]{43}$/.exec(text) ?? [];
    assert.deepEqual(json, { pin, isNew: true, ...files });
    assert.equal(statSync(files.key).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, "link")).mode & 0o777, 0o700);
    assert.deepEqual((await run(folder, options)).json, { pin, isNew: false, ...files });
  });

  it("makes the next key beside the one in use", async () => {
    const folder = join(root, "b");
    const first = await run(folder, { name: "link", alg: "Ed25519" });
    const next = await run(folder, { name: "link-2", alg: "ES256" });
    assert.notDeepEqual(first.json, next.json);
    assert.match(next.text, /^Made .*link-2\.key\n/);
  });
});
