import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { appraise, parseEvidence } from "@redoubt/evidence";
import { certificateTable } from "@redoubt/evidence/testing/certificate-table";
import { TEST_NOW } from "@redoubt/evidence/testing/certificates";
import { makeSnp, type SnpSample } from "@redoubt/evidence/testing/snp-evidence";
import {
  collateralJson,
  makeTdx,
  TDX_OFFSETS,
  TDX_ROOTS,
} from "@redoubt/evidence/testing/tdx-evidence";
import { failure, FakeTsm, type FakeTsmOptions } from "../testing/fake-tsm.ts";
import { TsmAttester, type TsmAttesterOptions } from "./tsm-attester.ts";
import { KERNEL_FILES } from "./tsm-files.ts";

const DATA = Buffer.alloc(32, 0x5a);
const VCEK = "63da758d-e664-4564-adc5-f4b93be8accd";
const VLEK = "a8074bc2-a25a-483e-aae6-39c045a0b8a1";
const ASK = "4ab7b379-bbac-4fe4-a02f-05aef327c782";
const ARK = "c0b406a4-a803-4952-9743-3fb6014cd0ae";

/** An SNP guest, whose host gives what `table` says of key, issuer and root. */
function snp(
  table: (chain: readonly Buffer[]) => Buffer | undefined,
  sample: SnpSample = {},
  options: Partial<FakeTsmOptions> = {},
) {
  const { evidence, roots } = makeSnp(sample);
  const chain = evidence.chain.map((der) => Buffer.from(der));
  const tsm = new FakeTsm({
    provider: "sev_guest",
    makeReport: (inblob) => {
      const made = makeSnp({ ...sample, change: (report) => report.set(inblob, 0x50) });
      return Buffer.from(made.evidence.report);
    },
    auxblob: table(chain),
    ...options,
  });
  return { tsm, chain, roots };
}

function attester(files: FakeTsm, options: Partial<TsmAttesterOptions> = {}): TsmAttester {
  return new TsmAttester({ files, pauseMs: 0, ...options });
}

function whole([key, issuer, root]: readonly Buffer[]): Buffer {
  assert.ok(key && issuer && root);
  return certificateTable([
    [VCEK, key],
    [ASK, issuer],
    [ARK, root],
  ]);
}

test("SNP: report over the data, chain from the host's table", async () => {
  const { tsm, roots } = snp(whole);
  const evidence = parseEvidence(await attester(tsm).evidence(DATA));
  const { platform, claims } = appraise(evidence, {
    now: TEST_NOW,
    expected: DATA,
    roots: { snp: roots },
  });
  assert.deepEqual([platform, claims["hardware"]], ["snp", true]);
  assert.throws(
    () =>
      appraise(evidence, {
        now: TEST_NOW,
        expected: Buffer.alloc(32, 1),
        roots: { snp: roots },
      }),
    { code: "ERR_EVIDENCE_BINDING" },
  );
  assert.equal(tsm.entries.size, 0);
  const [path = ""] = tsm.made;
  assert.match(path, /^\/sys\/kernel\/config\/tsm\/report\/redoubt-[0-9a-f]{16}$/);
});

test("SNP: what the host's table lacks comes from files, and its key comes before theirs", async () => {
  const given: readonly [
    (chain: readonly Buffer[]) => Buffer | undefined,
    (chain: readonly Buffer[]) => readonly Buffer[],
    SnpSample?,
  ][] = [
    // A host that gives nothing, an empty table, or the attribute not at all.
    [() => Buffer.alloc(0), (chain) => chain],
    [() => Buffer.alloc(4096), (chain) => chain],
    [() => undefined, (chain) => chain],
    // AWS: the key alone.
    [
      ([key]) => certificateTable([[VLEK, key ?? assert.fail()]]),
      (chain) => chain.slice(1),
      { vlek: true },
    ],
    // Field report A1: the file's key is one of other firmware.
    [whole, (chain) => [Buffer.from("old"), ...chain.slice(1)]],
  ];
  for (const [table, files, sample] of given) {
    const { tsm, chain, roots } = snp(table, sample);
    const made = attester(tsm, { chain: () => Promise.resolve(files(chain)) });
    // One after the other: what fails is then known.
    const evidence = parseEvidence(await made.evidence(DATA));
    appraise(evidence, { now: TEST_NOW, expected: DATA, roots: { snp: roots } });
  }
});

test("SNP: no chain, half of one, or a key of the other kind is named before it is sent", async () => {
  const refused = { code: "ERR_ATTESTER_FILE" };
  const { tsm, chain } = snp(() => undefined);
  await assert.rejects(attester(tsm).evidence(DATA), refused);
  const half = attester(tsm, { chain: () => Promise.resolve(chain.slice(1)) });
  await assert.rejects(half.evidence(DATA), refused);
  const more = attester(tsm, { chain: () => Promise.resolve([...chain, ...chain]) });
  await assert.rejects(more.evidence(DATA), refused);
  // The host gives the key, and the file the root alone.
  const rootless = snp(whole);
  const one = attester(rootless.tsm, { chain: () => Promise.resolve(chain.slice(2)) });
  await assert.rejects(one.evidence(DATA), refused);
  const other = snp(([key]) => certificateTable([[VLEK, key ?? assert.fail()]]));
  await assert.rejects(
    attester(other.tsm, { chain: () => Promise.resolve(other.chain.slice(1)) }).evidence(DATA),
    refused,
  );
  const torn = snp((all) => whole(all).subarray(0, 100));
  await assert.rejects(attester(torn.tsm).evidence(DATA), { code: "ERR_EVIDENCE_FORMAT" });
  for (const { entries } of [tsm, other.tsm, torn.tsm]) assert.equal(entries.size, 0);
});

function tdx() {
  const tsm = new FakeTsm({
    provider: "tdx_guest",
    makeReport: (inblob) =>
      Buffer.from(
        makeTdx({ change: (signed) => signed.set(inblob, TDX_OFFSETS.reportData) }).quote,
      ),
  });
  const collateral = collateralJson(makeTdx().collateral);
  return { tsm, collateral: () => Promise.resolve(Buffer.from(JSON.stringify(collateral))) };
}

test("TDX: quote over the data, with collateral that is read each time", async () => {
  const { tsm, collateral } = tdx();
  let count = 0;
  const made = attester(tsm, {
    collateral: () => {
      count += 1;
      return collateral();
    },
    eventLog: () => Promise.resolve(undefined),
  });
  for (const data of [DATA, Buffer.alloc(32, 1)]) {
    // One after the other, as leases are renewed.
    const evidence = parseEvidence(await made.evidence(data));
    const options = { now: TEST_NOW, expected: data, roots: { tdx: TDX_ROOTS } };
    assert.equal(appraise(evidence, options).platform, "tdx");
  }
  assert.equal(count, 2);
  const log = Buffer.from("a log");
  const logged = attester(tsm, { collateral, eventLog: () => Promise.resolve(log) });
  const evidence = parseEvidence(await logged.evidence(DATA));
  assert.deepEqual(evidence.platform === "tdx" && evidence.eventLog, log);
});

test("TDX: without collateral, or with a file that is none", async () => {
  const { tsm } = tdx();
  await assert.rejects(attester(tsm).evidence(DATA), { code: "ERR_ATTESTER_FILE" });
  for (const text of ["{", "{}"]) {
    const made = attester(tsm, { collateral: () => Promise.resolve(Buffer.from(text)) });
    await assert.rejects(made.evidence(DATA), { code: "ERR_EVIDENCE_COLLATERAL" });
  }
});

test("THREAT-14: a report that somebody else had made in between is never taken", async () => {
  const { tsm, roots } = snp(whole);
  let intrusions = 0;
  tsm.meddle = (step, path) => {
    if (step !== "read outblob" || intrusions === 2) return;
    intrusions += 1;
    tsm.intrude(path);
  };
  const evidence = parseEvidence(await attester(tsm).evidence(DATA));
  appraise(evidence, { now: TEST_NOW, expected: DATA, roots: { snp: roots } });
  assert.equal(new Set(tsm.made).size, 3);
  assert.equal(tsm.entries.size, 0);
  // Also after the report was read: what the host's table belongs to is not known then.
  tsm.meddle = (step, path) => {
    if (step === "read auxblob") tsm.intrude(path);
  };
  await assert.rejects(attester(tsm).evidence(DATA), { code: "ERR_ATTESTER_BUSY" });
  assert.deepEqual([tsm.made.length, tsm.entries.size], [3 + 5, 0]);
});

test("a write that the kernel dropped in silence makes no evidence", async () => {
  const { tsm } = snp(whole);
  const files = {
    mkdir: (path: string) => tsm.mkdir(path),
    rmdir: (path: string) => tsm.rmdir(path),
    read: (path: string) => tsm.read(path),
    // An older write of somebody else stands there instead.
    write: async (path: string) => {
      tsm.intrude(path);
      const entry = [...tsm.entries.values()].at(-1);
      if (entry) entry.generation = 0;
    },
  };
  await assert.rejects(new TsmAttester({ files, pauseMs: 0 }).evidence(DATA), {
    code: "ERR_ATTESTER_BUSY",
  });
});

test("a kernel that is busy or interrupted is asked again, for a while", async () => {
  for (const code of ["EBUSY", "EINTR", "EAGAIN"])
    for (const step of ["mkdir", "write inblob", "read outblob", "read auxblob"]) {
      const { tsm } = snp(whole);
      let left = 4;
      tsm.meddle = (now) => {
        if (now !== step || left === 0) return;
        left -= 1;
        throw failure(code);
      };
      // One after the other: each has a kernel of its own.
      await attester(tsm).evidence(DATA);
      assert.equal(tsm.entries.size, 0);
      left = 5;
      await assert.rejects(attester(tsm).evidence(DATA), { code: "ERR_ATTESTER_BUSY" });
      assert.equal(tsm.entries.size, 0);
    }
});

test("a kernel that fails is not asked again, and its entry is removed", async () => {
  const steps = ["mkdir", "read provider", "write privlevel", "write inblob", "read outblob"];
  for (const step of [...steps, "read auxblob", "read generation", "rmdir"]) {
    const { tsm } = snp(whole);
    tsm.meddle = (now) => {
      if (now === step) throw failure("EIO");
    };
    // One after the other: each has a kernel of its own.
    await assert.rejects(attester(tsm, { privilegeLevel: 1 }).evidence(DATA), (error: Error) => {
      assert.ok("code" in error && error.code === "ERR_ATTESTER_TSM", step);
      assert.ok(error.cause instanceof Error && error.cause.message === "EIO", step);
      return true;
    });
    assert.equal(tsm.made.length, step === "mkdir" ? 0 : 1, step);
    assert.equal(tsm.entries.size, step === "rmdir" ? 1 : 0, step);
  }
  // Of two failures the first is the cause; and a folder that stays is no reason to make four more.
  const { tsm } = snp(whole);
  tsm.meddle = (now) => {
    if (now === "read outblob") throw failure("EIO");
    if (now === "rmdir") throw failure("EBUSY");
  };
  await assert.rejects(attester(tsm).evidence(DATA), (error: Error) => {
    return error.cause instanceof Error && error.cause.message === "EIO";
  });
  tsm.meddle = (now) => {
    if (now === "rmdir") throw failure("EBUSY");
  };
  await assert.rejects(attester(tsm).evidence(DATA), { code: "ERR_ATTESTER_TSM" });
  assert.equal(tsm.made.length, 2);
});

test("providers that are not known, and a generation that is no number", async () => {
  const { tsm } = snp(whole, {}, { provider: "arm_cca_guest" });
  await assert.rejects(attester(tsm).evidence(DATA), { code: "ERR_ATTESTER_PROVIDER" });
  assert.deepEqual([tsm.made.length, tsm.entries.size], [1, 0]);
  const files = {
    mkdir: () => Promise.resolve(),
    rmdir: () => Promise.resolve(),
    write: () => Promise.resolve(),
    read: (path: string) =>
      Promise.resolve(Buffer.from(path.endsWith("/provider") ? "sev_guest\n" : "-1\n")),
  };
  await assert.rejects(new TsmAttester({ files }).evidence(DATA), { code: "ERR_ATTESTER_TSM" });
});

test("the privilege level is asked for, counts as a write, and is the kernel's to refuse", async () => {
  const { tsm } = snp(whole, {}, { privilegeFloor: 2 });
  await attester(tsm, { privilegeLevel: 2 }).evidence(DATA);
  assert.deepEqual(tsm.levels, [2]);
  await assert.rejects(attester(tsm, { privilegeLevel: 1 }).evidence(DATA), {
    code: "ERR_ATTESTER_TSM",
  });
  await assert.rejects(attester(tsm).evidence(Buffer.alloc(65)), RangeError);
});

test("files of the kernel: made nowhere, written in one piece, read to their end, no further than a bound", async () => {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-tsm-"));
  try {
    const entry = join(folder, "entry");
    await KERNEL_FILES.mkdir(entry);
    await assert.rejects(KERNEL_FILES.mkdir(entry), { code: "EEXIST" });
    const path = join(entry, "inblob");
    await assert.rejects(KERNEL_FILES.write(path, DATA), { code: "ENOENT" });
    await writeFile(path, "");
    await KERNEL_FILES.write(path, DATA);
    assert.deepEqual(await readFile(path), DATA);
    const large = Buffer.alloc(1_048_576, 7);
    await writeFile(path, large);
    assert.ok(large.equals(await KERNEL_FILES.read(path)));
    await writeFile(path, Buffer.alloc(1_048_577));
    await assert.rejects(KERNEL_FILES.read(path), { code: "ERR_ATTESTER_FILE" });
    // A file of the kernel that says it has no bytes.
    assert.ok((await KERNEL_FILES.read("/proc/self/status")).length > 100);
    rmSync(path);
    await KERNEL_FILES.rmdir(entry);
    await assert.rejects(KERNEL_FILES.rmdir(entry), { code: "ENOENT" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
