import assert from "node:assert/strict";
import { test } from "node:test";
import { MemberReader } from "@redoubt/base";
import type { JsonValue } from "@redoubt/verify/json";
import { readPeople, type PeopleConfig } from "./people-config.ts";

function read(presence?: JsonValue): PeopleConfig {
  const passkeys = { synced: "allowed", allowAaguids: null, denyAaguids: [], roots: [] };
  const config = {
    loginOrigin: "https://login.example.test",
    rp: { id: "example.test", name: "Example" },
    passkeysRequired: 2,
    passkeys: { ...passkeys, attestation: "none" },
    sessionSeconds: 3600,
    refreshSeconds: 3600,
  };
  return readPeople(
    new MemberReader({ ...config, ...(presence !== undefined && { presence }) }, "people"),
  );
}

test("THREAT-20: people approve at an origin at which nobody signs in", () => {
  assert.equal(read().presence, undefined);
  assert.equal(read("https://approve.example.test").presence, "https://approve.example.test");
  assert.throws(() => read("https://login.example.test"), { code: "ERR_CONFIG" });
  for (const bad of ["http://approve.example.test", "https://approve.example.test/", "", 7])
    assert.throws(() => read(bad), { code: "ERR_REQUEST_MEMBER" });
});
