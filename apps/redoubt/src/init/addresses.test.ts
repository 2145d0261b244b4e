import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseAddresses, hostsOf, loopbackAddresses } from "./addresses.ts";

const APPROVE = "https://approve.login.example.org";
const choose = (
  issuer: readonly string[],
  rpId?: string,
  presenceOrigin: string | undefined = APPROVE,
) => chooseAddresses({ issuer, rpId, presenceOrigin }, 7400);

test("without a public address everything is on loopback", () => {
  const found = chooseAddresses({}, 7500);
  assert.deepEqual(found, loopbackAddresses(7500));
  assert.equal(found.realms.enterprise.issuer, "http://127.0.0.1:7500/{tenantid}/v2.0");
  assert.equal(found.reports, "http://127.0.0.1:7503");
  assert.equal(found.rpId, "localhost");
  assert.equal(found.presence, "http://localhost:7505");
});

test("one address for all realms, also below a path", () => {
  for (const base of ["https://login.example.org", "https://login.example.org:8443/sso/eu-1"]) {
    const { realms, reports, rpId } = choose([base]);
    assert.deepEqual(realms, {
      consumer: {
        issuer: `${base}/consumer/v2.0`,
        tokenEndpoint: `${base}/consumer/oauth2/v2.0/token`,
      },
      enterprise: {
        issuer: `${base}/{tenantid}/v2.0`,
        tokenEndpoint: `${base}/{tenantid}/oauth2/v2.0/token`,
      },
    });
    assert.equal(reports, `${base}/reports/`);
    assert.equal(rpId, "login.example.org");
    assert.deepEqual(choose([`${base}/`]).realms, realms);
  }
});

test("an address for each realm, under one RP ID", () => {
  const issuer = ["consumer=https://id.example.org", "enterprise=https://login.example.org/sso"];
  const { realms, rpId } = choose(issuer, "example.org");
  assert.equal(realms.consumer.issuer, "https://id.example.org/consumer/v2.0");
  assert.equal(realms.enterprise.issuer, "https://login.example.org/sso/{tenantid}/v2.0");
  assert.equal(rpId, "example.org");
  assert.throws(() => choose(issuer), /--rp-id is missing/);
});

test("an address has one spelling, and is https where others can reach it", () => {
  for (const issuer of [
    "login.example.org",
    "http://login.example.org",
    "https://LOGIN.example.org",
    "https://login.example.org:443",
    "https://login.example.org//",
    "https://login.example.org/a//b",
    "https://login.example.org/a/../b",
    "https://login.example.org/.well-known",
    "https://login.example.org/{tenantid}",
    "https://login.example.org/a b",
    "https://login.example.org/?a=b",
    "https://login.example.org/?",
    "https://login.example.org/#a",
    "https://user@login.example.org",
    "ftp://login.example.org",
    "other=https://login.example.org",
    "",
  ])
    assert.throws(() => choose([issuer]), { code: "ERR_OPTION" }, issuer);
  for (const issuer of [["http://localhost:8080"], ["https://192.0.2.1"]]) {
    const { rpId, presence } = chooseAddresses({ issuer }, 7400);
    assert.deepEqual([rpId, presence], ["localhost", "http://localhost:7405"]);
  }
});

test("where we speak TLS ourselves each process has a port", () => {
  const issuer = ["https://login.example.org/sso"];
  const { realms, reports, presence } = chooseAddresses({ issuer, listenPort: 443 }, 7400);
  assert.equal(presence, "https://login.example.org:448");
  assert.equal(realms.consumer.issuer, "https://login.example.org/sso/consumer/v2.0");
  assert.equal(
    realms.consumer.tokenEndpoint,
    "https://login.example.org:444/sso/consumer/oauth2/v2.0/token",
  );
  assert.equal(
    realms.enterprise.tokenEndpoint,
    "https://login.example.org:445/sso/{tenantid}/oauth2/v2.0/token",
  );
  assert.equal(reports, "https://login.example.org:446/");
  assert.throws(() => chooseAddresses({ issuer, listenPort: 8443 }, 7400), /different ports/);
  assert.throws(() => chooseAddresses({ listenPort: 443 }, 7400), /need --issuer/);
});

test("each realm has exactly one address", () => {
  const [one, other] = ["https://a.example.org", "https://b.example.org"];
  assert.throws(() => choose([one, other]), /twice/);
  assert.throws(() => choose([one, `consumer=${other}`]), /twice/);
  assert.throws(() => choose([`enterprise=${one}`]), /missing for realm consumer/);
});

test("an RP ID is the host of every issuer, or a domain above it", () => {
  for (const rpId of [
    "org",
    "ample.org",
    "login.example.org.",
    "Example.org",
    "example.com",
    "*.example.org",
    "localhost",
  ])
    assert.throws(() => choose(["https://login.example.org"], rpId), { code: "ERR_OPTION" }, rpId);
  assert.equal(choose(["https://login.example.org"], "example.org").rpId, "example.org");
  assert.throws(() => choose([], "example.org"), /need --issuer/);
});

test("THREAT-20: people approve at an origin at which they do not sign in, and which their passkeys are for", () => {
  const issuer = ["consumer=https://id.example.org", "enterprise=https://login.example.org/sso"];
  const at = (presenceOrigin?: string, listenPort?: number) =>
    chooseAddresses({ issuer, rpId: "example.org", presenceOrigin, listenPort }, 7400);
  for (const good of ["https://approve.example.org", "https://login.example.org:8443"]) {
    const found = at(good);
    assert.equal(found.presence, good);
    assert.deepEqual(hostsOf(found), [
      ...new Set(["id.example.org", "login.example.org", new URL(good).hostname]),
    ]);
  }
  assert.throws(() => at(), { code: "ERR_OPTION", message: /is missing.*approve\.example\.org/ });
  for (const [bad, why] of [
    ["https://login.example.org", /people sign in there/],
    ["https://id.example.org", /people sign in there/],
    ["https://approve.example.com", /RP ID example\.org/],
    ["https://approveexample.org", /RP ID example\.org/],
    ["https://approve.example.org/", /nothing else/],
    ["https://approve.example.org/p", /nothing else/],
    ["https://approve.example.org:443", /nothing else/],
    ["https://APPROVE.example.org", /nothing else/],
    ["http://approve.example.org", /nothing else/],
    ["approve.example.org", /nothing else/],
  ] as const)
    assert.throws(() => at(bad), { code: "ERR_OPTION", message: why }, bad);
  assert.equal(
    at("https://approve.example.org:448", 443).presence,
    "https://approve.example.org:448",
  );
  assert.throws(() => at("https://approve.example.org", 443), /port 448/);
  assert.throws(() => chooseAddresses({ presenceOrigin: APPROVE }, 7400), /need --issuer/);
});
