import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  buildEndSessionUrl,
  calculatePKCECodeChallenge,
  discovery,
  fetchUserInfo,
  getDPoPHandle,
  None,
  randomDPoPKeyPair,
  randomPKCECodeVerifier,
  randomState,
  refreshTokenGrant,
  type Configuration,
} from "openid-client";
import { issuerTemplate, portsFrom, readDemo } from "@redoubt/cli";
import { SoftAuthenticator } from "@redoubt/testkit";
import { startSystem, type System } from "../e2e/system.ts";
import { addPerson } from "./add-person.ts";
import { SoftBrowser } from "./soft-browser.ts";

const CALLBACK = "http://127.0.0.1/callback";

describe("people sign in through an unmodified openid-client", () => {
  let system: System;
  let tenant = "";
  let login = "";
  /** On loopback one passkey is enough. */
  const key = new SoftAuthenticator({ rpId: "localhost" });

  before(async () => {
    system = await startSystem();
    const demo = readDemo(system.folder).clients.find(({ realm }) => realm === "enterprise");
    assert.ok(demo);
    ({ tenant } = demo);
    login = `http://localhost:${portsFrom(system.base)["issuer-enterprise"]}/${tenant}/oauth2/v2.0`;
    const added = await system.redoubt([
      "clients",
      "add",
      `--tenant=${tenant}`,
      "--client=portal",
      "--public",
      `--redirect-uri=${CALLBACK}`,
      "--logout-uri=http://127.0.0.1/bye",
      "--scope=orders.read",
    ]);
    assert.equal(added.code, 0, added.stderr);
  });
  after(() => system[Symbol.asyncDispose]());

  function configure(): Promise<Configuration> {
    const issuer = issuerTemplate("enterprise", portsFrom(system.base).publisher);
    return discovery(new URL(issuer.replace("{tenantid}", tenant)), "portal", undefined, None(), {
      execute: [allowInsecureRequests],
    });
  }

  it("registers a passkey with a pass, signs in, reads userinfo, refreshes, signs out", async () => {
    const pass = await addPerson(system, tenant);
    const browser = new SoftBrowser();
    await browser.spendPass(`${login}/register#${pass}`);
    await browser.usePasskey(key, { name: "key" });
    assert.match(browser.url, /\/registered$/);

    const config = await configure();
    const verifier = randomPKCECodeVerifier();
    const state = randomState();
    const dpop = getDPoPHandle(config, await randomDPoPKeyPair());
    const authorize = buildAuthorizationUrl(config, {
      redirect_uri: CALLBACK,
      scope: "openid profile email offline_access orders.read",
      prompt: "consent",
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
    });
    await browser.open(authorize.href);
    assert.match(browser.body, /go on to\s+<strong>portal<\/strong>/);
    await browser.usePasskey(key);
    assert.match(browser.body, /Allow portal\?/);
    const { location, body } = await browser.submit("/consent");
    assert.ok(location !== undefined && location.startsWith(CALLBACK), body);
    const tokens = await authorizationCodeGrant(
      config,
      new URL(location),
      { pkceCodeVerifier: verifier, expectedState: state },
      {},
      { DPoP: dpop },
    );
    const claims = tokens.claims();
    assert.equal(claims?.["acr"], "urn:redoubt:acr:passkey-device");
    assert.ok(claims);
    const info = await fetchUserInfo(config, tokens.access_token, claims.sub, { DPoP: dpop });
    assert.equal(info["name"], "Ada");
    assert.ok(tokens.refresh_token);
    const refreshed = await refreshTokenGrant(config, tokens.refresh_token, {}, { DPoP: dpop });
    assert.notEqual(refreshed.refresh_token, tokens.refresh_token);
    const out = buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token ?? "",
      post_logout_redirect_uri: "http://127.0.0.1/bye",
    });
    await browser.open(out.href);
    const bye = await browser.submit("/sign-out/confirm", { logout: "yes" });
    assert.equal(bye.location, "http://127.0.0.1/bye");
  });
});
