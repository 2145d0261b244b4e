import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkProfile } from "./issuer-profile.ts";

const untyped: { checkProfile(profile: unknown, where: string): unknown } = { checkProfile };

describe("checkProfile()", () => {
  it("takes a name, nothing at all, and members at their bounds", () => {
    assert.deepEqual(checkProfile("rfc9068", "profile"), checkProfile({}, "profile"));
    checkProfile(
      { base: "okta", clientClaims: Array.from({ length: 32 }, () => "cid") },
      "profile",
    );
    checkProfile({ audienceClaim: "a".repeat(512), maxLifetimeSeconds: 366 * 86_400 }, "profile");
  });

  it("names what is wrong", () => {
    const longList = Array.from({ length: 33 }, () => "cid");
    for (const [profile, message] of [
      [null, /^profile: expected a name or an object/],
      [1, /^profile: expected a name or an object/],
      ["entra2", /^profile: expected one of/],
      ["constructor", /^profile: expected one of/],
      [{ base: ["entra"] }, /^profile: expected one of/],
      [{ audience: "aud" }, /^profile: unknown member audience/],
      [{ audienceClaim: "" }, /^profile.audienceClaim: expected a text/],
      [{ audienceClaim: ["aud"] }, /^profile.audienceClaim: expected a text/],
      [{ audienceClaim: "a".repeat(513) }, /^profile.audienceClaim: expected a text/],
      [{ clientClaims: "cid" }, /^profile.clientClaims: expected a list/],
      [{ clientClaims: ["cid", 1] }, /^profile.clientClaims: expected a list/],
      [{ clientClaims: longList }, /^profile.clientClaims: expected a list/],
      [{ algorithms: ["HS256"] }, /^profile.algorithms: expected asymmetric/],
      [{ typ: [] }, /^profile.typ: expected a list/],
      [{ typ: ["jwt", 1] }, /^profile.typ: expected a list/],
      [{ idToken: { typ: [], claims: {} } }, /^profile.idToken: expected typ and claims/],
      [{ idToken: { typ: ["jwt"], claims: [] } }, /^profile.idToken: expected typ and claims/],
      ...[1, null, [], { a: 1 }, { a: "" }].map(
        (claims) => [{ claims }, /^profile.claims: expected claims/] as const,
      ),
      ...[0, 1.5, 366 * 86_400 + 1, "60"].map(
        (maxLifetimeSeconds) =>
          [{ maxLifetimeSeconds }, /^profile.maxLifetimeSeconds: expected an integer/] as const,
      ),
      ...[1, null, { a: 1 }].map(
        (metadataAt) => [{ metadataAt }, /^profile.metadataAt: expected texts/] as const,
      ),
    ] as const)
      assert.throws(
        () => untyped.checkProfile(profile, "profile"),
        { name: "TypeError", message },
        JSON.stringify(profile),
      );
  });
});
