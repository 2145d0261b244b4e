import assert from "node:assert/strict";
import { test } from "node:test";
import { appraise, type Appraisal, createSoftTpm, parseEvidence } from "@redoubt/evidence";
import { TEST_NOW } from "@redoubt/evidence/testing/certificates";
import { FakeAzure, type FakeAzureOptions } from "../testing/fake-azure.ts";
import { AzureAttester } from "./azure-attester.ts";

const DATA = Buffer.alloc(32, 0x5a);

async function attested(
  options: FakeAzureOptions,
): Promise<{ readonly azure: FakeAzure; readonly appraisal: Appraisal }> {
  const azure = await FakeAzure.create(DATA, options);
  const chain = () => Promise.resolve(azure.chain);
  const attester = new AzureAttester({ transport: azure, chain, pauseMs: 0 });
  const evidence = parseEvidence(await attester.evidence(DATA));
  const { roots } = azure;
  return {
    azure,
    appraisal: appraise(evidence, { now: TEST_NOW, expected: DATA, roots: { snp: roots } }),
  };
}

function userDataOf({ claims }: Appraisal): unknown {
  return Object(claims["azure"])["user-data"];
}

test("Azure: report of the boot and a quote over the data, by the key under its handle", async () => {
  const { azure, appraisal } = await attested({ hasUserData: false });
  assert.deepEqual([appraisal.platform, appraisal.claims["hardware"]], ["az-snp", true]);
  assert.equal(userDataOf(appraisal), "00".repeat(64));
  assert.equal(azure.reads, 1);
});

test("Azure: where the index for user data exists, the report is over the data, too", async () => {
  for (const staleReads of [0, 3, 9]) {
    // One after the other: each has a machine of its own.
    const { azure, appraisal } = await attested({ hasUserData: true, staleReads });
    assert.equal(userDataOf(appraisal), `${"5a".repeat(32)}${"00".repeat(32)}`);
    assert.equal(azure.reads, staleReads + 1);
  }
  // A host that never makes a new one: the quote is over the data all the same.
  const { azure, appraisal } = await attested({ hasUserData: true, staleReads: 10 });
  assert.equal(userDataOf(appraisal), "00".repeat(64));
  assert.equal(azure.reads, 10);
});

test("THREAT-14: Azure: the quote is over the data, and over no other", async () => {
  const azure = await FakeAzure.create(DATA, { hasUserData: true });
  const chain = () => Promise.resolve(azure.chain);
  const attester = new AzureAttester({ transport: azure, chain, pauseMs: 0 });
  const evidence = parseEvidence(await attester.evidence(Buffer.alloc(32, 1)));
  assert.throws(
    () => appraise(evidence, { now: TEST_NOW, expected: DATA, roots: { snp: azure.roots } }),
    { code: "ERR_EVIDENCE_BINDING" },
  );
});

test("Azure: a machine on TDX, a TPM of something else, and one that fails", async () => {
  const tdx = await FakeAzure.create(DATA, { hasUserData: false, reportType: 4 });
  const chain = () => Promise.resolve(tdx.chain);
  await assert.rejects(new AzureAttester({ transport: tdx, chain }).evidence(DATA), {
    code: "ERR_ATTESTER_PROVIDER",
  });
  const azure = await FakeAzure.create(DATA, { hasUserData: true });
  const transport = {
    send: (command: Uint8Array) =>
      Buffer.from(command).readUInt32BE(6) === 0x137
        ? Promise.resolve(Buffer.from("80010000000a00000149", "hex"))
        : azure.send(command),
    close: () => azure.close(),
  };
  await assert.rejects(new AzureAttester({ transport, chain }).evidence(DATA), {
    code: "ERR_TPM_RESPONSE",
    part: "NV_Write",
  });
  // A TPM that is no Azure's: it has no report.
  await assert.rejects(new AzureAttester({ transport: createSoftTpm(), chain }).evidence(DATA), {
    code: "ERR_TPM_RESPONSE",
    part: "NV_ReadPublic",
  });
});
