import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { TestBroker } from "@redoubt/broker/testing/broker";
import { encodeAttestation, parseGrantBody } from "@redoubt/lease/attestation";
import { encodeVerifierKey } from "@redoubt/tlog";
import { parseJsonObject } from "@redoubt/verify/json";
import { EXIT } from "../command.ts";
import { openTerminal } from "../terminal.ts";
import { isKid, type KeyOptions } from "./key-attestation.ts";
import { attestShowKey, attestVerifyKey } from "./verify-key.ts";

const KID = "k".repeat(43);
const folder = mkdtempSync(join(tmpdir(), "redoubt-attest-key-"));
after(() => rmSync(folder, { recursive: true }));

async function command(
  work: (context: Parameters<typeof attestShowKey>[0]) => Promise<number>,
  json = true,
) {
  let out = "";
  const terminal = openTerminal(json, {
    out: (text) => void (out += text),
    err: () => undefined,
  });
  const questions = { input: process.stdin, output: process.stderr };
  const code = await work({ folder, typedIn: folder, json, terminal, questions });
  return { code, out };
}

/** Files of a system that is another's, and how they are named. */
async function published(): Promise<
  Required<Omit<KeyOptions, "threshold" | "floor" | "references" | "minEvaluation">>
> {
  await using broker = await TestBroker.create();
  await broker.start();
  await using client = broker.connect();
  const agent = broker.agent(client, { kids: () => [KID] });
  await agent.renew();
  const body = broker.bodyOf(0);
  const parsed = parseGrantBody(body);
  writeFileSync(join(folder, "key.json"), encodeAttestation(agent.lease?.grant ?? "", parsed));
  writeFileSync(join(folder, "policy.json"), parsed.policy);
  writeFileSync(join(folder, "strict.json"), parsed.policy.replace('"soft"', '"snp"'));
  broker.releaseKeys.forEach((key, i) =>
    writeFileSync(
      join(folder, `release-${i}.pem`),
      createPublicKey(key).export({ type: "spki", format: "pem" }),
    ),
  );
  return {
    document: "key.json",
    realm: "consumer",
    log: encodeVerifierKey(broker.log.logKey),
    writer: encodeVerifierKey(broker.log.writerKey),
    policy: "policy.json",
    releaseKey: ["release-0.pem", "release-1.pem"],
    enrolled: [`soft:${broker.machine.enrolled.akName}`],
  };
}

test("P5: a stranger verifies the machine behind a key, by files alone", async () => {
  const options = await published();
  const { code, out } = await command((context) => attestVerifyKey(context, KID, options));
  assert.equal(code, EXIT.ok);
  const { valid, hardware, realm, index } = parseJsonObject(out);
  assert.deepEqual(
    { valid, hardware, realm, index },
    { valid: true, hardware: "none", realm: "consumer", index: 0 },
  );
  const shown = await command((context) => attestVerifyKey(context, KID, options), false);
  assert.match(shown.out, /hardware +none: software says so/);
});

test("THREAT-14: another key, another realm, a stricter policy: refused with the code, exit 3", async () => {
  const options = await published();
  const refused: readonly (readonly [string, Partial<KeyOptions>, string])[] = [
    ["x".repeat(43), {}, "ERR_ATTESTATION_KEY"],
    [KID, { realm: "enterprise" }, "ERR_ATTESTATION_KEY"],
    [KID, { policy: "strict.json" }, "ERR_EVIDENCE_REFUSED"],
    [KID, { floor: ["signer=4"] }, "ERR_EVIDENCE_REFERENCE"],
    [KID, { writer: options.log }, "ERR_LEASE_PROOF"],
    [KID, { document: "policy.json" }, "ERR_ATTESTATION_FORMAT"],
  ];
  for (const [kid, change, expected] of refused) {
    // oxlint-disable-next-line no-await-in-loop -- one command after the other
    const { code, out } = await command((context) =>
      attestVerifyKey(context, kid, { ...options, ...change }),
    );
    assert.deepEqual([code, parseJsonObject(out)["code"]], [EXIT.refused, expected]);
  }
  const strict = { ...options, policy: "strict.json" };
  const { out } = await command((context) => attestVerifyKey(context, KID, strict), false);
  assert.match(out, /CLAIM +FOUND +EXPECTED\nplatform +"soft"/);
});

test("what has to be named is said", async () => {
  const { realm: _realm, ...options } = await published();
  await assert.rejects(
    command((context) => attestVerifyKey(context, KID, options)),
    { code: "ERR_OPTION", message: /--realm, --log, --writer, --policy/ },
  );
  const { releaseKey: _keys, ...keyless } = await published();
  await assert.rejects(
    command((context) => attestVerifyKey(context, KID, keyless)),
    { code: "ERR_OPTION", message: /--release-key/ },
  );
});

test("a key's attestation is shown as it is, unverified; a file of that name is a file", async () => {
  const { document } = await published();
  const { code, out } = await command((context) => attestShowKey(context, KID, { document }));
  assert.equal(code, EXIT.ok);
  const { unverified } = parseJsonObject(out);
  assert.deepEqual(Object(unverified).binding.kids, [KID]);
  assert.equal(Object(unverified).lease.realm, "consumer");
  await command(async (context) => {
    assert.equal(isKid(context, KID), true);
    assert.equal(isKid(context, "evidence.json"), false);
    writeFileSync(join(folder, KID), "");
    assert.equal(isKid(context, KID), false);
    return EXIT.ok;
  });
});
