import assert from "node:assert/strict";
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { entryBundlePath, parseEntryBundle, tilePath } from "@redoubt/tlog";
import { Deployment } from "./testing/deployment.ts";
import { PublishedFolder } from "./testing/published.ts";
import { System } from "./testing/system.ts";

const IMMUTABLE = "public, max-age=31536000, immutable";
/** Memory holds nothing: each request reads the file. */
const UNCACHED = { cacheBytes: 0 } as const;

async function get(
  system: System,
  { id }: PublishedFolder,
  path: string,
): Promise<{ readonly status: number; readonly bytes: Buffer; readonly caching: string | null }> {
  const answer = await fetch(`${system.origin}/tlog/${id}/${path}`);
  const bytes = Buffer.from(await answer.arrayBuffer());
  return { status: answer.status, bytes, caching: answer.headers.get("cache-control") };
}

const alarms = (system: System): unknown[] =>
  system.events.filter(({ name }) => name === "alarm").map(({ fields }) => fields);

describe("a published log", () => {
  test("every file is served as it stands, full ones and those of the right edge", async () => {
    await using system = await System.open(Deployment.standard(), UNCACHED);
    const log = new PublishedFolder(system.published);
    for (const size of [1, 255, 256, 257, 512, 700]) {
      const paths = log.write(size);
      for (const path of paths) {
        const { status, bytes, caching } = await get(system, log, path);
        assert.deepEqual([status, caching], [200, IMMUTABLE], `${path} at ${size}`);
        assert.deepEqual(bytes, readFileSync(join(log.folder, path)), `${path} at ${size}`);
      }
      const { bytes, caching } = await get(system, log, "checkpoint");
      assert.deepEqual(
        [bytes, caching],
        [readFileSync(join(log.folder, "checkpoint")), "no-cache"],
      );
    }
    assert.deepEqual(alarms(system), []);
  });

  test("a tree of three levels", async () => {
    await using system = await System.open(Deployment.standard(), UNCACHED);
    const log = new PublishedFolder(system.published);
    log.write(65_536 + 300);
    const paths = [
      tilePath(0, 255),
      tilePath(1, 0),
      tilePath(1, 1, 1),
      tilePath(2, 0, 1),
      entryBundlePath(256),
    ];
    for (const path of paths) assert.equal((await get(system, log, path)).status, 200, path);
    const file = join(log.folder, tilePath(1, 0));
    writeFileSync(
      file,
      readFileSync(file).map((byte, i) => (i === 8191 ? byte ^ 1 : byte)),
    );
    const below = [tilePath(0, 255), tilePath(1, 0)];
    for (const path of paths)
      assert.equal((await get(system, log, path)).status, below.includes(path) ? 503 : 200, path);
  });

  test("an older partial size is the beginning of what stands there now", async () => {
    await using system = await System.open(Deployment.standard(), UNCACHED);
    const log = new PublishedFolder(system.published);
    log.write(100);
    const [tile, bundle] = [
      await get(system, log, tilePath(0, 0, 100)),
      await get(system, log, entryBundlePath(0, 100)),
    ];
    log.write(300);
    assert.deepEqual((await get(system, log, tilePath(0, 0, 100))).bytes, tile.bytes);
    assert.deepEqual((await get(system, log, entryBundlePath(0, 100))).bytes, bundle.bytes);
    assert.equal(parseEntryBundle(bundle.bytes).length, 100);
  });

  test("what the checkpoint does not cover is not there yet", async () => {
    await using system = await System.open(Deployment.standard(), UNCACHED);
    const log = new PublishedFolder(system.published);
    log.write(300);
    const note = readFileSync(join(log.folder, "checkpoint"));
    log.write(600);
    writeFileSync(join(log.folder, "checkpoint"), note);
    for (const path of [
      tilePath(0, 1),
      tilePath(0, 2, 88),
      entryBundlePath(1),
      tilePath(0, 1, 45),
      tilePath(1, 0, 2),
      tilePath(3, 0),
    ])
      assert.equal((await get(system, log, path)).status, 404, path);
    for (const path of [
      tilePath(0, 0),
      entryBundlePath(0),
      tilePath(0, 1, 44),
      entryBundlePath(1, 44),
      tilePath(1, 0, 1),
    ])
      assert.equal((await get(system, log, path)).status, 200, path);
    rmSync(join(log.folder, "checkpoint"));
    assert.equal((await get(system, log, tilePath(0, 0))).status, 404);
    assert.equal((await get(system, log, "checkpoint")).status, 404);
    assert.deepEqual(alarms(system), []);
  });

  test("one bit of any file is not served, is an alarm once, and is served again when it is right", async (t) => {
    const paths = ["checkpoint", "tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"];
    for (const path of [...paths, "tile/entries/000", "tile/entries/002.p/188"])
      await t.test(path, async () => {
        for (const bit of [1, 128])
          for (const part of [0, 0.3, 0.6, 1]) {
            await using system = await System.open(Deployment.standard(), UNCACHED);
            const log = new PublishedFolder(system.published);
            log.write(700);
            const file = join(log.folder, path);
            const whole = readFileSync(file);
            const at = Math.floor(part * (whole.length - 1));
            writeFileSync(
              file,
              whole.map((byte, i) => (i === at ? byte ^ bit : byte)),
            );
            assert.equal((await get(system, log, path)).status, 503, `bit ${bit} of byte ${at}`);
            assert.equal((await get(system, log, path)).status, 503);
            assert.equal(alarms(system).length, 1);
            const [alarm] = alarms(system);
            assert.match(JSON.stringify(alarm), /"kind":"file-damaged","severity":"warning"/);
            writeFileSync(file, whole);
            assert.deepEqual((await get(system, log, path)).bytes, whole);
          }
      });
  });

  test("a file that is lost, cut short or grown is not served", async () => {
    for (const path of [
      "tile/0/000",
      "tile/1/000.p/2",
      "tile/entries/001",
      "tile/entries/002.p/188",
    ])
      for (const change of [-1, -67, 1, undefined]) {
        await using system = await System.open(Deployment.standard(), UNCACHED);
        const log = new PublishedFolder(system.published);
        log.write(700);
        const file = join(log.folder, path);
        if (change === undefined) rmSync(file);
        else if (change < 0) writeFileSync(file, readFileSync(file).subarray(0, change));
        else appendFileSync(file, Buffer.alloc(change));
        assert.equal((await get(system, log, path)).status, 503, `${path} ${change}`);
      }
  });

  test("a list with another id, another key, or none is not served, nor anything by it", async () => {
    await using system = await System.open(Deployment.standard(), UNCACHED);
    const log = new PublishedFolder(system.published);
    log.write(10);
    const file = join(system.published, "logs.json");
    const whole = readFileSync(file, "utf8");
    const list = (): Promise<Response> => fetch(`${system.origin}/tlog/logs.json`);
    assert.equal(await (await list()).text(), whole);
    const [vkey = ""] = /test\.example[^"+]*\+[0-9a-f]{8}\+[^"]+/.exec(whole) ?? [];
    const damages = [
      whole.replace(log.id, "0".repeat(16)),
      whole.replace('"origin":"test', '"origin":"tesu'),
      whole.replace(vkey, `${vkey.slice(0, -3)}AAA`),
      whole.replace(/"vkeys":\[.*\]\}/, '"vkeys":[]}'),
      whole.slice(0, -1),
      "",
    ];
    for (const damaged of damages) {
      assert.notEqual(damaged, whole);
      writeFileSync(file, damaged);
      assert.equal((await list()).status, 503, damaged);
      assert.equal((await get(system, log, "checkpoint")).status, 503);
      assert.equal((await get(system, log, tilePath(0, 0, 10))).status, 503);
    }
    rmSync(file);
    assert.equal((await list()).status, 404);
    assert.equal((await get(system, log, "checkpoint")).status, 404);
  });

  test("what was found right once is served from memory", async () => {
    await using system = await System.open(Deployment.standard());
    const log = new PublishedFolder(system.published);
    log.write(300);
    const { bytes } = await get(system, log, tilePath(0, 0));
    rmSync(log.folder, { recursive: true });
    assert.deepEqual((await get(system, log, tilePath(0, 0))).bytes, bytes);
  });
});
