import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCode } from "@redoubt/base";
import { CompactRange, encodeEntryBundle } from "@redoubt/tlog";
import { testKey } from "../testing/registry.ts";
import { checkLog } from "./check-log.ts";
import { isFinding } from "./finding.ts";
import { namedKeys, type LogKeys } from "./log-keys.ts";
import { ORIGIN, PublishedLog } from "./testing/published-log.ts";

/** The clock of whoever checks. */
const NOW = 1_800_000_000;

function keysOf({ key, writer, witness }: PublishedLog): LogKeys {
  return { required: [key.vkey, writer.vkey], optional: [witness.vkey] };
}

function check(log: PublishedLog, keys: LogKeys | undefined = keysOf(log), origin?: string) {
  return checkLog(log, {
    keysOf: () => keys,
    ...(origin === undefined ? {} : { expectedOrigin: origin }),
    onProgress: () => undefined,
    now: NOW,
  });
}

async function refuses(log: PublishedLog, code: string, keys?: LogKeys): Promise<void> {
  await assert.rejects(keys ? check(log, keys) : check(log), (error) => {
    assert.equal(errorCode(error), code);
    assert.equal(isFinding(error), true);
    return true;
  });
}

for (const size of [1, 2, 255, 256, 257, 511, 512, 700])
  test(`a log of ${size} entries is recomputed and agrees`, async () => {
    const log = new PublishedLog(size);
    const found = await check(log);
    assert.equal(found.size, size);
    assert.equal(found.label, "not cosigned");
    assert.deepEqual(found.signedBy, [ORIGIN, `${ORIGIN}/writer`]);
    assert.equal(found.cosignedSeconds, null);
    // Every hash tile was compared: level 0, and level 1 from 256 entries on.
    assert.equal(found.tiles, Math.ceil(size / 256) + (size >= 256 ? 1 : 0));
  });

test("an empty log is its checkpoint", async () => {
  const log = new PublishedLog(1);
  log.sign({ size: 0, root: CompactRange.empty().root() });
  assert.equal((await check(log)).size, 0);
});

test("progress is told, and ends at the size", async () => {
  const seen: (readonly [number, number])[] = [];
  const log = new PublishedLog(256 * 17 + 3);
  const onProgress = (done: number, total: number) => void seen.push([done, total]);
  await checkLog(log, { keysOf: () => keysOf(log), onProgress, now: NOW });
  assert.deepEqual(seen, [
    [4096, 4355],
    [4355, 4355],
  ]);
});

test("each file that is published counts: one changed byte anywhere is found", async () => {
  const paths = [...new PublishedLog(600).files.keys()].filter((path) => path !== "checkpoint");
  assert.equal(paths.length, 7);
  for (const path of paths) {
    const log = new PublishedLog(600);
    const bytes = log.files.get(path) ?? Buffer.alloc(0);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    const isEntries = path.startsWith("tile/entries");
    await assert.rejects(
      check(log),
      { code: isEntries ? /^ERR_LOG_(TILE|ROOT)$/ : "ERR_LOG_TILE" },
      path,
    );
  }
});

test("each file that is missing is found", async () => {
  for (const path of new PublishedLog(600).files.keys()) {
    const log = new PublishedLog(600);
    log.files.delete(path);
    await refuses(log, "ERR_LOG_FILE");
  }
});

test("a tile or bundle that is cut, or longer than it should be, is found", async () => {
  const paths = [...new PublishedLog(600).files.keys()].filter((p) => p !== "checkpoint");
  for (const path of paths) {
    for (const change of [
      (bytes: Buffer) => bytes.subarray(0, -1),
      (bytes: Buffer) => bytes.subarray(0, path.includes("entries") ? -67 : -32),
      (bytes: Buffer) =>
        Buffer.concat([bytes, bytes.subarray(0, path.includes("entries") ? 67 : 32)]),
    ]) {
      const log = new PublishedLog(600);
      log.files.set(path, change(log.files.get(path) ?? Buffer.alloc(0)));
      await assert.rejects(check(log), (error) => isFinding(error), path);
    }
  }
});

test("C2SP tlog-tiles: where the full file has replaced the partial one, it serves", async () => {
  const log = new PublishedLog(600);
  const checkpoint = log.files.get("checkpoint") ?? Buffer.alloc(0);
  const grown = new PublishedLog(768);
  for (const [path, bytes] of grown.files) if (!path.includes(".p/")) log.files.set(path, bytes);
  const partial = [...log.files.keys()].filter((path) => path.includes("/002.p/"));
  for (const path of partial) log.files.delete(path);
  log.files.set("checkpoint", checkpoint);
  assert.equal((await check(log)).size, 600);
});

test("THREAT-06: another history under a signature of the log alone is refused for want of the writer's", async () => {
  const log = new PublishedLog(300);
  const other = log.entries.toSpliced(7, 1);
  log.publish(other);
  const range = CompactRange.empty();
  range.appendEntries(other);
  log.sign({ size: 299, root: range.root() }, [log.key]);
  await refuses(log, "ERR_LOG_SIGNATURE");
  // With the log key only, nobody could tell.
  assert.equal((await check(log, { required: [log.key.vkey], optional: [] })).size, 299);
});

test("a root that the entries do not lead to is refused, though all signed it", async () => {
  const log = new PublishedLog(300);
  log.sign({ size: 300, root: Buffer.alloc(32, 7) });
  await refuses(log, "ERR_LOG_ROOT");
});

test("a checkpoint of a stranger, of another log, with a broken signature or of no form is refused", async () => {
  const stranger = new PublishedLog(10);
  await refuses(stranger, "ERR_TLOG_NOTE_UNKNOWN_KEY", keysOf(new PublishedLog(1)));
  const log = new PublishedLog(10);
  await assert.rejects(check(log, keysOf(log), "another.example/log"), {
    code: "ERR_LOG_SIGNATURE",
  });
  const text = log.files.get("checkpoint")?.toString("utf8") ?? "";
  const at = text.lastIndexOf("\n", text.length - 2);
  log.files.set("checkpoint", Buffer.from(`${text.slice(0, at - 4)}AAA=${text.slice(at)}`));
  await refuses(log, "ERR_TLOG_NOTE_SIGNATURE");
  log.files.set("checkpoint", Buffer.from("not a note"));
  await refuses(log, "ERR_TLOG_NOTE_MALFORMED");
});

// THREAT-35: the published bytes are digests and nothing else.
test("an entry of another length or kind is refused", async () => {
  const tagged = new PublishedLog(3, 0x03);
  await refuses(tagged, "ERR_LOG_ENTRY");
  assert.equal((await check(new PublishedLog(3, 0x02))).size, 3);
  const mixed = new PublishedLog(3);
  const [first, second] = mixed.entries;
  assert.ok(first && second);
  const registry = Buffer.from(second);
  registry[0] = 0x02;
  mixed.publish([first, registry]);
  await refuses(mixed, "ERR_LOG_ENTRY");
  const long = new PublishedLog(3);
  long.publish([first, Buffer.concat([second, Buffer.from("contoso")])]);
  await refuses(long, "ERR_LOG_ENTRY");
});

test("a cosignature is told when it is there, and demanded when its key is named", async () => {
  const log = new PublishedLog(10);
  const named = namedKeys([log.key.text, log.writer.text, log.witness.text])(ORIGIN);
  assert.ok(named);
  await refuses(log, "ERR_LOG_SIGNATURE", named);
  log.cosign(1_800_000_000);
  for (const found of [await check(log, named), await check(log)]) {
    assert.equal(found.cosignedSeconds, 1_800_000_000);
    assert.equal(found.label, "verified");
  }
});

test("THREAT-37: a cosignature that is dated more than 30 s ahead is refused", async () => {
  const log = new PublishedLog(10);
  log.cosign(NOW + 30);
  assert.equal((await check(log)).cosignedSeconds, NOW + 30);
  log.cosign(NOW + 31);
  await refuses(log, "ERR_LOG_SIGNATURE");
});

test("without keys the answer is called what it is", async () => {
  const log = new PublishedLog(10);
  const found = await checkLog(log, {
    keysOf: () => undefined,
    onProgress: () => undefined,
    now: NOW,
  });
  assert.equal(found.label, "consistency only");
  assert.deepEqual(found.signedBy, []);
  log.files.set("tile/entries/000.p/10", encodeEntryBundle(log.entries.slice(1)));
  const spoilt = checkLog(log, { keysOf: () => undefined, onProgress: () => undefined, now: NOW });
  await assert.rejects(spoilt, (error) => isFinding(error));
});

function names(texts: readonly string[]): readonly string[] | undefined {
  return namedKeys(texts)(ORIGIN)?.required.map(({ name }) => name);
}

test("keys of other logs do not count for this one; a witness alone is no key of a log", () => {
  const log = testKey(ORIGIN);
  const other = testKey("another.example/log");
  const { witness } = new PublishedLog(1);
  assert.deepEqual(names([log.text, other.text]), [ORIGIN]);
  assert.equal(names([other.text]), undefined);
  assert.equal(names([witness.text]), undefined);
  assert.equal(names([]), undefined);
  assert.throws(() => namedKeys(["nonsense"]), { code: "ERR_OPTION" });
});
