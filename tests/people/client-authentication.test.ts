import assert from "node:assert/strict";
import { generateKeyPairSync, randomUUID, sign, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { writeFileSync } from "node:fs";
import { authorizationCodeGrant, refreshTokenGrant } from "openid-client";
import { CALLBACK, PeopleSystem, PORTAL, signIn, type TestPerson } from "./people-fixture.ts";
import { askAsClient, SoftBrowser, type Seen } from "./soft-browser.ts";

const ENDPOINTS = ["token", "par", "revoke"] as const;
type Endpoint = (typeof ENDPOINTS)[number];
type Fields = Readonly<Record<string, string>>;

/** How a request tries to be from a client. */
interface Attempt {
  readonly headers?: Fields;
  readonly fields?: Fields;
}

describe("THREAT-34: who asks for a person's tokens has proven who it is", () => {
  let people: PeopleSystem;
  let person: TestPerson;
  /** One client with a secret for each endpoint: failures are counted by client. */
  const secrets = new Map<string, string>();
  let key: KeyObject;
  let strangersKey: KeyObject;

  before(async () => {
    people = await PeopleSystem.start();
    person = await people.person();
    for (const client of ["owner", "other", ...ENDPOINTS])
      secrets.set(client, await people.addClient(client, []));
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    key = pair.privateKey;
    strangersKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const jwks = join(people.system.folder, "robot.jwks");
    const jwk = {
      ...pair.publicKey.export({ format: "jwk" }),
      kid: "robot",
      alg: "ES256",
      use: "sig",
    };
    writeFileSync(jwks, JSON.stringify({ keys: [jwk] }));
    for (const endpoint of ENDPOINTS)
      await people.addClient(`robot-${endpoint}`, [`--jwks=${jwks}`]);
  });
  after(() => people[Symbol.asyncDispose]());

  /** A code of a sign-in through a client, with what its owner sends. */
  async function codeFor(client: string): Promise<Fields> {
    const config = await people.configure(PORTAL);
    const { url, verifier } = await people.request(config, { client_id: client });
    const { location } = await signIn({ ...person, browser: new SoftBrowser() }, url);
    return {
      grant_type: "authorization_code",
      code: new URL(location).searchParams.get("code") ?? "",
      redirect_uri: CALLBACK,
      code_verifier: verifier,
    };
  }

  async function fieldsFor(endpoint: Endpoint, client: string): Promise<Fields> {
    if (endpoint === "token") return codeFor(client);
    if (endpoint === "revoke") return { token: randomUUID() };
    const { url } = await people.request(await people.configure(PORTAL));
    const { client_id: _, ...rest } = Object.fromEntries(new URL(url).searchParams);
    return rest;
  }

  function ask(endpoint: Endpoint, own: Fields, { headers = {}, fields = {} }: Attempt) {
    const body = new URLSearchParams({ ...own, ...fields });
    return askAsClient(`${people.login}/${endpoint}`, { method: "POST", headers, body });
  }

  const secretOf = (client: string): string => secrets.get(client) ?? "";

  interface Assertion {
    readonly client: string;
    readonly by?: KeyObject;
    readonly claims?: Readonly<Record<string, unknown>>;
    readonly header?: Readonly<Record<string, unknown>>;
  }

  function assertion({ client, by = key, claims = {}, header = {} }: Assertion): Attempt {
    const now = Math.floor(Date.now() / 1000);
    const parts = [
      { alg: "ES256", kid: "robot", ...header },
      {
        iss: client,
        sub: client,
        aud: people.issuer(),
        iat: now,
        exp: now + 60,
        jti: randomUUID(),
        ...claims,
      },
    ].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
    const options = { key: by, dsaEncoding: "ieee-p1363" } as const;
    const signature = sign("sha256", Buffer.from(parts.join(".")), options);
    return {
      fields: {
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: [...parts, signature.toString("base64url")].join("."),
      },
    };
  }

  function wrongProofs(client: Endpoint): Readonly<Record<string, Attempt>> {
    const secret = secretOf(client);
    const wrong = "x".repeat(43);
    return {
      "no proof": { fields: { client_id: client } },
      "a wrong secret in the header": { headers: basic(client, wrong) },
      "a wrong secret in the body": { fields: { client_id: client, client_secret: wrong } },
      "an empty secret": { fields: { client_id: client, client_secret: "" } },
      "another client's secret": { headers: basic(client, secretOf("other")) },
      "a secret with one character more": { headers: basic(client, `${secret}x`) },
      "a secret with one character less": { headers: basic(client, secret.slice(0, -1)) },
      "a client that nobody knows": { headers: basic("nobody", secret) },
      "a secret where there is a key": { headers: basic(`robot-${client}`, secret) },
      "no proof of one that has a key": { fields: { client_id: `robot-${client}` } },
    };
  }

  for (const endpoint of ENDPOINTS) {
    it(`${endpoint}: everything but the client's own proof is refused, and all refusals look alike`, async () => {
      const own = await fieldsFor(endpoint, endpoint);
      const bodies = new Set<string>();
      for (const [name, attempt] of Object.entries(wrongProofs(endpoint))) {
        const seen = await ask(endpoint, own, attempt);
        assert.equal(seen.status, 401, `${name}: ${seen.body}`);
        bodies.add(withoutDetail(seen));
      }
      assert.deepEqual([...bodies], ["invalid_client"]);
      // And none of them has spent anything.
      const right = await ask(endpoint, own, { headers: basic(endpoint, secretOf(endpoint)) });
      assert.equal(right.status, endpoint === "par" ? 201 : 200, right.body);
    });

    it(`${endpoint}: an assertion for another audience, by another key, too old, or used before`, async () => {
      const robot = `robot-${endpoint}`;
      const own = await fieldsFor(endpoint, robot);
      const now = Math.floor(Date.now() / 1000);
      const used = assertion({ client: robot });
      const attempts: Readonly<Record<string, Attempt>> = {
        "for another issuer": assertion({
          client: robot,
          claims: { aud: "https://other.example" },
        }),
        "for another tenant": assertion({
          client: robot,
          claims: { aud: people.issuer().replace(people.tenant, randomUUID()) },
        }),
        "for several": assertion({
          client: robot,
          claims: { aud: [people.issuer(), "https://other.example"] },
        }),
        "by another key": assertion({ client: robot, by: strangersKey }),
        "by a key that nobody knows": assertion({ client: robot, header: { kid: "other" } }),
        "of another client": assertion({ client: robot, claims: { iss: "owner", sub: "owner" } }),
        "of two clients": assertion({ client: robot, claims: { sub: "owner" } }),
        "that is over": assertion({ client: robot, claims: { iat: now - 400, exp: now - 300 } }),
        "that never ends": assertion({ client: robot, claims: { exp: now + 999_999 } }),
        "that has no end": assertion({ client: robot, claims: { exp: undefined } }),
        "without a signature": assertion({ client: robot, header: { alg: "none" } }),
        "of another algorithm": assertion({ client: robot, header: { alg: "HS256" } }),
      };
      for (const [name, attempt] of Object.entries(attempts)) {
        const seen = await ask(endpoint, own, attempt);
        assert.equal(seen.status, 401, `${name}: ${seen.body}`);
        assert.equal(withoutDetail(seen), "invalid_client", name);
      }
      const right = await ask(endpoint, own, used);
      assert.equal(right.status, endpoint === "par" ? 201 : 200, right.body);
      assert.equal((await ask(endpoint, own, used)).status, 401);
    });

    it(`${endpoint}: two proofs at once are none`, async () => {
      const own = await fieldsFor(endpoint, endpoint);
      const secret = secretOf(endpoint);
      const both = { headers: basic(endpoint, secret), fields: { client_secret: secret } };
      assert.equal((await ask(endpoint, own, both)).status, 400);
    });
  }

  it("a proof of one client does not use what another was given", async () => {
    const config = await people.configure("owner", secretOf("owner"));
    const { url, verifier, state } = await people.request(config, {
      scope: "openid offline_access",
      prompt: "consent",
    });
    const { location } = await signIn({ ...person, browser: new SoftBrowser() }, url);
    const code = {
      grant_type: "authorization_code",
      code: new URL(location).searchParams.get("code") ?? "",
      redirect_uri: CALLBACK,
      code_verifier: verifier,
    };
    const theirs = { headers: basic("other", secretOf("other")) };
    assert.equal(withoutDetail(await ask("token", code, theirs)), "invalid_grant");
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    const tokens = await authorizationCodeGrant(config, new URL(location), checks);
    const token = tokens.refresh_token ?? "";
    assert.notEqual(token, "");
    const refresh = { grant_type: "refresh_token", refresh_token: token };
    assert.equal(withoutDetail(await ask("token", refresh, theirs)), "invalid_grant");
    // RFC 7009 §2.1: nor does it end it.
    await ask("revoke", { token }, theirs);
    const { refresh_token: next = "" } = await refreshTokenGrant(config, token);
    const own = { headers: basic("owner", secretOf("owner")) };
    assert.equal((await ask("revoke", { token: next }, own)).status, 200);
    await assert.rejects(refreshTokenGrant(config, next), { error: "invalid_grant" });
  });

  it("guesses are bounded, and cost the client nothing: its own secret is never refused for them", async () => {
    const guesses = await Promise.all(
      Array.from({ length: 60 }, (_, at) =>
        ask(
          "token",
          { grant_type: "refresh_token", refresh_token: "x" },
          {
            headers: basic("other", `guess-${at}`),
          },
        ),
      ),
    );
    const statuses = guesses.map(({ status }) => status);
    assert.deepEqual(new Set(statuses), new Set([401, 429]));
    assert.ok(statuses.filter((status) => status === 401).length <= 25);
    const refusal = guesses.find(({ status }) => status === 429);
    assert.ok(Number(refusal?.headers.get("retry-after")) > 0);
    const own = await ask("token", await codeFor("other"), {
      headers: basic("other", secretOf("other")),
    });
    assert.equal(own.status, 200, own.body);
  });
});

function basic(client: string, secret: string): Fields {
  return { authorization: `Basic ${Buffer.from(`${client}:${secret}`).toString("base64")}` };
}

/** What a refusal says to whoever is not to know more. */
function withoutDetail({ body }: Seen): string {
  const said: unknown = JSON.parse(body);
  return typeof said === "object" && said !== null && "error" in said ? String(said.error) : body;
}
