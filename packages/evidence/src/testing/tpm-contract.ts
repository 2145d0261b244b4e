import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { it } from "node:test";
import { EvidenceError } from "../evidence-error.ts";
import {
  activateCredential,
  quote,
  readTpmKey,
  seal,
  unseal,
  type TpmQuote,
} from "../tpm/client.ts";
import { unsealObject, withKey, withObject } from "../tpm/key-commands.ts";
import { makeCredential } from "../tpm/make-credential.ts";
import { readNv } from "../tpm/nv-commands.ts";
import { extendPcr, readPcrs } from "../tpm/pcr-commands.ts";
import type { PcrSelection } from "../tpm/pcr-selection.ts";
import {
  EK_POLICY_C_SHA384,
  endorsementPolicyDigest,
  policyOrDigest,
  policyPcrDigest,
} from "../tpm/policy.ts";
import { parsePublicArea } from "../tpm/public-area.ts";
import {
  policyDigest,
  policyEndorsement,
  policyOr,
  policyPcr,
  withPolicySession,
} from "../tpm/session-commands.ts";
import { AK_P256, EK_P384, EK_RSA_2048, STORAGE_P256 } from "../tpm/templates.ts";
import type { Transport } from "../tpm/transport.ts";
import { verifyQuote, type VerifiedQuote } from "../tpm/verify-quote.ts";
import { tpmTable } from "./tpm-table.ts";

/** A TPM after its start, all PCRs as they are then, for one test. */
export interface OpenTpm extends AsyncDisposable {
  readonly transport: Transport;
}

const NONCE = Buffer.alloc(32, 0x11);
const EVENT = Buffer.alloc(32, 0xe0);
const SECRET = Buffer.from("a secret of 32 bytes, no more...");
const BOOT: PcrSelection = { bank: "sha256", indices: [0, 1, 2, 3, 4, 5, 6, 7, 9, 11] };
const ELEVEN: PcrSelection = { bank: "sha256", indices: [11] };
/** More than a TPM has room for. */
const OFTEN = 8;

function verified(signed: TpmQuote, selection: PcrSelection): VerifiedQuote {
  const evidence = { ...signed, ak: { publicArea: signed.akPublicArea } };
  return verifyQuote(evidence, { selection, qualifyingData: NONCE });
}

function refusal(found: string): object {
  return { name: "EvidenceError", code: "ERR_TPM_RESPONSE", found };
}

/** What the client needs of every TPM, whatever it is made of. */
export function tpmContract(open: () => Promise<OpenTpm>): void {
  tpmTable(open);

  it("quotes PCRs with a key of its endorsement hierarchy", async () => {
    await using tpm = await open();
    await extendPcr(tpm.transport, 0, "sha256", EVENT);
    const quoted = verified(await quote(tpm.transport, AK_P256, BOOT, NONCE), BOOT);
    const extended = createHash("sha256").update(Buffer.alloc(32)).update(EVENT).digest();
    assert.deepEqual(quoted.pcrs.get(0), extended);
    assert.deepEqual([...quoted.pcrs.keys()], BOOT.indices);
    const { name } = parsePublicArea(await readTpmKey(tpm.transport, AK_P256));
    assert.deepEqual(quoted.akName, name);
    // TPM 2.0 Part 1 §26.5: of a primary key, over the handle of its hierarchy and its name.
    const parent = Buffer.from("4000000b", "hex");
    const digest = createHash("sha256").update(parent).update(name).digest();
    assert.deepEqual(quoted.qualifiedSigner.subarray(2), digest);
    assert.ok(quoted.resetCount < 1000, "the count of resets is not obfuscated");
  });

  it("quotes its SHA-384 bank", async () => {
    await using tpm = await open();
    const selection: PcrSelection = { bank: "sha384", indices: [0, 23] };
    await extendPcr(tpm.transport, 0, "sha384", Buffer.alloc(48, 1));
    const quoted = verified(await quote(tpm.transport, AK_P256, selection, NONCE), selection);
    assert.deepEqual(quoted.pcrs.get(23), Buffer.alloc(48));
  });

  it("THREAT-14: PCR 16 can be made equal to PCR 0, and its quote is refused", async () => {
    await using tpm = await open();
    await extendPcr(tpm.transport, 0, "sha256", EVENT);
    await extendPcr(tpm.transport, 16, "sha256", EVENT);
    const sixteen: PcrSelection = { bank: "sha256", indices: [16] };
    const signed = await quote(tpm.transport, AK_P256, sixteen, NONCE);
    const zero: PcrSelection = { bank: "sha256", indices: [0] };
    assert.deepEqual(await readPcrs(tpm.transport, zero), new Map([[0, signed.pcrs.get(16)]]));
    const claimed = { ...signed, pcrs: await readPcrs(tpm.transport, zero) };
    assert.throws(() => verified(claimed, zero), { code: "ERR_EVIDENCE_PCR_SELECTION" });
  });

  it("a quote over PCRs that nobody extended is refused by name", async () => {
    await using tpm = await open();
    const signed = await quote(tpm.transport, AK_P256, BOOT, NONCE);
    assert.throws(() => verified(signed, BOOT), { part: "pcrs[0]" });
  });

  for (const [what, ek] of [
    ["RSA", EK_RSA_2048],
    ["P-384", EK_P384],
  ] as const)
    it(`opens a credential for its ${what} endorsement key and its attestation key`, async () => {
      await using tpm = await open();
      const area = parsePublicArea(await readTpmKey(tpm.transport, ek));
      const { name } = parsePublicArea(await readTpmKey(tpm.transport, AK_P256));
      const keys = { ek, ak: AK_P256 };
      const credential = makeCredential(area, name, SECRET);
      assert.deepEqual(await activateCredential(tpm.transport, keys, credential), SECRET);
      for (let count = 0; count < OFTEN; count += 1) {
        // One after the other, so that a handle or session that leaks is missed by the next one.
        const foreign = makeCredential(
          area,
          Buffer.concat([name.subarray(0, -1), NONCE.subarray(0, 1)]),
          SECRET,
        );
        await assert.rejects(
          activateCredential(tpm.transport, keys, foreign),
          refusal("0x1df TPM_RC_INTEGRITY"),
        );
      }
    });

  it("computes the policies that are computed without it", async () => {
    await using tpm = await open();
    await extendPcr(tpm.transport, 11, "sha256", EVENT);
    const values = [...(await readPcrs(tpm.transport, ELEVEN)).values()];
    const trial = (hash: "sha256" | "sha384", steps: (session: number) => Promise<void>) =>
      withPolicySession(tpm.transport, "trial", hash, async (session) => {
        await steps(session);
        return policyDigest(tpm.transport, session);
      });
    assert.deepEqual(
      await trial("sha256", (session) => policyPcr(tpm.transport, session, ELEVEN)),
      policyPcrDigest("sha256", ELEVEN, values),
    );
    const endorsement = endorsementPolicyDigest("sha384");
    const branches = [endorsement, EK_POLICY_C_SHA384];
    assert.deepEqual(
      await trial("sha384", (session) => policyEndorsement(tpm.transport, session)),
      endorsement,
    );
    assert.deepEqual(
      await trial("sha384", async (session) => {
        await policyEndorsement(tpm.transport, session);
        await policyOr(tpm.transport, session, branches);
      }),
      policyOrDigest("sha384", branches),
    );
  });

  it("seals to PCRs, and keeps what it sealed once they have moved", async () => {
    await using tpm = await open();
    const sealed = await seal(tpm.transport, SECRET, ELEVEN);
    assert.deepEqual(await unseal(tpm.transport, sealed, ELEVEN), SECRET);
    await extendPcr(tpm.transport, 11, "sha256", EVENT);
    for (let count = 0; count < OFTEN; count += 1) {
      // One after the other, so that a handle or session that leaks is missed by the next one.
      await assert.rejects(
        unseal(tpm.transport, sealed, ELEVEN),
        refusal("0x99d TPM_RC_POLICY_FAIL"),
      );
    }
    const again = await seal(tpm.transport, SECRET, ELEVEN);
    assert.deepEqual(await unseal(tpm.transport, again, ELEVEN), SECRET);
  });

  it("seals to values that PCRs will have", async () => {
    await using tpm = await open();
    const later = createHash("sha256").update(Buffer.alloc(32)).update(EVENT).digest();
    const values = new Map([[11, later]]);
    const sealed = await seal(tpm.transport, SECRET, ELEVEN, values);
    const failed = refusal("0x99d TPM_RC_POLICY_FAIL");
    await assert.rejects(unseal(tpm.transport, sealed, ELEVEN), failed);
    await extendPcr(tpm.transport, 11, "sha256", EVENT);
    assert.deepEqual(await unseal(tpm.transport, sealed, ELEVEN), SECRET);
  });

  it("gives nothing that is sealed for a password", async () => {
    await using tpm = await open();
    const sealed = await seal(tpm.transport, SECRET, ELEVEN);
    const opening = withKey(tpm.transport, STORAGE_P256, (parent) =>
      withObject(tpm.transport, parent, sealed, (object) =>
        unsealObject(tpm.transport, object, "empty password"),
      ),
    );
    await assert.rejects(opening, refusal("0x12f TPM_RC_AUTH_UNAVAILABLE"));
  });

  it("refuses to load what was sealed and then altered", async () => {
    await using tpm = await open();
    const sealed = await seal(tpm.transport, SECRET, ELEVEN);
    const privateArea = Buffer.from(sealed.privateArea);
    privateArea.writeUInt8(
      privateArea.readUInt8(privateArea.length - 1) ^ 1,
      privateArea.length - 1,
    );
    const altered = { ...sealed, privateArea };
    await assert.rejects(unseal(tpm.transport, altered, ELEVEN), refusal("0x1df TPM_RC_INTEGRITY"));
  });

  it("quotes as often as it is asked to, also at the same time", async () => {
    await using tpm = await open();
    const signed = [];
    for (let count = 0; count < 40; count += 1) {
      // One after the other: each must leave the room that it took.
      signed.push(await quote(tpm.transport, AK_P256, ELEVEN, NONCE));
    }
    signed.push(
      ...(await Promise.all(
        Array.from({ length: 3 }, () => quote(tpm.transport, AK_P256, ELEVEN, NONCE)),
      )),
    );
    for (const one of signed) assert.equal(verified(one, ELEVEN).pcrs.size, 1);
  });

  it("has no key and no NV index that nobody made", async () => {
    await using tpm = await open();
    const missing = { persistentHandle: 0x8101_ffff };
    await assert.rejects(readTpmKey(tpm.transport, missing), refusal("0x18b TPM_RC_HANDLE"));
    await assert.rejects(readNv(tpm.transport, 0x0140_0001), refusal("0x18b TPM_RC_HANDLE"));
  });

  it("quotes no bank that it does not have", async () => {
    await using tpm = await open();
    const selection: PcrSelection = { bank: "sha512", indices: [0] };
    await assert.rejects(readPcrs(tpm.transport, selection), (error) => {
      assert.ok(error instanceof EvidenceError);
      assert.deepEqual([error.code, error.part], ["ERR_EVIDENCE_PCR_SELECTION", "pcrs[0]"]);
      return true;
    });
  });
}
