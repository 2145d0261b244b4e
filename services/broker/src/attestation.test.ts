import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { canonicalBytes } from "@redoubt/base";
import { EvidenceError, parsePolicy } from "@redoubt/evidence";
import {
  type AttestationTrust,
  encodeAttestation,
  encodeGrantBody,
  openEar,
  parseGrantBody,
  signEar,
  verifyAttestation,
} from "@redoubt/lease/attestation";
import { TestGrantLog } from "@redoubt/lease/testing/test-log";
import { BodyCommitments } from "@redoubt/wire";
import { SOFT_POLICY, TestBroker } from "./testing/broker.ts";

const KID = "k".repeat(43);
const KEY = { kid: KID, realm: "consumer" };
const POLICY = JSON.stringify(SOFT_POLICY);

interface Granted {
  readonly broker: TestBroker;
  readonly grant: string;
  readonly body: Buffer;
  readonly document: Buffer;
  readonly trust: AttestationTrust;
}

/** One lease, asked for by a signer that holds one key, and what stands beside that key. */
async function granted(): Promise<Granted> {
  const broker = await TestBroker.create();
  await broker.start();
  await using client = broker.connect();
  const agent = broker.agent(client, { kids: () => [KID] });
  await agent.renew();
  const body = broker.bodyOf(0);
  const { grant } = agent.lease ?? assert.fail();
  const trust = {
    log: broker.log,
    policy: POLICY,
    release: { keys: broker.releaseKeys.map((key) => createPublicKey(key)), threshold: 2 },
    enrolledKeys: new Map([[broker.machine.enrolled.akName, "soft" as const]]),
  };
  return {
    broker,
    grant,
    body,
    document: encodeAttestation(grant, parseGrantBody(body)),
    trust,
  };
}

test("P5: anybody can verify offline, years later, that a key is used by the machine that was measured", async () => {
  const { broker, document, trust } = await granted();
  await using _ = broker;
  const { lease, index, claims } = verifyAttestation(document, KEY, trust);
  assert.deepEqual([lease.hardware, lease.platform, index], [false, "soft", 0]);
  assert.equal(claims["platform"], "soft");
});

test("an attestation result says what the broker thinks, and affirms nothing of a TPM in software", async () => {
  const { broker, body, trust } = await granted();
  await using _ = broker;
  const claims = openEar(parseGrantBody(body).ear, trust.log.writerKey);
  assert.equal(claims["eat_profile"], "tag:ietf.org,2026:rats/ear#04");
  const appraisal = Object(claims["submods"])["signer-consumer"];
  assert.equal(appraisal.ear_status, "none");
  assert.deepEqual(appraisal.ear_trustworthiness_vector, { hardware: 0, executables: 0 });
  assert.match(appraisal.ear_appraisal_policy_ids[0], /^ni:\/\/\/sha-256;[A-Za-z0-9_-]{43}$/);
});

test("THREAT-14: evidence that names another key, realm or time is not this key's", async () => {
  const { broker, document, trust } = await granted();
  await using _ = broker;
  for (const key of [
    { ...KEY, kid: "x".repeat(43) },
    { ...KEY, realm: "enterprise" },
  ])
    assert.throws(() => verifyAttestation(document, key, trust), { code: "ERR_ATTESTATION_KEY" });
});

test("THREAT-13: a relying party's own policy, release keys and enrolled TPMs decide, not the broker's", async () => {
  const { broker, document, trust } = await granted();
  await using _ = broker;
  const stranger = createPublicKey(generateKeyPairSync("ed25519").privateKey);
  const refusing: readonly [Partial<AttestationTrust>, string][] = [
    [{ policy: POLICY.replace('"soft"', '"snp"') }, "ERR_EVIDENCE_REFUSED"],
    [{ release: { keys: [stranger], threshold: 1 } }, "ERR_EVIDENCE_REFERENCE"],
    [{ floors: new Map([["signer", 4]]) }, "ERR_EVIDENCE_REFERENCE"],
    [{ enrolledKeys: new Map() }, "ERR_EVIDENCE_KEY"],
  ];
  for (const [change, code] of refusing)
    assert.throws(
      () => verifyAttestation(document, KEY, { ...trust, ...change }),
      (error) => error instanceof EvidenceError && error.code === code,
      code,
    );
});

test("nothing beside a key counts but what the log holds beside the lease", async () => {
  const { broker, grant, body, document, trust } = await granted();
  await using _ = broker;
  const parsed = parseGrantBody(body);
  const changes = [
    { nonce: Buffer.alloc(32) },
    { policy: `${parsed.policy} ` },
    { references: [] },
    { evidence: `${parsed.evidence} ` },
    { binding: { ...parsed.binding, kids: ["x".repeat(43)] } },
    { ear: `${parsed.ear}A` },
    { lease: `${parsed.lease} ` },
  ];
  for (const change of changes)
    assert.throws(
      () => verifyAttestation(encodeAttestation(grant, { ...parsed, ...change }), KEY, trust),
      { code: "ERR_ATTESTATION_EVIDENCE" },
      Object.keys(change).join(),
    );
  const other = await granted();
  await using others = other.broker;
  assert.throws(
    () => verifyAttestation(document, KEY, { ...trust, log: others.log }),
    { code: "ERR_LEASE_PROOF" },
    "another broker's log",
  );
});

test("THREAT-06: a broker that was taken over cannot show evidence or results of its own beside a lease", async () => {
  const { broker, body, document, trust } = await granted();
  await using _ = broker;
  const stranger = await granted();
  await using strangers = stranger.broker;
  assert.notEqual(strangers, broker);
  const parsed = parseGrantBody(body);
  const foreign = parseGrantBody(stranger.body);
  // Its log is its own, ledger and all: commitment and proof are right, whatever it puts there.
  const log = new TestGrantLog();
  const { lease, claims } = verifyAttestation(document, KEY, trust);
  const ear = signEar(
    {
      issued: lease.issued,
      nonce: parsed.nonce,
      signer: lease.signer,
      claims,
      policy: parsePolicy(POLICY, new Map([["signer/pcr11", ["00".repeat(32)]]])),
      policyFile: Buffer.from(POLICY),
    },
    log.signers.writer,
  );
  const logged = (change: Partial<typeof parsed>) => {
    const written = { ...parsed, ear, ...change };
    const commitment = new BodyCommitments(encodeGrantBody(written)).of(0);
    const leaf = Buffer.from(parsed.lease);
    return encodeAttestation(log.grant(leaf, undefined, commitment), written);
  };
  const own = { ...trust, log };
  assert.ok(verifyAttestation(logged({}), KEY, own));
  const refused: readonly [Partial<typeof parsed>, string][] = [
    [{ evidence: foreign.evidence }, "ERR_ATTESTATION_EVIDENCE"],
    [{ binding: foreign.binding }, "ERR_ATTESTATION_EVIDENCE"],
    [{ nonce: Buffer.alloc(32) }, "ERR_EVIDENCE_BINDING"],
    [{ ear: foreign.ear }, "ERR_ATTESTATION_EAR"],
    [{ references: [] }, "ERR_EVIDENCE_POLICY"],
  ];
  for (const [change, code] of refused) {
    const shown = logged(change);
    assert.throws(
      () => verifyAttestation(shown, KEY, own),
      (error: unknown) => Object(error).code === code,
      `${Object.keys(change).join()}: ${code}`,
    );
  }
});

test("what is no attestation is refused by its form", async () => {
  const { broker, document, trust } = await granted();
  await using _ = broker;
  const object = JSON.parse(document.toString());
  for (const bad of [
    Buffer.from("[]"),
    canonicalBytes({ ...object, v: 2 }),
    canonicalBytes({ ...object, more: 1 }),
    canonicalBytes({ ...object, body: { ...object.body, more: 1 } }),
    canonicalBytes({ ...object, grant: 1 }),
    Buffer.alloc(4_194_305, 0x20),
  ])
    assert.throws(() => verifyAttestation(bad, KEY, trust), { code: "ERR_ATTESTATION_FORMAT" });
  assert.throws(() => openEar("a.b.c", trust.log.writerKey), { code: "ERR_ATTESTATION_EAR" });
});
