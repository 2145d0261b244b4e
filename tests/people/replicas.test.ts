import assert from "node:assert/strict";
import { generateKeyPairSync, hash, randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  authorizationCodeGrant,
  fetchUserInfo,
  getDPoPHandle,
  randomDPoPKeyPair,
  refreshTokenGrant,
  type Configuration,
  type DPoPHandle,
  type TokenEndpointResponse,
} from "openid-client";
import { NO_POSTGRES, startPostgresServer } from "@redoubt/testkit";
import { decodeJwt, exportJWK, SignJWT } from "jose";
import { portsFrom } from "@redoubt/cli";
import { PeopleSystem, PORTAL, signIn, type TestPerson } from "./people-fixture.ts";
import { Replicas, type Replica } from "./replicas.ts";
import { SoftBrowser } from "./soft-browser.ts";

const OFFLINE = { scope: "openid offline_access", prompt: "consent" };
const OTHER = "other";

/** Asks one replica, past whatever stands before it. */
async function userinfoAt(
  { port }: Replica,
  {
    endpoint = "",
    token,
    proof,
  }: { readonly endpoint: string | undefined; readonly token: string; readonly proof: string },
): Promise<Response> {
  const at = new URL(endpoint);
  at.hostname = "127.0.0.1";
  at.port = String(port);
  return fetch(at, { headers: { authorization: `DPoP ${token}`, dpop: proof } });
}

describe("issuers of one realm on one database", { skip: NO_POSTGRES }, () => {
  const owned = new AsyncDisposableStack();
  let replicas: Replicas;
  let people: PeopleSystem;
  let config: Configuration;
  /** Before each request of browsers and clients. */
  let beforeEach: (() => Promise<void>) | undefined;
  let secondTries = 0;

  /** Asks once more where the connection broke, as people and clients do. */
  async function persist(...request: Parameters<typeof fetch>): Promise<Response> {
    await beforeEach?.();
    try {
      return await fetch(...request);
    } catch {
      secondTries += 1;
      return fetch(...request);
    }
  }

  before(async () => {
    const server = owned.use(await startPostgresServer());
    const database = await server.createDatabase("people");
    people = owned.use(await PeopleSystem.start({ database, fetch: persist }));
    await people.addClient(OTHER, ["--public", "--logout-uri=http://127.0.0.1/bye"]);
    const port = portsFrom(people.system.base)["issuer-enterprise"];
    replicas = owned.use(await Replicas.start(people.system, port, database));
    config = await people.configure();
  });
  after(() => owned.disposeAsync());

  interface Tokens {
    readonly tokens: TokenEndpointResponse;
    readonly dpop: DPoPHandle;
  }

  async function tokensFor(whose: TestPerson, of: Configuration = config): Promise<Tokens> {
    const { url, verifier, state } = await people.request(of, OFFLINE);
    const { location } = await signIn(whose, url);
    const dpop = getDPoPHandle(of, await randomDPoPKeyPair());
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    const options = { DPoP: dpop };
    const tokens = await authorizationCodeGrant(of, new URL(location), checks, {}, options);
    return { tokens, dpop };
  }

  function askAt(index: number, token: string, proof: string): Promise<Response> {
    const replica = replicas.all[index] ?? assert.fail("no such replica");
    const endpoint = config.serverMetadata().userinfo_endpoint;
    return userinfoAt(replica, { endpoint, token, proof });
  }

  it("one is killed before each request in turn, and a second try goes on: from the pass to the sign-out", async () => {
    let restarted: Promise<void> = Promise.resolve();
    let kills = 0;
    beforeEach = async () => {
      await restarted;
      const victim = replicas.turnTo(kills % 2);
      await victim.kill();
      kills += 1;
      restarted = victim.start();
    };
    const person = await people.person();
    const { tokens, dpop } = await tokensFor(person);
    const { sub = "" } = decodeJwt(tokens.id_token ?? "");
    assert.equal(sub, person.id);
    const info = await fetchUserInfo(config, tokens.access_token, sub, { DPoP: dpop });
    assert.equal(info.sub, person.id);
    const next = await refreshTokenGrant(config, tokens.refresh_token ?? "", {}, { DPoP: dpop });
    assert.notEqual(next.refresh_token, tokens.refresh_token);
    await person.browser.open(`${people.login}/sign-out`);
    await person.browser.submit("/sign-out/confirm", { logout: "yes" });
    const none = await people.request(config, { prompt: "none" });
    const { location = "" } = await person.browser.open(none.url);
    assert.match(location, /error=login_required/);
    beforeEach = undefined;
    await restarted;
    assert.ok(kills >= 15, `only ${kills}`);
    assert.equal(secondTries, kills);
    assert.equal(replicas.answered.size, 2);
  });

  it("two clients in two tabs of one session at once: both keep what they were given", async () => {
    const other = await people.configure(OTHER);
    const person = await people.person();
    await tokensFor(person);
    for (let round = 0; round < 5; round += 1) {
      const tabs = [config, other].map((of) => ({
        of,
        tab: {
          ...person,
          browser: new SoftBrowser({ fetch: persist, cookies: person.browser.cookies }),
        },
      }));
      const given = await Promise.all(tabs.map(({ of, tab }) => tokensFor(tab, of)));
      const refreshed = await Promise.all(
        given.map(({ tokens, dpop }, index) =>
          refreshTokenGrant(
            tabs[index]?.of ?? config,
            tokens.refresh_token ?? "",
            {},
            { DPoP: dpop },
          ),
        ),
      );
      for (const { refresh_token: token } of refreshed) assert.ok(token);
    }
  });

  it("20 refreshes at once over both give one successor", async () => {
    const { tokens, dpop } = await tokensFor(await people.person());
    replicas.answered.clear();
    const given = await Promise.all(
      Array.from({ length: 20 }, () =>
        refreshTokenGrant(config, tokens.refresh_token ?? "", {}, { DPoP: dpop }),
      ),
    );
    assert.equal(new Set(given.map(({ refresh_token: token }) => token)).size, 1);
    const [one = 0, two = 0] = replicas.answered.values();
    assert.ok(Math.min(one, two) >= 10, `${one} and ${two}`);
  });

  describe("THREAT-17: a proof of possession", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

    async function proofFor(token: string, nonce?: string): Promise<string> {
      const claims = {
        htm: "GET",
        htu: config.serverMetadata().userinfo_endpoint,
        jti: randomUUID(),
        ath: hash("sha256", token, "base64url"),
        ...(nonce !== undefined && { nonce }),
      };
      return new SignJWT(claims)
        .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk: await exportJWK(publicKey) })
        .setIssuedAt()
        .sign(privateKey);
    }

    async function boundToken(): Promise<string> {
      const { url, verifier, state } = await people.request(config);
      const person = await people.person();
      const { location } = await signIn(person, url);
      const pair = await crypto.subtle.importKey(
        "jwk",
        privateKey.export({ format: "jwk" }),
        { name: "ECDSA", namedCurve: "P-256" },
        true,
        ["sign"],
      );
      const publicHalf = await crypto.subtle.importKey(
        "jwk",
        publicKey.export({ format: "jwk" }),
        { name: "ECDSA", namedCurve: "P-256" },
        true,
        ["verify"],
      );
      const dpop = getDPoPHandle(config, { privateKey: pair, publicKey: publicHalf });
      const checks = { pkceCodeVerifier: verifier, expectedState: state };
      const options = { DPoP: dpop };
      const tokens = await authorizationCodeGrant(config, new URL(location), checks, {}, options);
      return tokens.access_token;
    }

    it("is used once, wherever it is shown again", async () => {
      const token = await boundToken();
      for (const [first, second] of [
        [0, 1],
        [1, 0],
      ] as const) {
        const proof = await proofFor(token);
        assert.equal((await askAt(first, token, proof)).status, 200);
        for (const index of [second, first]) {
          const again = await askAt(index, token, proof);
          assert.equal(again.status, 401);
        }
        // It is the proof that was refused, and the token is still good.
        assert.equal((await askAt(first, token, await proofFor(token))).status, 200);
      }
    });

    it("at once at both is used at one", async () => {
      const token = await boundToken();
      for (let round = 0; round < 5; round += 1) {
        const proof = await proofFor(token);
        const answers = await Promise.all([0, 1].map((index) => askAt(index, token, proof)));
        assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200, 401]));
      }
    });

    it("with a nonce of one is taken by the other", async () => {
      const token = await boundToken();
      const refused = await askAt(0, token, await proofFor(token, "made-up"));
      assert.equal(refused.status, 401);
      const nonce = refused.headers.get("dpop-nonce") ?? "";
      assert.notEqual(nonce, "");
      assert.equal((await askAt(1, token, await proofFor(token, nonce))).status, 200);
    });
  });

  it("THREAT-28: all that was signed was reported, by whichever got it: no alarm", async () => {
    const { code, stdout } = await people.system.redoubt(["alarms", "--json"]);
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, /undelivered|unlogged|orphan/);
  });

  it("control: a client that is nobody's is refused by both", async () => {
    const nobody = await people.configure("nobody");
    const { url } = await people.request(nobody);
    for (let round = 0; round < 2; round += 1)
      assert.equal((await people.browser().open(url)).status, 400, PORTAL);
  });
});
