import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NOW } from "./testing/fixture.ts";
import {
  ENTRA_MANY,
  fetchFrom,
  foreignToken,
  foreignVerifier,
  pagesOf,
} from "./testing/foreign-issuer.ts";
import { assertRefused } from "./testing/refusals.ts";
import { until } from "./testing/site.ts";
import type { Verifier } from "./verifier.ts";

const UNKNOWN_KID = foreignToken(ENTRA_MANY, { header: { kid: "k2" } });

/** A verifier on a clock in seconds, and how often its issuer was asked for something. */
async function watched(): Promise<{
  readonly verifier: Verifier;
  readonly asked: () => number;
  readonly at: (now: number) => void;
}> {
  let now = NOW;
  let asked = 0;
  const serve = fetchFrom(pagesOf(ENTRA_MANY));
  const verifier = await foreignVerifier(ENTRA_MANY, {
    options: { now: () => now * 1000 },
    discovery: {
      fetch: (...request) => {
        asked += 1;
        return serve(...request);
      },
    },
  });
  return { verifier, asked: () => asked, at: (seconds) => void (now = seconds) };
}

function noClock(): number {
  throw new RangeError("no clock");
}

describe("an issuer with a profile", () => {
  it("THREAT-09: is asked again for an unknown kid, once in 30 seconds however many tokens come", async () => {
    const { verifier, asked, at } = await watched();
    const ask = (): void => {
      for (let i = 0; i < 20; i += 1)
        assertRefused(verifier, UNKNOWN_KID, "ERR_JWKS_NO_MATCHING_KEY");
    };
    at(NOW + 29);
    ask();
    assert.equal(asked(), 2);
    at(NOW + 30);
    ask();
    await until(() => asked() === 4);
    ask();
    at(NOW + 59);
    ask();
    assert.equal(asked(), 4);
    verifier.close();
  });

  it("does not start in silence where something else than the issuer fails", async () => {
    const options = { now: noClock };
    await assert.rejects(foreignVerifier(ENTRA_MANY, { options }), /no clock/);
  });

  it("is ready under its own name and its tenants', until its keys are stale", async () => {
    const { verifier, at } = await watched();
    const { issuer } = ENTRA_MANY.declaration;
    const ofTenant = String(ENTRA_MANY.claims["iss"]);
    for (const name of [undefined, issuer, ofTenant])
      assert.equal(verifier.isReady(name), true, name);
    assert.equal(verifier.isReady("https://other.example"), false);
    at(NOW + 86_400);
    for (const name of [undefined, issuer, ofTenant])
      assert.equal(verifier.isReady(name), false, name);
    assertRefused(verifier, UNKNOWN_KID, "ERR_ISSUER_NOT_READY");
    for (const iss of ["https://other.example", undefined]) {
      const stranger = foreignToken(ENTRA_MANY, { header: { kid: "k2" }, claims: { iss } });
      assertRefused(verifier, stranger, "ERR_JWKS_NO_MATCHING_KEY");
    }
    const [header] = UNKNOWN_KID.split(".");
    for (const payload of ["+", "AAAA", "bnVsbA"])
      assertRefused(verifier, `${header}.${payload}.AAAA`, "ERR_JWKS_NO_MATCHING_KEY");
    verifier.close();
  });
});
