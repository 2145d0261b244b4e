import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, it } from "node:test";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { until } from "../e2e/until.ts";
import { age } from "./downgrade/aging.ts";
import { anew, BYE, infoOf, Party, SITE } from "./conformance/party.ts";
import { PeopleSystem, type TestPerson } from "./people-fixture.ts";
import { askAsClient, SoftBrowser, type Seen } from "./soft-browser.ts";

type Fields = Readonly<Record<string, string>>;

/** Names are those of the OpenID Foundation's suite; docs/reference/openid.md says what is not here, and why. */
describe("the points of OpenID certification: Basic OP, RP-initiated and back-channel logout", () => {
  let people: PeopleSystem;
  let party: Party;
  let person: TestPerson;
  let server: ReturnType<typeof createServer>;
  const told: string[] = [];
  const tested = new Set<string>();

  before(async () => {
    people = await PeopleSystem.start();
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        told.push(Buffer.concat(chunks).toString());
        response.writeHead(200).end();
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const secret = await people.addClient("rp", [
      `--redirect-uri=${SITE}`,
      `--logout-uri=${BYE}`,
      `--backchannel-logout-uri=http://127.0.0.1:${port}/ended`,
    ]);
    party = new Party(people, "rp", secret);
    person = await people.person();
  });
  after(async () => {
    server.close();
    await people[Symbol.asyncDispose]();
  });

  function point(module: string, check: () => Promise<void>): void {
    tested.add(module);
    it(module, check);
  }

  /** Signs in, asks to sign out, and says yes where a page asks. */
  async function signOut(
    query: (idToken: string) => Fields,
    method: "GET" | "POST" = "GET",
  ): Promise<Seen & { readonly isOver: boolean }> {
    const here = anew(person);
    const { idToken } = await party.signIn(here);
    const body = new URLSearchParams(query(idToken));
    const address = `${people.login}/sign-out`;
    const asked = await (method === "GET"
      ? here.browser.open(`${address}?${String(body)}`)
      : here.browser.open(address, { method, body }));
    const seen = here.browser.body.includes("/sign-out/confirm")
      ? await here.browser.submit("/sign-out/confirm", { logout: "yes" })
      : asked;
    const { parameters } = await party.authorize(here, { prompt: "none" });
    return { ...seen, isOver: parameters.get("error") === "login_required" };
  }

  describe("oidcc-basic-certification-test-plan", () => {
    point("oidcc-server", async () => {
      const { claims } = await party.signIn(anew(person), { state: "state" });
      assert.equal(claims.sub, person.id);
      assert.equal(claims["nonce"], "nonce-of-the-party");
      assert.ok(Number(claims.exp) > Number(claims.iat));
      assert.equal(typeof claims["auth_time"], "number");
    });

    point("oidcc-response-type-missing", async () => {
      const { url } = await party.url();
      url.searchParams.delete("response_type");
      const { location = "" } = await new SoftBrowser().open(url.href);
      assert.equal(new URL(location).searchParams.get("error"), "invalid_request");
    });

    point("oidcc-idtoken-signature", async () => {
      const { idToken } = await party.signIn(anew(person));
      const { alg, kid } = decodeProtectedHeader(idToken);
      assert.equal(alg, "ES256");
      assert.equal(typeof kid, "string");
      const [head, payload] = idToken.split(".");
      await assert.rejects(party.verify(`${head}.${payload}.${"A".repeat(86)}`));
    });

    for (const [module, init] of [
      ["oidcc-userinfo-get", (token: string) => ({ headers: bearer(token) })],
      [
        "oidcc-userinfo-post-header",
        (token: string) => ({ method: "POST", headers: bearer(token) }),
      ],
      [
        "oidcc-userinfo-post-body",
        (token: string) => ({
          method: "POST",
          body: new URLSearchParams({ access_token: token }),
        }),
      ],
    ] as const)
      point(module, async () => {
        const { accessToken } = await party.signIn(anew(person));
        const { sub } = await infoOf(askAsClient(`${people.login}/userinfo`, init(accessToken)));
        assert.equal(sub, person.id);
      });

    point("oidcc-ensure-request-without-nonce-succeeds-for-code-flow", async () => {
      const { claims } = await party.signIn(anew(person), { nonce: "" });
      assert.equal("nonce" in claims, false);
    });

    for (const [module, scope, expected] of [
      ["oidcc-scope-profile", "openid profile", { name: "Ada", family_name: "Lovelace" }],
      ["oidcc-scope-email", "openid email", { email: "ada@example.org", email_verified: false }],
      ["oidcc-scope-all", "openid profile email", { name: "Ada", email: "ada@example.org" }],
    ] as const)
      point(module, async () => {
        const { accessToken } = await party.signIn(anew(person), { scope });
        const info = await party.userinfo(accessToken);
        for (const [claim, value] of Object.entries({ sub: person.id, ...expected }))
          assert.equal(info[claim], value);
        assert.equal("email" in info, scope.includes("email"));
      });

    // What changes nothing here must not be in the way.
    for (const [module, parameters] of [
      ["oidcc-display-page", { display: "page" }],
      ["oidcc-display-popup", { display: "popup" }],
      ["oidcc-ensure-request-with-unknown-parameter-succeeds", { extra: "foobar" }],
      ["oidcc-login-hint", { login_hint: "ada@example.org" }],
      ["oidcc-ui-locales", { ui_locales: "se" }],
      ["oidcc-claims-locales", { claims_locales: "se" }],
      ["oidcc-ensure-request-with-acr-values-succeeds", { acr_values: "1 2" }],
      ["oidcc-claims-essential", { claims: '{"userinfo":{"name":{"essential":true}}}' }],
      ["oidcc-scope-address", { scope: "openid address" }],
      ["oidcc-scope-phone", { scope: "openid phone" }],
    ] as const)
      point(module, async () => {
        assert.equal((await party.signIn(anew(person), parameters)).claims.sub, person.id);
      });

    point("oidcc-prompt-login", async () => {
      const here = anew(person);
      const { claims } = await party.signIn(here);
      await party.wait(here, 10);
      const { verifier, parameters, hadPages } = await party.authorize(here, { prompt: "login" });
      assert.match(hadPages[0] ?? "", /^Sign in/);
      const code = parameters.get("code") ?? "";
      const answer = await party.token(party.codeFields(code, verifier));
      const again = await party.exchange(answer, { code, verifier });
      assert.ok(Number(again.claims["auth_time"]) >= Number(claims["auth_time"]));
    });

    point("oidcc-prompt-none-not-logged-in", async () => {
      const { parameters } = await party.authorize(anew(person), { prompt: "none" });
      assert.equal(parameters.get("error"), "login_required");
      assert.equal(parameters.has("state"), true);
    });

    point("oidcc-prompt-none-logged-in", async () => {
      const here = anew(person);
      const { claims } = await party.signIn(here);
      const silent = await party.signIn(here, { prompt: "none" });
      assert.deepEqual(
        [silent.claims.sub, silent.claims["auth_time"]],
        [claims.sub, claims["auth_time"]],
      );
    });

    point("oidcc-max-age-1", async () => {
      const here = anew(person);
      const first = await party.signIn(here);
      await party.wait(here, 5);
      const { hadPages } = await party.authorize(here, { max_age: "1" });
      assert.match(hadPages[0] ?? "", /^Sign in/);
      const second = await party.signIn(here, { max_age: "10" });
      assert.ok(Number(second.claims["auth_time"]) >= Number(first.claims["auth_time"]));
    });

    point("oidcc-max-age-10000", async () => {
      const here = anew(person);
      const first = await party.signIn(here);
      const { claims } = await party.signIn(here, { max_age: "10000", prompt: "none" });
      assert.equal(claims["auth_time"], first.claims["auth_time"]);
    });

    point("oidcc-id-token-hint", async () => {
      const here = anew(person);
      const { idToken } = await party.signIn(here);
      const silent = { prompt: "none", id_token_hint: idToken };
      assert.equal((await party.signIn(here, silent)).claims.sub, person.id);
      const other = await people.person();
      await party.signIn(other);
      const { parameters } = await party.authorize(other, silent);
      assert.equal(parameters.get("error"), "login_required");
    });

    for (const [module, seconds] of [
      ["oidcc-codereuse", 0],
      ["oidcc-codereuse-30seconds", 30],
    ] as const)
      point(module, async () => {
        const { code, verifier, accessToken } = await party.signIn(anew(person));
        if (seconds > 0) await age(people, "AuthorizationCode", { secret: code, seconds });
        const again = await party.token(party.codeFields(code, verifier));
        assert.deepEqual([again.status, errorOf(again)], [400, "invalid_grant"]);
        // RFC 6749 §4.1.2: what it gave is over, too.
        const headers = bearer(accessToken);
        assert.equal((await askAsClient(`${people.login}/userinfo`, { headers })).status, 401);
      });

    for (const [module, redirect] of [
      ["oidcc-ensure-registered-redirect-uri", `${SITE}/other`],
      ["oidcc-redirect-uri-query-added", `${SITE}?foo=bar`],
    ] as const)
      point(module, async () => {
        const { url } = await party.url({ redirect_uri: redirect });
        const { status, location } = await new SoftBrowser().open(url.href);
        assert.deepEqual([status, location], [400, undefined]);
      });

    point("oidcc-ensure-post-request-succeeds", async () => {
      const { url, verifier } = await party.url();
      const here = anew(person);
      const init = { method: "POST", body: url.searchParams };
      await here.browser.open(`${url.origin}${url.pathname}`, init);
      const [key] = here.keys;
      assert.ok(key);
      await here.browser.usePasskey(key);
      const { location = "" } = await here.browser.submit("/consent");
      const code = new URL(location).searchParams.get("code") ?? "";
      const answer = await party.token(party.codeFields(code, verifier));
      assert.equal((await party.exchange(answer, { code, verifier })).claims.sub, person.id);
    });

    point("oidcc-server-client-secret-post", async () => {
      const { parameters, verifier } = await party.authorize(anew(person));
      const code = parameters.get("code") ?? "";
      const fields = { ...party.codeFields(code, verifier), ...party.inBody };
      const { claims } = await party.exchange(await party.token(fields, {}), { code, verifier });
      assert.equal(claims.sub, person.id);
    });

    for (const [module, parameters, error] of [
      [
        "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
        { request_uri: "https://rp.example/request" },
        /^request_uri_not_supported$|^invalid_request_uri$/,
      ],
      [
        "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported",
        { request: unsigned({ redirect_uri: SITE, state: "inside" }) },
        /^request_not_supported$/,
      ],
      [
        "oidcc-ensure-request-object-with-redirect-uri",
        { request: unsigned({ redirect_uri: "https://evil.test/" }) },
        /^request_not_supported$/,
      ],
    ] as const)
      point(module, async () => {
        const { url } = await party.url(parameters);
        const { location, status, body } = await new SoftBrowser().open(url.href);
        if (location === undefined) assert.equal(status, 400, body);
        else {
          assert.equal(new URL(location).origin, new URL(SITE).origin);
          assert.match(new URL(location).searchParams.get("error") ?? "", error);
        }
      });

    point("oidcc-refresh-token", async () => {
      const scope = { scope: "openid offline_access", prompt: "consent" };
      const first = await party.signIn(anew(person), scope);
      const fields = { grant_type: "refresh_token", refresh_token: first.refreshToken };
      const next = await party.exchange(await party.token(fields), first);
      assert.notEqual(next.accessToken, first.accessToken);
      const { sub, iss, aud, auth_time: authTime } = next.claims;
      const { claims } = first;
      assert.deepEqual(
        [sub, iss, aud, authTime],
        [claims.sub, claims.iss, claims.aud, claims["auth_time"]],
      );
      // Another client cannot use it.
      const other = new Party(people, "rp2", await people.addClient("rp2", []));
      const { refreshToken: refresh_token } = next;
      const stolen = await other.token({ ...fields, refresh_token });
      assert.deepEqual([stolen.status, errorOf(stolen)], [400, "invalid_grant"]);
    });

    point("oidcc-ensure-request-with-valid-pkce-succeeds", async () => {
      const { parameters, verifier } = await party.authorize(anew(person));
      const code = parameters.get("code") ?? "";
      const wrong = await party.token(party.codeFields(code, "w".repeat(43)));
      assert.equal(errorOf(wrong), "invalid_grant");
      assert.notEqual(verifier, "");
      assert.equal((await party.signIn(anew(person))).claims.sub, person.id);
    });
  });

  describe("oidcc-rp-initiated-logout-certification-test-plan", () => {
    for (const [module, method] of [
      ["oidcc-rp-initiated-logout", "GET"],
      ["oidcc-rp-initiated-logout-post", "POST"],
    ] as const)
      point(module, async () => {
        const { location, isOver } = await signOut(complete, method);
        assert.deepEqual([location, isOver], [`${BYE}?state=state-of-bye`, true]);
      });

    point("oidcc-rp-initiated-logout-no-state", async () => {
      const { location, isOver } = await signOut((idToken) => {
        const { state: _, ...rest } = complete(idToken);
        return rest;
      });
      assert.deepEqual([location, isOver], [BYE, true]);
    });

    for (const [module, change] of [
      ["oidcc-rp-initiated-logout-no-params", () => ({})],
      [
        "oidcc-rp-initiated-logout-no-id-token-hint",
        ({ post_logout_redirect_uri = "", state = "" }: Fields) => ({
          post_logout_redirect_uri,
          state,
        }),
      ],
      ["oidcc-rp-initiated-logout-only-state", () => ({ state: "state-of-bye" })],
      [
        "oidcc-rp-initiated-logout-no-post-logout-redirect-uri",
        ({ id_token_hint = "" }: Fields) => ({ id_token_hint }),
      ],
    ] as const)
      point(module, async () => {
        const { location, status, isOver } = await signOut((idToken) => change(complete(idToken)));
        assert.deepEqual([location, status, isOver], [undefined, 200, true]);
      });

    // To nobody's address without proof that it is the client's: an error page, and the session goes on.
    for (const [module, change] of [
      ["oidcc-rp-initiated-logout-bad-id-token-hint", { id_token_hint: "bad" }],
      ["oidcc-rp-initiated-logout-modified-id-token-hint", { id_token_hint: "modified" }],
      [
        "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri",
        { post_logout_redirect_uri: "https://evil.test/" },
      ],
      [
        "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri",
        { post_logout_redirect_uri: `${BYE}?foo=bar` },
      ],
    ] as const)
      point(module, async () => {
        const { location, status, isOver } = await signOut((idToken) => {
          const query: Record<string, string> = { ...complete(idToken), ...change };
          if (query["id_token_hint"] === "modified") query["id_token_hint"] = modified(idToken);
          return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
        });
        assert.deepEqual([location, status, isOver], [undefined, 400, false]);
      });

    point("oidcc-rp-initiated-logout-discovery-endpoint-verification", async () => {
      const metadata = await people.configure();
      assert.equal(metadata.serverMetadata()["end_session_endpoint"], `${people.login}/sign-out`);
    });
  });

  describe("oidcc-backchannel-rp-initiated-logout-certification-test-plan", () => {
    point("oidcc-backchannel-rp-initiated-logout", async () => {
      const here = anew(await people.person());
      const { claims, idToken } = await party.signIn(here);
      const query = new URLSearchParams({ id_token_hint: idToken, post_logout_redirect_uri: BYE });
      await here.browser.open(`${people.login}/sign-out?${String(query)}`);
      await here.browser.submit("/sign-out/confirm", { logout: "yes" });
      const ofHer = (): string | undefined =>
        told
          .map((body) => new URLSearchParams(body).get("logout_token") ?? "")
          .find((token) => decodeJwt(token).sub === here.id);
      const token = await until("the client is told", ofHer, (one) => one !== undefined);
      const payload = await party.verify(token ?? "", "logout+jwt");
      assert.deepEqual(payload["events"], {
        "http://schemas.openid.net/event/backchannel-logout": {},
      });
      assert.equal(typeof claims["sid"], "string");
      assert.equal(payload["sid"], claims["sid"]);
      assert.equal(typeof payload.jti, "string");
      assert.equal("nonce" in payload, false);
      assert.ok(Number(payload.exp) - Number(payload.iat) <= 120);
    });

    point("oidcc-backchannel-logout-discovery-endpoint-verification", async () => {
      const metadata = (await people.configure()).serverMetadata();
      assert.equal(metadata["backchannel_logout_supported"], true);
      assert.equal(metadata["backchannel_logout_session_supported"], true);
    });
  });

  it("docs/reference/openid.md lists these, and those that cannot be here", () => {
    const page = readFileSync("docs/reference/openid.md", "utf8");
    const rows = [...page.matchAll(/^\| `(oidcc-[\w-]+)` +\| (.*?) *\|/gm)];
    const here = rows.flatMap(([, module, how = ""]) =>
      how.startsWith("not here") ? [] : [module],
    );
    assert.deepEqual(new Set(here), tested);
    assert.ok(rows.length > tested.size);
  });
});

function bearer(token: string): Fields {
  return { authorization: `Bearer ${token}` };
}

function errorOf({ body }: Seen): string {
  const said: Readonly<Record<string, unknown>> = Object(JSON.parse(body));
  return String(said["error"]);
}

function unsigned(payload: object): string {
  const parts = [{ alg: "none" }, payload].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  return `${parts.join(".")}.`;
}

/** The same claims but one, under the same signature. */
function modified(token: string): string {
  const [head = "", payload = "", signature = ""] = token.split(".");
  const claims: object = Object(JSON.parse(Buffer.from(payload, "base64url").toString()));
  const changed = Buffer.from(JSON.stringify({ ...claims, extra: 1 })).toString("base64url");
  return `${head}.${changed}.${signature}`;
}

function complete(idToken: string): Fields {
  return { id_token_hint: idToken, post_logout_redirect_uri: BYE, state: "state-of-bye" };
}
