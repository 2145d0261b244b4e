import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { LEDGER, RemoteError, route, routesByName, type Answered } from "@redoubt/wire";
import {
  buildInclusionProof,
  CompactRange,
  encodeVerifierKey,
  hashLeaf,
  verifyProofFile,
} from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { requesterOf } from "@redoubt/testkit";
import { digestOf, proveDigest } from "./prove.ts";
import type { LogKeys } from "./log-keys.ts";
import { ORIGIN, PublishedLog } from "./testing/published-log.ts";

type Proven = Answered<typeof LEDGER.prove>;

/** The clock of whoever asks. */
const NOW = 1_800_000_000;

/** What a ledger with this log answers to the operator; `change` makes it a liar. */
function ledgerOf(log: PublishedLog, change: (answer: Proven) => Proven = (answer) => answer) {
  const nodes = new Map<string, Buffer>();
  CompactRange.empty().appendEntries(log.entries, (level, index, node) =>
    nodes.set(`${level}/${index}`, Buffer.from(node)),
  );
  const read = (level: number, at: number) => nodes.get(`${level}/${at}`) ?? Buffer.alloc(32);
  const size = log.entries.length;
  const checkpoint = log.files.get("checkpoint")?.toString("utf8") ?? "";
  const routes = routesByName([
    route(LEDGER.find, ({ digest }) => {
      const index = log.entries.findIndex((entry) => entry.subarray(1, 33).equals(digest));
      if (index < 0) throw new RemoteError("ERR_LEDGER_NOT_FOUND", "No entry has this digest");
      return { index };
    }),
    route(LEDGER.state, () => {
      const vkey = encodeVerifierKey(log.key.vkey);
      return { log: ORIGIN, vkey, hashes: [], size, checkpoint, cosigned: checkpoint };
    }),
    route(LEDGER.prove, ({ index }) => {
      const proof = buildInclusionProof(read, index, size);
      return change({
        index,
        size,
        leaf: log.entries[index] ?? Buffer.alloc(65),
        proof,
        checkpoint,
      });
    }),
  ]);
  return requesterOf(async (call) => {
    const answer = await routes.get(call.op)?.handle(call);
    assert.ok(answer);
    return answer;
  });
}

function keysOf({ key, writer, witness }: PublishedLog): ReadonlyMap<string, LogKeys> {
  return new Map([[ORIGIN, { required: [key.vkey, writer.vkey], optional: [witness.vkey] }]]);
}

function digestAt(log: PublishedLog, index: number): string {
  return encodeBase64url(log.entries[index]?.subarray(1, 33) ?? Buffer.alloc(32));
}

test("docs/spec/logs.md §1: a token's digest is that of its signing input", () => {
  const digest = hash("sha256", "aGVhZA.Ym9keQ", "base64url");
  assert.equal(digestOf("aGVhZA.Ym9keQ.c2ln"), digest);
  assert.equal(digestOf("aGVhZA.Ym9keQ.b3RoZXI"), digest);
  assert.equal(digestOf(digest), digest);
});

test("what is neither a digest nor a token is refused", () => {
  for (const text of [
    "",
    "a",
    "a.b",
    "a.b.c.d",
    "a..c",
    "x".repeat(44),
    "x".repeat(43),
    "a.b.c\u0000",
    "ä.b.c",
  ])
    assert.throws(() => digestOf(text), { code: "ERR_OPTION" }, text);
});

test("the proof file verifies offline, from the digest alone", async () => {
  const log = new PublishedLog(300);
  log.cosign(NOW);
  const found = await proveDigest(ledgerOf(log), keysOf(log), digestAt(log, 77), NOW);
  assert.equal(found.index, 77);
  assert.equal(found.cosigned, true);
  const entry = Buffer.from(found.entry, "base64url");
  assert.equal(entry.subarray(1, 33).toString("base64url"), found.digest);
  const { vkey } = log.key;
  const verified = verifyProofFile(found.proof, {
    leafHash: hashLeaf(entry),
    origin: ORIGIN,
    verifiers: [vkey],
  });
  assert.equal(verified.index, 77);
  assert.match(
    found.proof,
    new RegExp(`^c2sp\\.org/tlog-proof@v1\nextra ${entry.toString("base64")}\n`),
  );
});

test("THREAT-37: a proof whose cosignature is dated 31 s ahead passes for one without", async () => {
  const log = new PublishedLog(300);
  for (const [seconds, isCosigned] of [
    [NOW + 30, true],
    [NOW + 31, false],
  ] as const) {
    log.cosign(seconds);
    const { cosigned } = await proveDigest(ledgerOf(log), keysOf(log), digestAt(log, 77), NOW);
    assert.equal(cosigned, isCosigned);
  }
});

test("a digest that no log has was issued by nobody", async () => {
  const log = new PublishedLog(10);
  const missing = hash("sha256", "never issued", "base64url");
  await assert.rejects(proveDigest(ledgerOf(log), keysOf(log), missing, NOW), {
    code: "ERR_LOG_MISSING",
    message: /nobody issued this token/,
  });
});

const LIES: readonly (readonly [
  what: string,
  code: string,
  lie: (answer: Proven, log: PublishedLog) => Proven,
])[] = [
  [
    "another entry",
    "ERR_LOG_PROOF",
    (a, log) => ({ ...a, leaf: log.entries[3] ?? Buffer.alloc(0) }),
  ],
  [
    "the right digest in a made-up entry",
    "ERR_TLOG_PROOF",
    (a, log) => ({ ...a, leaf: madeUp(log) }),
  ],
  ["a proof that is cut", "ERR_TLOG_PROOF", (a) => ({ ...a, proof: [] })],
  [
    "a checkpoint of another log",
    "ERR_TLOG_NOTE_UNKNOWN_KEY",
    (a) => ({
      ...a,
      checkpoint: new PublishedLog(300).files.get("checkpoint")?.toString() ?? "",
    }),
  ],
  [
    "a checkpoint without the writer",
    "ERR_LOG_PROOF",
    (a, log) => ({ ...a, checkpoint: withoutWriter(log) }),
  ],
];

function madeUp(log: PublishedLog): Buffer {
  const entry = Buffer.from(log.entries[77] ?? Buffer.alloc(65));
  entry[64] = (entry[64] ?? 0) ^ 1;
  return entry;
}

function withoutWriter(log: PublishedLog): string {
  const text = log.files.get("checkpoint")?.toString("utf8") ?? "";
  return text
    .split("\n")
    .filter((line) => !line.includes("/writer "))
    .join("\n");
}

for (const [what, code, lie] of LIES)
  test(`a ledger that answers with ${what} is not believed`, async () => {
    const log = new PublishedLog(300);
    const ledger = ledgerOf(log, (answer) => lie(answer, log));
    await assert.rejects(proveDigest(ledger, keysOf(log), digestAt(log, 77), NOW), { code });
  });
