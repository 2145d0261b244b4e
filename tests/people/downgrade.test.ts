import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { SoftAuthenticator } from "@redoubt/testkit";
import { decodeJwt } from "jose";
import { clientCredentialsGrant } from "openid-client";
import { age } from "./downgrade/aging.ts";
import { GRANT_TYPES, METHODS, SERVED, USUAL } from "./downgrade/routes.ts";
import {
  accountOf,
  cookieOf,
  gatherSecrets,
  impostors,
  type Secrets,
} from "./downgrade/secrets.ts";
import { givenBy, sessionGiven, Trials } from "./downgrade/trials.ts";
import { OTHER_WAYS, weakerAnswers } from "./downgrade/weaker-answers.ts";
import { CALLBACK, PeopleSystem, PORTAL, signIn, type TestPerson } from "./people-fixture.ts";
import { askAsClient, SoftBrowser, type Seen } from "./soft-browser.ts";

/** Fewer would mean that the walk has lost its way. */
const MINIMUM = 12_000;
const ACRS = ["", "urn:redoubt:acr:passkey-attested", "urn:example:acr:password"];
const PROMPTS = ["", "none", "login", "consent", "login consent", "create", "select_account"];
const OWN_PAGE = "the passkeys' page";
const AGES = ["", "0", "10000"];

describe("THREAT-18: every flow of sign-in, with every answer that is less than a passkey", () => {
  let trials: Trials;
  let people: PeopleSystem;
  let others: PeopleSystem;
  let mine: TestPerson;
  let stranger: TestPerson;
  let secrets: Secrets;
  let backendSecret = "";
  let passkeysBefore = "";

  before(async () => {
    people = await PeopleSystem.start();
    others = await people.withNewTenant();
    backendSecret = await people.addClient("backend", ["--audience=api://demo-enterprise"]);
    mine = await people.person();
    stranger = await people.person();
    secrets = await gatherSecrets(people, { mine, others });
    trials = new Trials(people);
    passkeysBefore = await passkeys();
  });
  after(() => people[Symbol.asyncDispose]());

  async function passkeys(): Promise<string> {
    const lists = await Promise.all(
      [mine.id, stranger.id].map((id) => people.store.passkeys.list(id)),
    );
    return JSON.stringify(
      lists
        .flat()
        .map(({ credentialId, name }) => [Buffer.from(credentialId).toString("hex"), name]),
    );
  }

  async function urlFor(parameters: Readonly<Record<string, string>>): Promise<string> {
    const given = Object.entries(parameters).filter(([, value]) => value !== "");
    return (await people.request(await people.configure(), Object.fromEntries(given))).url;
  }

  describe("controls: what the walk would see if something completed", () => {
    it("a passkey signs in; its redirect, its cookies and its token are seen for what they are", async () => {
      const browser = new SoftBrowser();
      await browser.open(await urlFor({}));
      const { kind, options, path } = browser.ceremony();
      assert.equal(kind, "get");
      const { origin } = new URL(browser.url);
      const proven = await browser.post(path, keyOf(mine).authenticate(options, { origin }));
      assert.match(givenBy(proven) ?? "", /^leads to /);
      const resumed = await browser.ask(String(JSON.parse(proven.body).location));
      assert.equal(await sessionGiven(people, resumed), "a session of somebody");
      await browser.open(resumed.location ?? "");
      const consented = await browser.submit("/consent");
      assert.match(givenBy(consented) ?? "", /^redirect with code/);
      const seen = new Trials(people);
      await seen.checkNobody(browser, "control");
      // The session is one; the passkeys' page has its own.
      assert.equal(seen.completed.length, 1);
    });

    it("a pass and a passkey open what they are for", async () => {
      const browser = new SoftBrowser();
      await browser.open(`${people.login}/register`);
      const pass = await people.addPass(await people.addPerson());
      const body = new URLSearchParams({ pass });
      const spent = await browser.ask(`${people.login}/register/pass`, { method: "POST", body });
      assert.match(givenBy(spent) ?? "", /^cookie registration-/);
      const own = new SoftBrowser();
      const value = await accountOf(people, mine);
      own.setCookie(`account-${people.tenant}`, value);
      const seen = new Trials(people);
      await seen.checkNobody(own, "control");
      assert.deepEqual(seen.completed, ["control: /passkeys is open"]);
    });

    it("a client's own token is of a client, whatever it says of people", async () => {
      const config = await people.configure("backend", backendSecret);
      const { access_token: token } = await clientCredentialsGrant(config, {
        scope: "orders.read",
        ...OTHER_WAYS,
        sub: mine.id,
        requested_subject: mine.id,
      });
      const { sub, acr, amr, auth_time: authTime } = decodeJwt(token);
      assert.deepEqual([sub, acr, amr, authTime], ["backend", undefined, undefined, undefined]);
    });
  });

  it("authorize, with every prompt, max_age and acr_values, by everybody who has not signed in", async () => {
    for (const [who, browser] of impostors(people, secrets)) {
      for (const prompt of PROMPTS)
        for (const max_age of AGES)
          for (const acr_values of ACRS) {
            const url = new URL(await urlFor({ prompt, max_age, acr_values }));
            for (const [name, value] of Object.entries(OTHER_WAYS))
              url.searchParams.set(name, value);
            url.searchParams.set("login_hint", "ada@example.org");
            url.searchParams.set("id_token_hint", secrets.idToken);
            const what = `${who} ${prompt} ${max_age} ${acr_values}`;
            await authorizeAndGoOn(browser, { url, what });
          }
      await trials.checkNobody(browser, who);
    }
  });

  /** The page that it leads to, and every step that comes after a sign-in. */
  async function authorizeAndGoOn(
    browser: SoftBrowser,
    { url, what }: { readonly url: URL; readonly what: string },
  ): Promise<void> {
    await trials.note("authorize", what, await browser.open(url.href));
    const [, uid] = /\/interaction\/([\w-]+)$/.exec(browser.url) ?? [];
    if (uid === undefined) return;
    const body = new URLSearchParams(OTHER_WAYS);
    const page = `${people.login}/interaction/${uid}`;
    const consent = await browser.ask(`${page}/consent`, { method: "POST", body });
    await trials.note("consent without sign-in", what, consent);
    const resumed = await browser.ask(`${people.login}/authorize/${uid}`);
    await trials.note("resume without sign-in", what, resumed);
  }

  it("every page that asks for a passkey, with every weaker answer", async () => {
    const { origin } = new URL(people.login);
    const places = ["", "login", "consent"].flatMap((prompt) =>
      AGES.flatMap((max_age) => ACRS.map((acr_values) => ({ prompt, max_age, acr_values }))),
    );
    const answers = weakerAnswers({
      key: keyOf(mine),
      stranger: keyOf(stranger),
      origin,
      otherChallenges: new Map([
        [OWN_PAGE, () => challengeAt(`${people.login}/passkeys`)],
        ["another sign-in", async () => challengeAt(await urlFor({}))],
        ["another tenant's page", () => challengeAt(`${others.login}/passkeys`)],
        ["a registration", registrationChallenge],
        ["what was answered before", usedChallenge],
      ]),
    });
    for (const [at, place] of [...places.entries(), [-1, undefined] as const]) {
      const address = place ? await urlFor(place) : `${people.login}/passkeys`;
      const browser = new SoftBrowser();
      await browser.open(address);
      for (const { name, make } of answers) {
        // There it is right.
        if (place === undefined && name === `an answer to ${OWN_PAGE}`) continue;
        await browser.open(browser.url);
        const { path, options } = browser.ceremony();
        const body = await make(options);
        const headers = { "content-type": "application/json", origin };
        const to = new URL(path, browser.url).href;
        const init = { method: "POST", headers, body: JSON.stringify(body) };
        await trials.note("weaker assertion", `${at} ${name}`, await browser.ask(to, init));
      }
      await trials.checkNobody(browser, `weaker assertions at ${address}`);
    }
  });

  async function registrationChallenge(): Promise<string> {
    const browser = new SoftBrowser();
    const value = secrets.registration;
    browser.setCookie(`registration-${people.tenant}`, value);
    await browser.open(`${people.login}/register`);
    return browser.ceremony().options.challenge;
  }

  async function usedChallenge(): Promise<string> {
    const browser = new SoftBrowser();
    await browser.open(`${people.login}/passkeys`);
    const { options, path } = browser.ceremony();
    const { origin } = new URL(people.login);
    await browser.post(path, keyOf(stranger).authenticate(options, { origin }));
    return options.challenge;
  }

  it("a passkey that is bound to its device, where an attested one is asked for, gets no code", async () => {
    for (const prompt of ["", "login", "consent"])
      for (const max_age of AGES) {
        const [browser] = [new SoftBrowser()];
        const acr_values = "urn:redoubt:acr:passkey-attested";
        await browser.open(await urlFor({ prompt, max_age, acr_values }));
        const seen = await browser.usePasskey(keyOf(mine));
        const isWeaker = seen.location === undefined && browser.body.includes('data-passkey="get"');
        await trials.note("weaker passkey", prompt, { ...seen, headers: new Headers() });
        assert.equal(isWeaker, true, browser.body);
      }
  });

  it("every route with every method, by everybody who has not signed in, with the fields of every other way", async () => {
    const open = new SoftBrowser();
    await open.open(await urlFor({ prompt: "login" }));
    await open.usePasskey(keyOf(mine));
    // A consent page of somebody who has signed in, in another browser.
    const [, uid = ""] = /\/interaction\/([\w-]+)$/.exec(open.url) ?? [];
    assert.notEqual(uid, "");
    for (const [who, browser] of impostors(people, secrets)) {
      for (const route of [...SERVED, ...USUAL])
        for (const method of METHODS) {
          const address = `${people.login}${route.replace(":uid", uid)}`;
          const seen = await askWithFields(browser, { address, method });
          await trials.note("route", `${who} ${method} ${route}`, seen);
        }
      await trials.checkNobody(browser, `routes by ${who}`);
    }
  });

  function askWithFields(
    browser: SoftBrowser,
    { address, method }: { readonly address: string; readonly method: string },
  ): Promise<Seen> {
    const fields = { ...OTHER_WAYS, client_id: PORTAL, redirect_uri: CALLBACK };
    const headers = { origin: new URL(people.login).origin };
    const init = { method, headers };
    if (["GET", "HEAD", "OPTIONS"].includes(method))
      return browser.ask(`${address}?${String(new URLSearchParams(fields))}`, init);
    const isJson = /passkey$|sign-in$/.test(address);
    return browser.ask(address, {
      ...init,
      headers: { ...headers, ...(isJson && { "content-type": "application/json" }) },
      body: isJson ? JSON.stringify(fields) : new URLSearchParams(fields),
    });
  }

  it("links with a secret in them, as in e-mail", async () => {
    const { pass, code, idToken, account, registration } = secrets;
    const values = { pass, code, idToken, account, registration };
    for (const [what, secret] of Object.entries(values))
      for (const route of [...SERVED, ...USUAL])
        for (const name of ["token", "code", "pass", "ticket", "login_token", "otp", "session"]) {
          const address = `${people.login}${route.replace(":uid", "a".repeat(21))}`;
          const seen = await askAsClient(`${address}?${name}=${secret}`);
          await trials.note("link", `${what} ${route} ${name}`, seen);
        }
  });

  it("the token endpoint, with every grant type, by everybody", async () => {
    const callers: readonly (readonly [string, Record<string, string>, Record<string, string>])[] =
      [
        ["nobody", {}, {}],
        ["a public client", {}, { client_id: PORTAL }],
        ["a confidential client without proof", {}, { client_id: "backend" }],
        ["a confidential client", { authorization: basic("backend", backendSecret) }, {}],
        [
          "a confidential client in the body",
          {},
          { client_id: "backend", client_secret: backendSecret },
        ],
        ["a public client with a secret", { authorization: basic(PORTAL, "secret") }, {}],
      ];
    const bags = tokenFields();
    for (const [who, headers, fields] of callers)
      for (const grant_type of GRANT_TYPES)
        for (const [what, more] of Object.entries(bags)) {
          // That one gets a client's token; see the controls.
          if (grant_type === "client_credentials" && who.startsWith("a confidential client"))
            continue;
          const body = new URLSearchParams({ grant_type, ...fields, ...more });
          const address = `${people.login}/token`;
          const seen = await askAsClient(address, { method: "POST", headers, body });
          await trials.note("grant", `${who} ${grant_type} ${what}`, seen);
        }
  });

  function tokenFields(): Readonly<Record<string, Record<string, string>>> {
    const { accessToken, idToken, code, pass, account, otherSession } = secrets;
    const subject = {
      subject_token: idToken,
      subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
      requested_subject: mine.id,
    };
    const used = keyOf(mine).authenticate(
      { challenge: randomBytes(32).toString("base64url") },
      { origin: new URL(people.login).origin },
    );
    return {
      "other ways": { ...OTHER_WAYS, scope: "openid" },
      "an ID token": { assertion: idToken, ...subject },
      "an access token": { assertion: accessToken, ...subject, subject_token: accessToken },
      "a code without its verifier": { code, redirect_uri: CALLBACK },
      "a code with a verifier": { code, redirect_uri: CALLBACK, code_verifier: "v".repeat(43) },
      "a pass": { code: pass, refresh_token: pass, device_code: pass, redirect_uri: CALLBACK },
      "a session": { refresh_token: account, code: otherSession, auth_req_id: account },
      "an assertion of a passkey": {
        assertion: JSON.stringify(used),
        credential: JSON.stringify(used),
      },
    };
  }

  it("userinfo, with everything that is no access token of a person", async () => {
    const config = await people.configure("backend", backendSecret);
    const { access_token: client } = await clientCredentialsGrant(config);
    const address = `${people.login}/userinfo`;
    // Where there is a token of hers, it answers.
    const headers = { authorization: `Bearer ${secrets.accessToken}` };
    assert.equal(givenBy(await askAsClient(address, { headers })), "body sub");
    const { accessToken: _, ...rest } = secrets;
    for (const [what, secret] of Object.entries({ ...rest, client, empty: "" }))
      for (const scheme of ["Bearer", "DPoP", "Basic", "Token"])
        for (const method of ["GET", "POST"]) {
          const authorization = `${scheme} ${secret}`;
          const seen = await askAsClient(address, { method, headers: { authorization } });
          await trials.note("userinfo", `${what} ${scheme} ${method}`, seen);
        }
    for (const name of ["access_token", "token", "id_token"]) {
      const query = await askAsClient(`${address}?${name}=${secrets.accessToken}`);
      await trials.note("userinfo", `query ${name}`, query);
    }
  });

  it("a pushed request by whoever may not, or for more than there is", async () => {
    const bad: Readonly<Record<string, Record<string, string>>> = {
      "nobody's client": { client_id: "nobody" },
      "no client": {},
      "a confidential one without proof": { client_id: "backend" },
      "a wrong secret": { client_id: "backend", client_secret: "x".repeat(43) },
      "another client's secret": { client_id: PORTAL, client_secret: backendSecret },
      "a client that has no people": { client_id: "demo-enterprise" },
      "another place": { client_id: PORTAL, redirect_uri: "http://evil.test/" },
      "no PKCE": { client_id: PORTAL, code_challenge: "" },
      "plain PKCE": { client_id: PORTAL, code_challenge_method: "plain" },
      "a token at once": { client_id: PORTAL, response_type: "token" },
      "an ID token at once": { client_id: PORTAL, response_type: "code id_token" },
    };
    const good = new URL(await urlFor({})).searchParams;
    good.delete("client_id");
    for (const [what, change] of Object.entries(bad)) {
      const fields = Object.entries({ ...Object.fromEntries(good), ...OTHER_WAYS, ...change });
      const body = new URLSearchParams(fields.filter(([, value]) => value !== ""));
      const seen = await askAsClient(`${people.login}/par`, { method: "POST", body });
      await trials.note("pushed request", what, seen);
    }
  });

  it("pages of others, in the name of a person who has signed in", async () => {
    const browser = new SoftBrowser();
    const value = await accountOf(people, mine);
    browser.setCookie(`account-${people.tenant}`, value);
    const id = keyOf(mine).credentialId;
    for (const route of SERVED.filter((path) => path.startsWith("/passkeys/")))
      for (const origin of [
        "http://evil.test",
        "null",
        "http://localhost",
        "https://localhost",
        "",
      ])
        for (const body of [new URLSearchParams({ id, name: "mine" }), new URLSearchParams()]) {
          const init = { method: "POST", headers: { origin }, body };
          const seen = await browser.ask(`${people.login}${route}`, init);
          await trials.note("cross-site", `${route} ${origin}`, seen);
        }
  });

  it("an old sign-in changes no passkey, and a registration that is over adds none", async () => {
    const value = await accountOf(people, mine);
    const id = keyOf(mine).credentialId;
    for (const route of ["add", "rename", "remove"]) {
      const browser = new SoftBrowser();
      browser.setCookie(`account-${people.tenant}`, value);
      // The first makes it old enough; the others find it older still, or gone.
      if (route === "add") await age(people, "Account", { secret: value, seconds: 301 });
      const body = new URLSearchParams({ id, name: "changed" });
      const init = { method: "POST", body };
      await trials.note(
        "old sign-in",
        route,
        await browser.ask(`${people.login}/passkeys/${route}`, init),
      );
    }
    const registering = await people.spendPass(mine.id);
    await registering.open(`${people.login}/register`);
    const { options, path } = registering.ceremony();
    const secret = cookieOf(registering, `registration-${people.tenant}`);
    await age(people, "Registration", { secret, seconds: 601 });
    const { origin } = new URL(people.login);
    const response = new SoftAuthenticator({ rpId: "localhost" }).register(options, { origin });
    await trials.note(
      "old registration",
      "",
      await registering.post(path, { response, name: "late" }),
    );
  });

  it("a registration whose person was not verified, or not there, or elsewhere, adds no passkey", async () => {
    const registering = await people.spendPass(mine.id);
    const { origin } = new URL(people.login);
    for (const { name, make } of weakerAnswers({
      key: keyOf(mine),
      stranger: keyOf(stranger),
      origin,
      otherChallenges: new Map(),
    })) {
      await registering.open(`${people.login}/register`);
      const { options, path } = registering.ceremony();
      const seen = await registering.post(path, { response: await make(options), name });
      await trials.note("weaker registration", name, seen);
    }
    for (const overrides of [
      { flags: { UV: false } },
      { flags: { UP: false } },
      { origin: "http://evil.test" },
      { crossOrigin: true },
      { type: "webauthn.get" },
      { rpIdHash: randomBytes(32) },
      { challenge: await registrationChallenge() },
    ]) {
      await registering.open(`${people.login}/register`);
      const { options, path } = registering.ceremony();
      const key = new SoftAuthenticator({ rpId: "localhost" });
      const response = key.register(options, { origin, overrides });
      const seen = await registering.post(path, { response, ...OTHER_WAYS });
      await trials.note("weaker registration", JSON.stringify(overrides), seen);
    }
  });

  it("a pass of another tenant, one that was used, and guesses", async () => {
    const used = await people.addPass(await people.addPerson());
    const body = new URLSearchParams({ pass: used });
    await new SoftBrowser().ask(`${people.login}/register/pass`, { method: "POST", body });
    const foreign = await others.addPass(await others.addPerson());
    const guesses = Array.from({ length: 50 }, () => randomBytes(20).toString("base64url"));
    for (const pass of [used, foreign, "", "0", "admin", "' or 1=1 --", ...guesses]) {
      const init = { method: "POST", body: new URLSearchParams({ pass }) };
      const seen = await new SoftBrowser().ask(`${people.login}/register/pass`, init);
      await trials.note("pass", pass, seen);
    }
  });

  it("nothing completed, nobody's passkeys changed, and the passkey still works", async (t) => {
    t.diagnostic(trials.summary());
    assert.deepEqual(trials.completed, []);
    assert.ok(trials.total >= MINIMUM, `only ${trials.total} were tried`);
    assert.equal(await passkeys(), passkeysBefore);
    const again = { ...mine, browser: new SoftBrowser() };
    assert.match((await signIn(again, await urlFor({}))).location, /[?&]code=/);
  });
});

function keyOf({ keys: [key] }: TestPerson): SoftAuthenticator {
  assert.ok(key);
  return key;
}

async function challengeAt(address: string): Promise<string> {
  const browser = new SoftBrowser();
  await browser.open(address);
  return browser.ceremony().options.challenge;
}

function basic(client: string, secret: string): string {
  return `Basic ${Buffer.from(`${client}:${secret}`).toString("base64")}`;
}
