import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { verifyAuthenticationResponse } from "@simplewebauthn/server";
import { SoftAuthenticator, type SoftAssertion, type SoftOverrides } from "@redoubt/testkit";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { verifyAssertion, type Assertion, type VerifiedAssertion } from "./assertion.ts";
import { parseCoseKey } from "./cose-key.ts";
import { PresenceError } from "./presence-error.ts";
import { assertionOf, ORIGIN, RP_ID } from "./testing/ceremony-fixture.ts";

const CHALLENGE = createHash("sha256").update("a statement").digest();
const challenge = encodeBase64url(CHALLENGE);
const FLIPPED = encodeBase64url(Buffer.alloc(32));

function ours(key: SoftAuthenticator, assertion: Assertion): VerifiedAssertion {
  const credential = { id: key.credentialId, ...parseCoseKey(key.publicKey) };
  return verifyAssertion(
    { challenge: CHALLENGE, rpId: RP_ID, origin: ORIGIN, credential },
    assertion,
  );
}

/** What the library says of the same answer; a stored counter of 0, as nobody stores one here. */
async function theirs(key: SoftAuthenticator, response: SoftAssertion): Promise<boolean> {
  try {
    const { verified } = await verifyAuthenticationResponse({
      response,
      expectedChallenge: challenge,
      expectedOrigin: ORIGIN,
      expectedRPID: RP_ID,
      requireUserVerification: true,
      credential: { id: key.credentialId, publicKey: Uint8Array.from(key.publicKey), counter: 0 },
    });
    return verified;
  } catch {
    return false;
  }
}

function partOf(key: SoftAuthenticator, assertion: Assertion): string | undefined {
  try {
    ours(key, assertion);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof PresenceError, String(error));
    return error.part ?? error.code;
  }
}

function answer(key: SoftAuthenticator, overrides: SoftOverrides = {}): SoftAssertion {
  return key.authenticate({ challenge }, { origin: ORIGIN, overrides });
}

/** Each breaks one thing. `theirs`: what the library says of it, where it is not the same as here, and why. */
const broken: Readonly<
  Record<
    string,
    { readonly overrides: SoftOverrides; readonly part: string; readonly theirs?: true }
  >
> = {
  "another challenge": { overrides: { challenge: FLIPPED }, part: "challenge" },
  "another origin": { overrides: { origin: "https://login.test" }, part: "origin" },
  "an origin with a path": { overrides: { origin: `${ORIGIN}/` }, part: "origin" },
  "a registration": { overrides: { type: "webauthn.create" }, part: "type" },
  // The library looks at crossOrigin only together with topOrigin.
  "a frame on another site": {
    overrides: { crossOrigin: true },
    part: "crossOrigin",
    theirs: true,
  },
  "a named frame": {
    overrides: { crossOrigin: true, topOrigin: "https://evil.test" },
    part: "crossOrigin",
  },
  "a top origin alone": { overrides: { topOrigin: "https://evil.test" }, part: "topOrigin" },
  "another relying party": { overrides: { rpIdHash: Buffer.alloc(32) }, part: "rpIdHash" },
  "nobody present": { overrides: { flags: { UP: false } }, part: "userPresent" },
  "nobody verified": { overrides: { flags: { UV: false } }, part: "userVerified" },
  "a copy of what cannot be copied": { overrides: { flags: { BS: true } }, part: "backedUp" },
  "a changed signature": { overrides: { signature: "flip" }, part: "ERR_PRESENCE_SIGNATURE" },
  "no signature": {
    overrides: { signature: Buffer.alloc(0) },
    part: "ERR_PRESENCE_SIGNATURE",
  },
  "a long signature": { overrides: { signature: Buffer.alloc(513) }, part: "signature" },
  "another credential": { overrides: { credentialId: FLIPPED }, part: "credentialId" },
};
/** What the library takes and we do not: it looks up the credential by its id before, which is the caller's part. */
const THEIRS_TOO: ReadonlySet<string> = new Set(["another credential"]);

for (const alg of ["ES256", "EdDSA", "RS256"] as const)
  describe(`verifyAssertion() of ${alg}`, () => {
    const key = new SoftAuthenticator({ rpId: RP_ID, alg });

    it("takes what a user who was verified signed, as the library does", async () => {
      for (const overrides of [{}, { crossOrigin: undefined }, { userHandle: null }]) {
        const response = answer(key, overrides);
        const { counter, ...verified } = ours(key, assertionOf(response));
        assert.deepEqual(verified, {
          credentialId: key.credentialId,
          userVerified: true,
          backupEligible: false,
          backedUp: false,
        });
        assert.ok(counter > 0);
        // oxlint-disable-next-line no-await-in-loop -- three
        assert.equal(await theirs(key, response), true);
      }
    });

    it("says what the authenticator says of copies, and its counter", () => {
      for (const [BE, BS] of [
        [true, false],
        [true, true],
      ]) {
        const flags = { ...(BE !== undefined && { BE }), ...(BS !== undefined && { BS }) };
        const said = ours(key, assertionOf(answer(key, { flags, counter: 2 ** 32 - 1 })));
        assert.deepEqual([said.backupEligible, said.backedUp, said.counter], [BE, BS, 2 ** 32 - 1]);
        assert.equal(Object.isFrozen(said), true);
      }
    });

    for (const [what, { overrides, part, theirs: isTheirs }] of Object.entries(broken))
      it(`THREAT-20: refuses ${what}`, async () => {
        const response = answer(key, overrides);
        assert.equal(partOf(key, assertionOf(response)), part);
        assert.equal(await theirs(key, response), isTheirs ?? THEIRS_TOO.has(what));
      });

    it("takes no signature of another passkey", () => {
      const other = new SoftAuthenticator({ rpId: RP_ID, alg });
      const assertion = assertionOf(answer(other, { credentialId: key.credentialId }));
      assert.equal(partOf(key, assertion), "ERR_PRESENCE_SIGNATURE");
    });
  });

describe("verifyAssertion()", () => {
  const key = new SoftAuthenticator({ rpId: RP_ID });
  const good = assertionOf(answer(key));

  /** Signed client data that no browser of the tests writes: only where it is refused before the signature. */
  function withClientData(text: string): string | undefined {
    return partOf(key, { ...good, clientDataJSON: Buffer.from(text) });
  }

  const client = `"type":"webauthn.get","challenge":"${challenge}","origin":"${ORIGIN}"`;

  it("reads client data strictly, but for members that browsers add", () => {
    assert.equal(
      withClientData(`{${client},"other_keys_can_be_added_here":"x"}`),
      "ERR_PRESENCE_SIGNATURE",
    );
    assert.equal(withClientData(`{${client},"crossOrigin":0}`), "crossOrigin");
    assert.equal(withClientData(`{${client},"crossOrigin":null}`), "crossOrigin");
    assert.equal(withClientData(`{${client},"topOrigin":null}`), "topOrigin");
    assert.equal(
      withClientData(`{${client},"tokenBinding":{"status":"supported"}}`),
      "tokenBinding",
    );
    for (const text of [
      "",
      "[]",
      `{${client}`,
      `{${client},"type":"webauthn.get"}`,
      `\ufeff{${client}}`,
    ])
      assert.equal(withClientData(text), "ERR_PRESENCE_ASSERTION");
    const room = 2048 - `{${client},"x":""}`.length;
    assert.equal(withClientData(`{${client},"x":"${"a".repeat(room)}"}`), "ERR_PRESENCE_SIGNATURE");
    assert.equal(
      withClientData(`{${client},"x":"${"a".repeat(room + 1)}"}`),
      "ERR_PRESENCE_ASSERTION",
    );
  });

  it("takes authenticator data of exactly its length, with no data that nobody asked for", () => {
    const data = Buffer.from(good.authenticatorData);
    for (const authenticatorData of [data.subarray(0, 36), Buffer.concat([data, Buffer.of(0xa0)])])
      assert.equal(partOf(key, { ...good, authenticatorData }), "authenticatorData");
    for (const flag of [0x40, 0x80]) {
      const authenticatorData = Buffer.from(data);
      authenticatorData.writeUInt8(data.readUInt8(32) | flag, 32);
      assert.equal(partOf(key, { ...good, authenticatorData }), "flags");
    }
  });

  it("THREAT-20: takes nothing that the library does not, whatever is changed", async () => {
    const members = ["clientDataJSON", "authenticatorData", "signature"] as const;
    const change = fc.record({
      member: fc.constantFrom(...members),
      at: fc.nat(400),
      bits: fc.integer({ min: 0, max: 255 }),
    });
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(change, async ({ member, at, bits }) => {
        const response = answer(key);
        const bytes = Buffer.from(response.response[member], "base64url");
        const place = at % bytes.length;
        bytes.writeUInt8(bytes.readUInt8(place) ^ bits, place);
        const changed = {
          ...response,
          response: { ...response.response, [member]: encodeBase64url(bytes) },
        };
        const isOurs = partOf(key, assertionOf(changed)) === undefined;
        assert.equal(isOurs, bits === 0);
        if (isOurs) {
          taken += 1;
          assert.equal(await theirs(key, changed), true);
        }
      }),
      { numRuns: 200, examples: [[{ member: "signature", at: 0, bits: 0 }]] },
    );
    assert.ok(taken > 0);
  });

  it("THREAT-26: throws nothing but its own error", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array({ maxLength: 64 }), fc.uint8Array(), (a, b, c) => {
        const assertion = { ...good, clientDataJSON: a, authenticatorData: b, signature: c };
        assert.notEqual(partOf(key, assertion), undefined);
        assert.notEqual(partOf(key, { ...good, authenticatorData: b }), undefined);
        assert.notEqual(partOf(key, { ...good, signature: c }), undefined);
      }),
    );
    assert.equal(partOf(key, { ...good, signature: randomBytes(64) }), "ERR_PRESENCE_SIGNATURE");
  });
});
