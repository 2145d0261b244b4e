import assert from "node:assert/strict";
import { hash, randomBytes, randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  allowInsecureRequests,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientSecretBasic,
  customFetch,
  discovery,
  None,
  randomPKCECodeVerifier,
  randomState,
  type Configuration,
} from "openid-client";
import { systemClock } from "@redoubt/base";
import { issuerTemplate, portsFrom, readDemo } from "@redoubt/cli";
import type { PeopleStore } from "@redoubt/store";
import { openPeopleStore } from "@redoubt/store/people";
import { SoftAuthenticator } from "@redoubt/testkit";
import { startSystem, type System } from "../e2e/system.ts";
import { until } from "../e2e/until.ts";
import { SoftBrowser } from "./soft-browser.ts";

export const CALLBACK = "http://127.0.0.1/callback";
export const PORTAL = "portal";

export interface TestPerson {
  readonly id: string;
  readonly browser: SoftBrowser;
  readonly keys: readonly SoftAuthenticator[];
}

export interface PeopleOptions {
  /** URL of the PostgreSQL in which the tenant's people are; default: the file of their issuer. */
  readonly database?: string;
  /** In place of what browsers and clients ask with. */
  readonly fetch?: typeof fetch;
}

/** A running system with one tenant whose people sign in through a public client, and their store. */
export class PeopleSystem implements AsyncDisposable {
  readonly system: System;
  readonly tenant: string;
  /** Below which everything of the tenant's people is. */
  readonly login: string;
  readonly store: PeopleStore;
  readonly fetch: typeof fetch;

  private constructor(
    parts: Pick<PeopleSystem, "system" | "tenant" | "login" | "store" | "fetch">,
  ) {
    this.system = parts.system;
    this.tenant = parts.tenant;
    this.login = parts.login;
    this.store = parts.store;
    this.fetch = parts.fetch;
  }

  static async start(options: PeopleOptions = {}): Promise<PeopleSystem> {
    const { database, fetch: fetcher = fetch } = options;
    const system = await startSystem(
      database === undefined ? {} : { environment: { REDOUBT_DATABASE_URL_ENTERPRISE: database } },
    );
    const demo = readDemo(system.folder).clients.find(({ realm }) => realm === "enterprise");
    assert.ok(demo);
    const { tenant } = demo;
    const port = portsFrom(system.base)["issuer-enterprise"];
    const path = join(system.folder, "issuer-enterprise", "people.sqlite");
    const place = database === undefined ? { path } : { url: database };
    const store = await openPeopleStore(place, { realm: "enterprise", clock: systemClock });
    const login = `http://localhost:${port}/${tenant}/oauth2/v2.0`;
    await requireTwo(system);
    const people = new PeopleSystem({ system, tenant, login, store, fetch: fetcher });
    await people.addClient(PORTAL, ["--public", "--logout-uri=http://127.0.0.1/bye"]);
    return people;
  }

  /** The same system as seen from another tenant, a new one whose people sign in through a portal of its own. */
  async withNewTenant(): Promise<PeopleSystem> {
    const tenant = randomUUID();
    const args = ["tenants", "add", `--tenant=${tenant}`, "--audience=api://other", "--json"];
    const { code, stderr } = await this.system.redoubt(args);
    assert.equal(code, 0, stderr);
    const login = this.login.replace(this.tenant, tenant);
    const { system, store, fetch: fetcher } = this;
    const people = new PeopleSystem({ system, tenant, login, store, fetch: fetcher });
    await people.addClient(PORTAL, ["--public", "--logout-uri=http://127.0.0.1/bye"]);
    return people;
  }

  async addClient(client: string, options: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.system.redoubt([
      "clients",
      "add",
      `--tenant=${this.tenant}`,
      `--client=${client}`,
      `--redirect-uri=${CALLBACK}`,
      "--scope=orders.read",
      "--json",
      ...options,
    ]);
    assert.equal(code, 0, stderr);
    const added: unknown = JSON.parse(stdout);
    return typeof added === "object" && added !== null && "secret" in added
      ? String(added.secret)
      : "";
  }

  async addPerson(tenant: string = this.tenant): Promise<string> {
    const id = randomUUID();
    await this.store.people.add({
      id,
      tenant,
      userName: `${id}@example.org`,
      externalId: null,
      displayName: "Ada",
      givenName: "Ada",
      familyName: "Lovelace",
      emails: [{ value: "ada@example.org", primary: true }],
      isAdministrator: false,
      onboardedAt: null,
      status: "active",
      handle: randomBytes(32),
      source: "command",
    });
    return id;
  }

  /** A pass that may be used from `notBefore` on, in seconds from now. */
  async addPass(personId: string, notBefore = 0, seconds = 3600): Promise<string> {
    const secret = randomBytes(20).toString("hex").toUpperCase();
    const now = Math.floor(Date.now() / 1000);
    await this.store.passes.issue({
      hashes: [hash("sha256", secret, "buffer")],
      personId,
      purpose: "onboarding",
      notBefore: now + notBefore,
      expires: now + notBefore + seconds,
      issuedBy: "operator",
    });
    return secret;
  }

  /** A browser in which a pass was just spent: it may register passkeys. */
  async spendPass(personId: string): Promise<SoftBrowser> {
    const browser = this.browser();
    await browser.spendPass(`${this.login}/register#${await this.addPass(personId)}`);
    return browser;
  }

  /** A person with so many passkeys; one that signs in twice at once has some that do not count. */
  async person(count = 2, counter: "rising" | "zero" = "rising"): Promise<TestPerson> {
    const id = await this.addPerson();
    const options = { rpId: "localhost", counter };
    const keys = Array.from({ length: count }, () => new SoftAuthenticator(options));
    const browser = await this.spendPass(id);
    for (const key of keys) await browser.usePasskey(key, { name: "key" });
    return { id, browser: this.browser(), keys };
  }

  browser(): SoftBrowser {
    return new SoftBrowser({ fetch: this.fetch });
  }

  issuer(): string {
    const template = issuerTemplate("enterprise", portsFrom(this.system.base).publisher);
    return template.replace("{tenantid}", this.tenant);
  }

  configure(client: string = PORTAL, secret?: string): Promise<Configuration> {
    const auth = secret === undefined ? None() : ClientSecretBasic(secret);
    const ask = this.fetch;
    const options = {
      execute: [allowInsecureRequests],
      [customFetch]: (url: string, init: object) => ask(url, init),
    };
    return discovery(new URL(this.issuer()), client, secret, auth, options);
  }

  async request(
    config: Configuration,
    parameters: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly url: string; readonly verifier: string; readonly state: string }> {
    const verifier = randomPKCECodeVerifier();
    const state = randomState();
    const url = buildAuthorizationUrl(config, {
      redirect_uri: CALLBACK,
      scope: "openid",
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
      ...parameters,
    });
    return { url: url.href, verifier, state };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    await this.system[Symbol.asyncDispose]();
  }
}

/** On loopback one passkey is enough for a newcomer; here it is as in an organisation. */
export async function requireTwo(system: System): Promise<void> {
  const path = join(system.folder, "issuer-enterprise", "config.json");
  const config = readFileSync(path, "utf8");
  writeFileSync(path, config.replace('"passkeysRequired":1', '"passkeysRequired":2'));
  const pid = await system.pidOf("issuer-enterprise");
  process.kill(pid);
  await until(
    "the issuer is back",
    async () => (await system.status())["issuer-enterprise"],
    (issuer) => issuer?.["pid"] !== pid && issuer?.["ready"] === true,
  );
}

/** Opens a request and does what its pages ask, to the address at the client. */
export async function signIn(
  { browser, keys }: TestPerson,
  url: string,
): Promise<{ readonly location: string; readonly hadPages: readonly string[] }> {
  let seen = await browser.open(url);
  const hadPages: string[] = [];
  for (let page = 0; page < 4 && seen.location === undefined; page += 1) {
    hadPages.push(/<title>(.*?)<\/title>/.exec(browser.body)?.[1] ?? "");
    const [key] = keys;
    assert.ok(key);
    // eslint-disable-next-line no-await-in-loop -- one page leads to the next
    seen = await (browser.body.includes('data-passkey="get"')
      ? browser.usePasskey(key)
      : browser.submit("/consent"));
  }
  assert.ok(seen.location, `${seen.status} ${seen.body}`);
  return { location: seen.location, hadPages };
}
