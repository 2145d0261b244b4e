import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, it } from "node:test";
import {
  authorizationCodeGrant,
  getDPoPHandle,
  randomDPoPKeyPair,
  refreshTokenGrant,
  type Configuration,
  type DPoPHandle,
  WWWAuthenticateChallengeError,
  type TokenEndpointResponse,
} from "openid-client";
import { SoftAuthenticator } from "@redoubt/testkit";
import { decodeJwt } from "jose";
import { until } from "../e2e/until.ts";
import { CALLBACK, PeopleSystem, PORTAL, signIn, type TestPerson } from "./people-fixture.ts";
import { SoftBrowser } from "./soft-browser.ts";

const OFFLINE = { scope: "openid offline_access", prompt: "consent" };

describe("sign-in of people, on a running system", () => {
  let people: PeopleSystem;
  let config: Configuration;
  let person: TestPerson;

  before(async () => {
    people = await PeopleSystem.start();
    config = await people.configure();
    person = await people.person();
  });
  after(() => people[Symbol.asyncDispose]());

  interface Tokens {
    readonly tokens: TokenEndpointResponse;
    readonly dpop: DPoPHandle;
  }

  async function tokensFor(
    whose: TestPerson,
    parameters: Readonly<Record<string, string>> = {},
  ): Promise<Tokens> {
    const { url, verifier, state } = await people.request(config, parameters);
    const { location } = await signIn(whose, url);
    const dpop = getDPoPHandle(config, await randomDPoPKeyPair());
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    const options = { DPoP: dpop };
    const tokens = await authorizationCodeGrant(config, new URL(location), checks, {}, options);
    return { tokens, dpop };
  }

  const refresh = (token: string | undefined, dpop: DPoPHandle): Promise<TokenEndpointResponse> =>
    refreshTokenGrant(config, token ?? "", {}, { DPoP: dpop });

  describe("passes", () => {
    it("looking at the page any number of times spends nothing; a POST spends it once", async () => {
      const id = await people.addPerson();
      const pass = await people.addPass(id);
      for (let look = 0; look < 5; look += 1) {
        await fetch(`${people.login.replace("localhost", "127.0.0.1")}/register`);
        await fetch(`${people.login.replace("localhost", "127.0.0.1")}/register/pass?pass=${pass}`);
      }
      const [first, second] = [new SoftBrowser(), new SoftBrowser()];
      await first.open(`${people.login}/register`);
      assert.equal((await first.submit("/register/pass", { pass })).status, 200);
      assert.match(first.body, /data-passkey="create"/);
      await second.open(`${people.login}/register`);
      assert.equal((await second.submit("/register/pass", { pass })).status, 403);
    });

    it("one that is not yet good, is over, was replaced, or never was: all look alike", async () => {
      const id = await people.addPerson();
      const unripe = await people.addPass(id, 600);
      const expired = await people.addPass(id, -600, 599);
      const replaced = await people.addPass(id);
      await people.addPass(id);
      const bodies = new Set<string>();
      for (const pass of [unripe, expired, replaced, "nothing", ""]) {
        const browser = new SoftBrowser();
        await browser.open(`${people.login}/register`);
        const { status, body } = await browser.submit("/register/pass", { pass });
        assert.equal(status, 403);
        bodies.add(body);
      }
      assert.equal(bodies.size, 1);
    });

    it("opens registration and nothing else", async () => {
      const browser = await people.spendPass(await people.addPerson());
      await browser.open(`${people.login}/passkeys`);
      assert.match(browser.body, /data-passkey="get"/);
      const { url } = await people.request(config);
      await browser.open(url);
      assert.match(browser.body, /data-passkey="get"/);
    });
  });

  describe("registration", () => {
    it("a passkey that is registered is not registered again, to anybody: ERR_PASSKEY_KNOWN", async () => {
      const [known] = (await people.person(1)).keys;
      assert.ok(known);
      const browser = await people.spendPass(await people.addPerson());
      const { status, body } = await browser.usePasskey(known);
      assert.equal(status, 403);
      assert.match(body, /ERR_PASSKEY_KNOWN/);
    });

    it("THREAT-18: without user verification there is no passkey", async () => {
      const browser = await people.spendPass(await people.addPerson());
      const key = new SoftAuthenticator({ rpId: "localhost" });
      const { body } = await browser.usePasskey(key, { overrides: { flags: { UV: false } } });
      assert.match(body, /ERR_PASSKEY_USER_VERIFICATION/);
      assert.match(body, /Set a PIN/);
    });

    it("a page of another origin registers nothing: ERR_HTTP_ORIGIN", async () => {
      const browser = await people.spendPass(await people.addPerson());
      for (const origin of ["http://evil.test", "null", "http://localhost"]) {
        const { status, body } = await browser.post(
          browser.url.replace("/register", "/register/passkey"),
          { response: {} },
          { origin },
        );
        assert.equal(status, 403);
        assert.match(body, /ERR_HTTP_ORIGIN/);
      }
    });

    it("nobody has more than 32: ERR_PASSKEY_COUNT", async () => {
      const id = await people.addPerson();
      for (let count = 0; count < 32; count += 1)
        await people.store.passkeys.add({
          credentialId: Buffer.from(`${id}${count}`),
          personId: id,
          rpId: "localhost",
          publicKey: Buffer.from("key"),
          algorithm: -7,
          counter: 0,
          trust: "none",
          format: "none",
          aaguid: "",
          backupEligible: false,
          backedUp: false,
          transports: [],
          name: "key",
          createdBy: "pass",
        });
      const browser = await people.spendPass(id);
      const { body } = await browser.usePasskey(new SoftAuthenticator({ rpId: "localhost" }));
      assert.match(body, /ERR_PASSKEY_COUNT/);
    });

    it("with one passkey of two nobody gets a token, only to the place to register another", async () => {
      const beginner = await people.person(1);
      const { url } = await people.request(config);
      await beginner.browser.open(url);
      const [key] = beginner.keys;
      assert.ok(key);
      await beginner.browser.usePasskey(key);
      assert.match(beginner.browser.url, /\/passkeys$/);
      await beginner.browser.submit("/passkeys/add");
      await beginner.browser.usePasskey(new SoftAuthenticator({ rpId: "localhost" }));
      assert.match(beginner.browser.url, /\/registered$/);
      const { location } = await signIn(beginner, url);
      assert.match(location, /[?&]code=/);
    });
  });

  describe("THREAT-20: an answer of a passkey", () => {
    it("counts once, and for the page that asked for it", async () => {
      const [key] = person.keys;
      assert.ok(key);
      const { url } = await people.request(config);
      const here = await answerFor(url);
      const there = await answerFor(`${people.login}/passkeys`);
      const [, text = ""] = /data-options="([^"]*)"/.exec(there.browser.body) ?? [];
      const options = JSON.parse(text.replaceAll("&quot;", '"'));
      const response = { ...key.authenticate(options, { origin: new URL(url).origin }) };
      const wrong = await here.browser.post(here.path, response);
      assert.match(wrong.body, /ERR_PASSKEY_CHALLENGE/);
      // It was spent there, too: whoever shows an answer twice shows it once too often.
      const again = await there.browser.post(there.path, response);
      assert.match(again.body, /ERR_PASSKEY_CHALLENGE/);
    });

    for (const [name, overrides, code] of [
      ["made at another origin", { origin: "http://localhost" }, "ERR_PASSKEY_ORIGIN"],
      ["in a frame", { crossOrigin: true }, "ERR_PASSKEY_CROSS_ORIGIN"],
      ["without verification", { flags: { UV: false } }, "ERR_PASSKEY_USER_VERIFICATION"],
      ["of a credential that is nobody's", { credentialId: "AAAA" }, "ERR_PASSKEY_DELETED"],
      ["that names nobody", { userHandle: "AAAA" }, "ERR_PASSKEY_CREDENTIAL"],
      ["with a broken signature", { signature: "flip" }, "ERR_PASSKEY_SIGNATURE"],
    ] as const)
      it(`${name}: ${code}`, async () => {
        const [key] = person.keys;
        assert.ok(key);
        const { url } = await people.request(config);
        const browser = new SoftBrowser();
        await browser.open(url);
        const { status, body } = await browser.usePasskey(key, { overrides });
        assert.equal(status, 403);
        assert.match(body, new RegExp(code));
      });
  });

  describe("codes", () => {
    it("a code is good once; the second use ends what the first gave", async () => {
      const { url, verifier, state } = await people.request(config, OFFLINE);
      const { location } = await signIn(person, url);
      const dpop = getDPoPHandle(config, await randomDPoPKeyPair());
      const checks = { pkceCodeVerifier: verifier, expectedState: state };
      const grant = () =>
        authorizationCodeGrant(config, new URL(location), checks, {}, { DPoP: dpop });
      const { refresh_token: token } = await grant();
      assert.equal(await refused(grant()), "invalid_grant");
      assert.equal(await refused(refresh(token, dpop)), "invalid_grant");
    });

    it("is worth nothing without the verifier that its request was made with", async () => {
      const { url, state } = await people.request(config);
      const { location } = await signIn(person, url);
      const checks = { pkceCodeVerifier: "v".repeat(43), expectedState: state };
      const grant = authorizationCodeGrant(config, new URL(location), checks);
      assert.equal(await refused(grant), "invalid_grant");
    });

    for (const [name, change] of [
      ["without PKCE", { code_challenge: "" }],
      ["with plain PKCE", { code_challenge_method: "plain" }],
    ] as const)
      it(`a request ${name} gets no code`, async () => {
        const { url } = await people.request(config, change);
        const { location } = await person.browser.open(url);
        assert.match(location ?? "", /error=invalid_request/);
      });

    for (const [name, change] of [
      ["to an address that is not registered", { redirect_uri: "http://127.0.0.1/other" }],
      ["of nobody's client", { client_id: "nobody" }],
      ["of a client that has no people", { client_id: "demo-enterprise" }],
    ] as const)
      it(`a request ${name} stays here`, async () => {
        const { url } = await people.request(config, change);
        const { location, status } = await new SoftBrowser().open(url);
        assert.deepEqual([location, status], [undefined, 400]);
      });

    it("an implicit request gets no token", async () => {
      const { url } = await people.request(config, { response_type: "token" });
      const { location = "" } = await person.browser.open(url);
      assert.match(location, /error=unsupported_response_type/);
      assert.doesNotMatch(location, /access_token/);
    });
  });

  describe("what a client may ask of a sign-in", () => {
    it("prompt=none without a session, and with one", async () => {
      const stranger: TestPerson = { ...person, browser: new SoftBrowser() };
      const { url } = await people.request(config, { prompt: "none" });
      const none = await stranger.browser.open(url);
      assert.match(none.location ?? "", /error=login_required/);
      await tokensFor(stranger);
      const { url: again } = await people.request(config);
      assert.deepEqual((await signIn(stranger, again)).hadPages, ["Allow portal?"]);
    });

    it("prompt=login and max_age ask again, and auth_time says so; else it stays", async () => {
      const first = decodeJwt((await tokensFor(person)).tokens.id_token ?? "");
      const stays = decodeJwt(
        (await tokensFor(person, { max_age: "10000" })).tokens.id_token ?? "",
      );
      assert.equal(stays["auth_time"], first["auth_time"]);
      await new Promise((resolve) => {
        setTimeout(resolve, 1100);
      });
      for (const parameters of [{ prompt: "login" }, { max_age: "0" }]) {
        const { url } = await people.request(config, parameters);
        const { hadPages } = await signIn(person, url);
        assert.match(hadPages[0] ?? "", /^Sign in/);
      }
      const later = decodeJwt((await tokensFor(person)).tokens.id_token ?? "");
      assert.ok(Number(later["auth_time"]) > Number(first["auth_time"]));
    });

    it("a sign-in gives the session a new name; a consent leaves it, for other tabs", async () => {
      await tokensFor(person);
      const name = (): string => {
        const [session = assert.fail("no session")] = [...person.browser.cookies.values()].filter(
          ({ name: cookie }) => cookie.startsWith("session-"),
        );
        return session.value;
      };
      const signedIn = name();
      const consent = await people.request(config, { prompt: "consent" });
      assert.deepEqual((await signIn(person, consent.url)).hadPages, ["Allow portal?"]);
      assert.equal(name(), signedIn);
      await tokensFor(person, { prompt: "login" });
      assert.notEqual(name(), signedIn);
    });

    it("auth_time is that of the passkey, however long the person reads before she consents", async () => {
      const { url, verifier, state } = await people.request(config, { prompt: "login consent" });
      const [key] = person.keys;
      assert.ok(key);
      await person.browser.open(url);
      await person.browser.usePasskey(key);
      const signedIn = Math.floor(Date.now() / 1000);
      await new Promise((resolve) => {
        setTimeout(resolve, 2100);
      });
      const { location = "" } = await person.browser.submit("/consent");
      const checks = { pkceCodeVerifier: verifier, expectedState: state };
      const { id_token: token } = await authorizationCodeGrant(config, new URL(location), checks);
      assert.ok(Number(decodeJwt(token ?? "")["auth_time"]) <= signedIn);
    });

    it("acr_values for a stronger passkey than the person has brings the sign-in page, and no token", async () => {
      await tokensFor(person);
      const wanted = "urn:redoubt:acr:passkey-attested";
      const { url } = await people.request(config, { acr_values: wanted });
      await person.browser.open(url);
      assert.match(person.browser.body, /data-passkey="get"/);
      const { url: weaker } = await people.request(config, {
        acr_values: "urn:redoubt:acr:passkey",
      });
      await tokensFor(person);
      assert.deepEqual((await signIn(person, weaker)).hadPages, ["Allow portal?"]);
    });

    it("an API's token says who, for whom, how and when; its issuer cannot widen it", async () => {
      const audience = "api://demo-enterprise";
      const { url, verifier, state } = await people.request(config, {
        scope: "openid orders.read",
        resource: audience,
      });
      const { location } = await signIn(person, url);
      const { access_token: token } = await authorizationCodeGrant(
        config,
        new URL(location),
        { pkceCodeVerifier: verifier, expectedState: state },
        { resource: audience },
      );
      const { aud, sub, client_id: client, acr, amr, tid, scope, ...rest } = decodeJwt(token);
      assert.deepEqual(
        [aud, sub, client, acr, tid, scope],
        [
          audience,
          person.id,
          PORTAL,
          "urn:redoubt:acr:passkey-device",
          people.tenant,
          "orders.read",
        ],
      );
      assert.deepEqual(amr, ["pop", "swk", "user", "mfa"]);
      assert.equal(Number(rest.exp) - Number(rest.iat), 600);
    });
  });

  describe("refresh tokens", () => {
    it("a public client without a key of its own gets none", async () => {
      const { url, verifier, state } = await people.request(config, OFFLINE);
      const { location } = await signIn(person, url);
      const checks = { pkceCodeVerifier: verifier, expectedState: state };
      const tokens = await authorizationCodeGrant(config, new URL(location), checks);
      assert.equal(tokens.refresh_token, undefined);
    });

    it("a confidential client gets one that only it can use", async () => {
      const secret = await people.addClient("backend", []);
      const backend = await people.configure("backend", secret);
      const { url, verifier, state } = await people.request(backend, OFFLINE);
      const { location } = await signIn(person, url);
      const checks = { pkceCodeVerifier: verifier, expectedState: state };
      const tokens = await authorizationCodeGrant(backend, new URL(location), checks);
      assert.ok(tokens.refresh_token);
      const impostor = await people.configure("backend", "x".repeat(43));
      const guess = refreshTokenGrant(impostor, tokens.refresh_token);
      assert.equal(await refused(guess), "invalid_client");
      const nobody = await people.configure("backend");
      assert.equal(
        await refused(refreshTokenGrant(nobody, tokens.refresh_token)),
        "invalid_client",
      );
      assert.ok((await refreshTokenGrant(backend, tokens.refresh_token)).refresh_token);
    });

    it("20 at once get one successor; a lost answer can be asked for again; a used one is a thief's", async () => {
      const { tokens, dpop } = await tokensFor(person, OFFLINE);
      const handles = await Promise.all(
        Array.from({ length: 20 }, () => refresh(tokens.refresh_token, dpop)),
      );
      const [next, ...others] = new Set(handles.map(({ refresh_token: token }) => token));
      assert.deepEqual(others, []);
      assert.equal((await refresh(tokens.refresh_token, dpop)).refresh_token, next);
      const { refresh_token: last } = await refresh(next, dpop);
      // `next` was used: who shows the one before it is not its owner.
      assert.equal(await refused(refresh(tokens.refresh_token, dpop)), "invalid_grant");
      assert.equal(await refused(refresh(last, dpop)), "invalid_grant");
    });

    it("THREAT-17: with another key than it was given to, it is refused and still good", async () => {
      const { tokens, dpop } = await tokensFor(person, OFFLINE);
      const thief = getDPoPHandle(config, await randomDPoPKeyPair());
      assert.equal(await refused(refresh(tokens.refresh_token, thief)), "invalid_grant");
      assert.ok((await refresh(tokens.refresh_token, dpop)).refresh_token);
    });
  });

  describe("the end", () => {
    it("a disabled person has no session, code, refresh token, open page or passkey left", async () => {
      const leaver = await people.person();
      const { tokens, dpop } = await tokensFor(leaver, OFFLINE);
      const { url, verifier, state } = await people.request(config);
      const { location } = await signIn(leaver, url);
      const open = new SoftBrowser();
      await open.open((await people.request(config)).url);
      const message = { id: leaver.id, kind: "test", payload: "{}" };
      await people.store.standing.deactivate(people.tenant, leaver.id, message);

      assert.equal(await refused(refresh(tokens.refresh_token, dpop)), "invalid_grant");
      const checks = { pkceCodeVerifier: verifier, expectedState: state };
      const grant = authorizationCodeGrant(config, new URL(location), checks);
      assert.equal(await refused(grant), "invalid_grant");
      await leaver.browser.open((await people.request(config)).url);
      assert.match(leaver.browser.body, /data-passkey="get"/);
      const [key] = leaver.keys;
      assert.ok(key);
      const { status, body } = await open.usePasskey(key);
      assert.equal(status, 403);
      assert.match(body, /does not work here/);
    });

    it("clients are told, by a token that they can verify, again until they take it", async () => {
      const told: string[] = [];
      let isAway = true;
      await using server = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("end", () => {
          if (!isAway) told.push(Buffer.concat(chunks).toString());
          response.writeHead(isAway ? 503 : 200).end();
          isAway = false;
        });
      });
      await new Promise<void>((resolve) => {
        server.listen(0, "127.0.0.1", resolve);
      });

      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      await people.addClient("told", [
        "--public",
        "--logout-uri=http://127.0.0.1/bye",
        `--backchannel-logout-uri=http://127.0.0.1:${port}/ended`,
      ]);
      const other = await people.configure("told");
      const leaver = await people.person();
      const { url } = await people.request(other);
      await signIn(leaver, url);
      await leaver.browser.open(`${people.login}/sign-out`);
      await leaver.browser.submit("/sign-out/confirm", { logout: "yes" });
      await until(
        "the client is told",
        () => told.length,
        (count) => count > 0,
      );
      const token = new URLSearchParams(told[0]).get("logout_token") ?? "";
      const { sub, aud, events, sid } = decodeJwt(token);
      assert.deepEqual([sub, aud], [leaver.id, "told"]);
      assert.deepEqual(events, { "http://schemas.openid.net/event/backchannel-logout": {} });
      assert.equal(typeof sid, "string");
    });

    it("everything that was signed for people is in the log, and was delivered: no alarm", async () => {
      const { code, stdout } = await people.system.redoubt(["alarms", "--json"]);
      assert.equal(code, 0);
      assert.doesNotMatch(stdout, /undelivered|unlogged/);
    });
  });

  it("control: the callback is the client's own", () => {
    assert.match(CALLBACK, /^http:\/\/127\.0\.0\.1\//);
  });
});

async function refused(request: Promise<unknown>): Promise<string> {
  try {
    await request;
  } catch (error) {
    if (error instanceof Error && "error" in error) return String(error.error);
    if (error instanceof WWWAuthenticateChallengeError) return "invalid_client";
    throw error;
  }
  return "no refusal";
}

async function answerFor(address: string): Promise<{ browser: SoftBrowser; path: string }> {
  const browser = new SoftBrowser();
  await browser.open(address);
  const [, path = ""] = /data-answer="([^"]*)"/.exec(browser.body) ?? [];
  return { browser, path };
}
