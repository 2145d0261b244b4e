import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { authorizationCodeGrant, refreshTokenGrant, type Configuration } from "openid-client";
import { age, rowOf } from "./downgrade/aging.ts";
import { cookieOf } from "./downgrade/secrets.ts";
import { PeopleSystem, signIn, type TestPerson } from "./people-fixture.ts";
import { SoftBrowser } from "./soft-browser.ts";

/** Of a system on one machine (apps/redoubt/src/up/configs.ts). */
const SESSION_SECONDS = 43_200;
const REFRESH_SECONDS = 604_800;
const STEPS = 12;
/** RFC 8252 §8.6: an application on the person's device is asked about each time; this one is not. */
const SITE = "https://rp.example/callback";

describe("THREAT-16: what a sign-in gives ends at its time, however often it is used", () => {
  let people: PeopleSystem;
  let config: Configuration;
  let backend: Configuration;
  let person: TestPerson;

  before(async () => {
    people = await PeopleSystem.start();
    await people.addClient("site", ["--public", `--redirect-uri=${SITE}`]);
    config = await people.configure("site");
    backend = await people.configure("backend", await people.addClient("backend", []));
    person = await people.person();
  });
  after(() => people[Symbol.asyncDispose]());

  async function signedIn(): Promise<{ readonly browser: SoftBrowser; readonly name: string }> {
    const browser = new SoftBrowser();
    await signIn(
      { ...person, browser },
      (await people.request(config, { redirect_uri: SITE })).url,
    );
    return { browser, name: `session-${people.tenant}` };
  }

  /** One more use of it: a code without a page, or why there is none. */
  async function useSession(browser: SoftBrowser): Promise<string> {
    const { url } = await people.request(config, { redirect_uri: SITE, prompt: "none" });
    const { location = "" } = await browser.open(url);
    const { searchParams } = new URL(location);
    return searchParams.get("error") ?? (searchParams.has("code") ? "code" : location);
  }

  it("a session that is used all the time", async () => {
    const { browser, name } = await signedIn();
    const step = SESSION_SECONDS / STEPS;
    for (let steps = 1; steps < STEPS; steps += 1) {
      await age(people, "Session", { secret: cookieOf(browser, name), seconds: step });
      assert.equal(await useSession(browser), "code");
      const row = await rowOf(people, "Session", cookieOf(browser, name));
      const end = Number(row?.payload["loginTs"]) + SESSION_SECONDS;
      assert.ok(row && row.expires <= end, `${row?.expires} is after ${end}`);
      assert.ok(Number(row.payload["exp"]) <= end);
    }
    await age(people, "Session", { secret: cookieOf(browser, name), seconds: step });
    assert.equal(await useSession(browser), "login_required");
  });

  it("both sides of its end", async () => {
    const { browser, name } = await signedIn();
    const secret = cookieOf(browser, name);
    const seconds = SESSION_SECONDS - 30;
    await age(people, "Session", { secret, seconds });
    assert.equal(await useSession(browser), "code");
    await age(people, "Session", { secret: cookieOf(browser, name), seconds: 30 });
    assert.equal(await useSession(browser), "login_required");
  });

  it("a refresh token that is rotated all the time", async () => {
    const parameters = { scope: "openid offline_access", prompt: "consent" };
    const { url, verifier, state } = await people.request(backend, parameters);
    const { location } = await signIn({ ...person, browser: new SoftBrowser() }, url);
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    let { refresh_token: token = "" } = await authorizationCodeGrant(
      backend,
      new URL(location),
      checks,
    );
    const ages = { seconds: REFRESH_SECONDS / STEPS };
    for (let steps = 1; steps < STEPS; steps += 1) {
      await age(people, "RefreshToken", { secret: token, ...ages });
      const { refresh_token: next = "" } = await refreshTokenGrant(backend, token);
      assert.notEqual(next, token);
      token = next;
      const row = await rowOf(people, "RefreshToken", token);
      const end = Number(row?.payload["authTime"]) + REFRESH_SECONDS;
      assert.ok(row && row.expires <= end, `${row?.expires} is after ${end}`);
    }
    await age(people, "RefreshToken", { secret: token, ...ages });
    await assert.rejects(refreshTokenGrant(backend, token), { error: "invalid_grant" });
  });

  it("a refresh token from an old session ends as if it were from the sign-in", async () => {
    const { browser, name } = await signedIn();
    const parameters = { scope: "openid offline_access", prompt: "consent" };
    await age(people, "Session", { secret: cookieOf(browser, name), seconds: 40_000 });
    const { url, verifier, state } = await people.request(backend, parameters);
    const { location } = await signIn({ ...person, browser }, url);
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    const tokens = await authorizationCodeGrant(backend, new URL(location), checks);
    const row = await rowOf(people, "RefreshToken", tokens.refresh_token ?? "");
    const authTime = Number(tokens.claims()?.auth_time);
    assert.ok(authTime <= Date.now() / 1000 - 40_000);
    assert.ok(row && row.expires <= authTime + REFRESH_SECONDS);
  });

  it("a code is good for a minute; the page of one's own passkeys for a quarter of an hour", async () => {
    const { url, verifier, state } = await people.request(config, { redirect_uri: SITE });
    const { location } = await signIn({ ...person, browser: new SoftBrowser() }, url);
    const secret = new URL(location).searchParams.get("code") ?? "";
    await age(people, "AuthorizationCode", { secret, seconds: 61 });
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    await assert.rejects(authorizationCodeGrant(config, new URL(location), checks), {
      error: "invalid_grant",
    });

    const browser = new SoftBrowser();
    await browser.open(`${people.login}/passkeys`);
    const [key] = person.keys;
    assert.ok(key);
    await browser.usePasskey(key);
    for (const [seconds, look] of [
      [890, /My passkeys/],
      [10, /data-passkey="get"/],
    ] as const) {
      const own = cookieOf(browser, `account-${people.tenant}`);
      await age(people, "Account", { secret: own, seconds });
      await browser.open(`${people.login}/passkeys`);
      assert.match(browser.body, look);
    }
  });
});
