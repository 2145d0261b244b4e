import assert from "node:assert/strict";
import { createRemoteJWKSet, jwtVerify, type JWTPayload } from "jose";
import { age } from "../downgrade/aging.ts";
import { cookieOf } from "../downgrade/secrets.ts";
import type { PeopleSystem } from "../people-fixture.ts";
import { signIn, type TestPerson } from "../people-fixture.ts";
import { askAsClient, SoftBrowser, type Seen } from "../soft-browser.ts";

export const SITE = "https://rp.example/callback";
export const BYE = "https://rp.example/bye";
type Fields = Readonly<Record<string, string>>;

export interface Tokens {
  readonly idToken: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly claims: JWTPayload;
  readonly code: string;
  readonly verifier: string;
}

export interface Authorized {
  readonly parameters: URLSearchParams;
  readonly hadPages: readonly string[];
  readonly verifier: string;
}

/** A relying party as the OpenID Foundation's suite is one: it says everything itself, and hides nothing. */
export class Party {
  readonly people: PeopleSystem;
  readonly client: string;
  readonly #secret: string;

  constructor(people: PeopleSystem, client: string, secret: string) {
    this.people = people;
    this.client = client;
    this.#secret = secret;
  }

  get basic(): Fields {
    const text = Buffer.from(`${this.client}:${this.#secret}`).toString("base64");
    return { authorization: `Basic ${text}` };
  }

  get inBody(): Fields {
    return { client_id: this.client, client_secret: this.#secret };
  }

  async url(parameters: Fields = {}): Promise<{ readonly url: URL; readonly verifier: string }> {
    const config = await this.people.configure(this.client);
    const asked = { redirect_uri: SITE, nonce: "nonce-of-the-party", ...parameters };
    const { url, verifier } = await this.people.request(config, asked);
    const address = new URL(url);
    for (const [name, value] of Object.entries(asked))
      if (value === "") address.searchParams.delete(name);
    return { url: address, verifier };
  }

  /** To the answer that the browser brings back, whatever it is. */
  async authorize(whose: TestPerson, parameters: Fields = {}): Promise<Authorized> {
    const { url, verifier } = await this.url(parameters);
    const { location, hadPages } = await signIn(whose, url.href);
    return { parameters: new URL(location).searchParams, hadPages, verifier };
  }

  token(fields: Fields, headers: Fields = this.basic): Promise<Seen> {
    const body = new URLSearchParams(fields);
    return askAsClient(`${this.people.login}/token`, { method: "POST", headers, body });
  }

  async signIn(whose: TestPerson, parameters: Fields = {}): Promise<Tokens> {
    const { parameters: answer, verifier } = await this.authorize(whose, parameters);
    assert.equal(answer.get("iss"), this.people.issuer());
    const code = answer.get("code") ?? "";
    return this.exchange(await this.token(this.codeFields(code, verifier)), { code, verifier });
  }

  codeFields(code: string, verifier: string): Fields {
    return { grant_type: "authorization_code", code, code_verifier: verifier, redirect_uri: SITE };
  }

  async exchange(
    { status, body }: Seen,
    { code, verifier }: { readonly code: string; readonly verifier: string },
  ): Promise<Tokens> {
    assert.equal(status, 200, body);
    const said: Readonly<Record<string, unknown>> = Object(JSON.parse(body));
    const idToken = String(said["id_token"]);
    const { refresh_token: refreshToken } = said;
    return {
      idToken,
      accessToken: String(said["access_token"]),
      refreshToken: typeof refreshToken === "string" ? refreshToken : "",
      claims: await this.verify(idToken),
      code,
      verifier,
    };
  }

  /** OpenID Connect Core §3.1.3.7. */
  async verify(token: string, typ?: string): Promise<JWTPayload> {
    const issuer = this.people.issuer();
    const keys = createRemoteJWKSet(new URL(`${issuer}/keys`));
    const options = { issuer, audience: this.client, algorithms: ["ES256"] };
    const { payload } = await jwtVerify(token, keys, { ...options, ...(typ && { typ }) });
    return payload;
  }

  userinfo(token: string): Promise<Readonly<Record<string, unknown>>> {
    const headers = { authorization: `Bearer ${token}` };
    return infoOf(askAsClient(`${this.people.login}/userinfo`, { headers }));
  }

  /** Lets time pass for the browser's session. */
  wait({ browser }: TestPerson, seconds: number): Promise<void> {
    const secret = cookieOf(browser, `session-${this.people.tenant}`);
    return age(this.people, "Session", { secret, seconds });
  }
}

export async function infoOf(answer: Promise<Seen>): Promise<Readonly<Record<string, unknown>>> {
  const { status, body } = await answer;
  assert.equal(status, 200, body);
  return Object(JSON.parse(body));
}

export function anew(person: TestPerson): TestPerson {
  return { ...person, browser: new SoftBrowser() };
}
