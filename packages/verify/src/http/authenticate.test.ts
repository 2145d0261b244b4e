import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "../json.ts";
import { mint, staticKey, verifierWith } from "../testing/fixture.ts";
import { TokenError } from "../token-error.ts";
import type { VerifiedToken } from "../verified-token.ts";
import type { Verifier } from "../verifier.ts";
import type { SenderContext } from "../binding.ts";
import { checkAuthOptions, type AuthOptions } from "./auth-options.ts";
import { authenticate, dpopContext } from "./authenticate.ts";
import type { RequestFacts } from "./credentials.ts";

const key = staticKey("ent-es256");

function asking(headers: RequestFacts["headers"], url = "/orders?page=2"): RequestFacts {
  return { method: "GET", url, headers };
}

describe("authenticate", () => {
  it("takes Headers, Node's record, and any spelling of a name", async () => {
    const verifier = await verifierWith([key]);
    const authorization = `Bearer ${mint()}`;
    for (const headers of [
      new Headers({ authorization }),
      { authorization },
      { Authorization: [authorization] },
    ]) {
      const result = await authenticate(asking(headers), { verifier });
      assert.equal(result.ok && result.token.payload.sub, "user-1");
    }
  });

  it("two spellings of one name are two headers", async () => {
    const verifier = await verifierWith([key]);
    const authorization = `Bearer ${mint()}`;
    const headers = { authorization, Authorization: authorization };
    const result = await authenticate(asking(headers), { verifier });
    assert.equal(!result.ok && result.status, 400);
  });

  it("every bad token gets one answer, to the byte; the listener gets the reason", async () => {
    const verifier = await verifierWith([key]);
    const reasons: unknown[] = [];
    const answers = new Set<string>();
    for (const token of ["x", mint({ key: "attacker-es256" }), mint({ payload: { exp: 1 } })]) {
      const headers = { authorization: `Bearer ${token}` };
      const onRefused: AuthOptions["onRefused"] = (_refusal, reason) => reasons.push(reason);
      answers.add(JSON.stringify(await authenticate(asking(headers), { verifier, onRefused })));
    }
    assert.equal(answers.size, 1);
    assert.equal(reasons.filter((reason) => reason instanceof TokenError).length, 3);
  });

  it("a token in a whole URL is in the query too", async () => {
    const verifier = await verifierWith([key]);
    const url = `https://api.example/orders?access_token=${mint()}#x`;
    const result = await authenticate(asking({}, url), { verifier });
    assert.equal(!result.ok && result.status, 400);
  });

  it("options that could mean less protection than was meant are refused", async () => {
    const verifier = await verifierWith([key]);
    for (const options of [
      { verifier, scope: ["a"] },
      { verifier, scopes: [] },
      { verifier, roles: [] },
      { verifier, roleSource: "realm_access" as const },
      { verifier, realm: "a\r\nb" },
      { verifier, retryAfterSeconds: -1 },
    ])
      await assert.rejects(authenticate(asking({}), options), TypeError);
  });

  it("options of another form are named", async () => {
    const verifier = await verifierWith([key]);
    for (const [options, message] of [
      [null, /^options: not an object/],
      [1, /^options: not an object/],
      [{}, /^verifier: neither/],
      [{ verifier: {} }, /^verifier: neither/],
      [{ verifier, resource: {} }, /^resource: not what/],
      [{ verifier, retryAfterSeconds: 1.5 }, /^retryAfterSeconds: expected/],
      [{ verifier, retryAfterSeconds: "5" }, /^retryAfterSeconds: expected/],
    ] as const) {
      const untyped: { check(options: unknown): unknown } = { check: checkAuthOptions };
      assert.throws(() => untyped.check(options), { name: "TypeError", message });
    }
  });
});

/** A verifier that takes a context, as if the token were bound or not. */
async function contextual(
  cnf: JsonObject | undefined,
): Promise<{ verifier: Verifier; seen: (SenderContext | undefined)[] }> {
  const verifier = await verifierWith([key]);
  const token = verifier.verify(mint());
  const seen: (SenderContext | undefined)[] = [];
  verifier.verifyAsync = (_text: string, context?: SenderContext): Promise<VerifiedToken> => {
    seen.push(context);
    const payload = { ...token.payload, ...(cnf === undefined ? {} : { cnf }) };
    return Promise.resolve({ ...token, payload });
  };
  return { verifier, seen };
}

function certified(): SenderContext {
  return { clientCertificate: Buffer.from("certificate") };
}

describe("the scheme DPoP", () => {
  const origin = "https://api.example";
  const headers = { authorization: "DPoP a.b.c", dpop: "proof" };

  it("RFC 9449 §4.3: the proof goes to the verifier with method and URL, without query", async () => {
    const { verifier, seen } = await contextual({ jkt: "x" });
    const result = await authenticate(asking(headers), {
      verifier,
      context: dpopContext({ origin }),
    });
    assert.equal(result.ok, true);
    const url = "https://api.example/orders";
    assert.deepEqual(seen, [{ dpop: { proof: "proof", method: "GET", url } }]);
  });

  it("RFC 9449 §7.1: a token that is bound to no key is refused", async () => {
    for (const cnf of [undefined, {}, { "x5t#S256": "x" }]) {
      const { verifier } = await contextual(cnf);
      const options = { verifier, context: dpopContext({ origin }), dpopAlgorithms: ["ES256"] };
      const result = await authenticate(asking(headers), options);
      assert.equal(!result.ok && result.status, 401);
      assert.equal(
        !result.ok && result.headers["www-authenticate"],
        'Bearer error="invalid_token", DPoP error="invalid_token", algs="ES256"',
      );
    }
  });

  it("RFC 9449 §7.2: a proof beside a bearer token does not reach the verifier", async () => {
    const { verifier, seen } = await contextual(undefined);
    const bearer = { ...headers, authorization: "Bearer a.b.c" };
    await authenticate(asking(bearer), { verifier, context: dpopContext({ origin }) });
    assert.deepEqual(seen, [undefined]);
  });

  it("without a proof, or with two, nothing is verified", async () => {
    const { verifier, seen } = await contextual({ jkt: "x" });
    for (const dpop of [undefined, ["proof", "proof"]]) {
      const request = asking({ ...headers, dpop });
      const result = await authenticate(request, { verifier, context: dpopContext({ origin }) });
      assert.equal(!result.ok && result.headers["www-authenticate"], "Bearer");
    }
    assert.deepEqual(seen, []);
  });

  it("a client certificate comes with bearer tokens", async () => {
    const { verifier, seen } = await contextual(undefined);
    await authenticate(asking({ authorization: "Bearer a.b.c" }), {
      verifier,
      context: certified,
    });
    assert.deepEqual(seen, [{ clientCertificate: Buffer.from("certificate") }]);
  });

  it("an origin is an origin", () => {
    for (const text of ["", "api.example", "https://api.example/", "https://api.example/a"])
      assert.throws(() => dpopContext({ origin: text }), /^TypeError: origin: expected/);
  });
});
