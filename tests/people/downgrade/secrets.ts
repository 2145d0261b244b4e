import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { authorizationCodeGrant } from "openid-client";
import { signIn, type PeopleSystem, type TestPerson } from "../people-fixture.ts";
import { SoftBrowser } from "../soft-browser.ts";
import { age } from "./aging.ts";

/** What somebody may hold who has not just used the person's passkey. */
export interface Secrets {
  /** Good for one registration, and not used yet. */
  readonly pass: string;
  readonly registration: string;
  readonly account: string;
  readonly agedAccount: string;
  /** Longer ago than a sign-in lasts. */
  readonly agedSession: string;
  readonly endedSession: string;
  /** The person's own sessions at another tenant. */
  readonly otherSession: string;
  readonly otherAccount: string;
  readonly interaction: string;
  /** Not used yet; for a verifier that nobody else knows. */
  readonly code: string;
  readonly accessToken: string;
  readonly idToken: string;
  readonly guess: string;
}

export function cookieOf(browser: SoftBrowser, name: string): string {
  const cookie = [...browser.cookies.values()].find((one) => one.name === name);
  assert.ok(cookie, `no cookie ${name}`);
  return cookie.value;
}

export async function gatherSecrets(
  people: PeopleSystem,
  { mine, others }: { readonly mine: TestPerson; readonly others: PeopleSystem },
): Promise<Secrets> {
  const { tenant } = people;
  const registering = await people.spendPass(await people.addPerson());
  const asking = new SoftBrowser();
  await asking.open((await people.request(await people.configure())).url);
  const elsewhere = await others.person();
  const aged = await sessionOf(people, mine);
  await age(people, "Session", { secret: aged, seconds: 43_201 });
  const agedAccount = await accountOf(people, mine);
  await age(people, "Account", { secret: agedAccount, seconds: 901 });
  return {
    pass: await people.addPass(await people.addPerson()),
    registration: cookieOf(registering, `registration-${tenant}`),
    account: await accountOf(people, mine),
    agedAccount,
    agedSession: aged,
    endedSession: await endedSessionOf(people, mine),
    otherSession: await sessionOf(others, elsewhere),
    otherAccount: await accountOf(others, elsewhere),
    interaction: cookieOf(asking, "interaction"),
    guess: randomBytes(32).toString("base64url"),
    ...(await tokensOf(people, mine)),
  };
}

/** Signs in; the secret of the session that this opened. */
export async function sessionOf(people: PeopleSystem, { keys }: TestPerson): Promise<string> {
  const browser = new SoftBrowser();
  const { url } = await people.request(await people.configure());
  await signIn({ id: "", browser, keys }, url);
  return cookieOf(browser, `session-${people.tenant}`);
}

/** Opens the page of one's own passkeys; the secret of that. */
export async function accountOf(people: PeopleSystem, { keys }: TestPerson): Promise<string> {
  const browser = new SoftBrowser();
  await browser.open(`${people.login}/passkeys`);
  const [key] = keys;
  assert.ok(key);
  await browser.usePasskey(key);
  return cookieOf(browser, `account-${people.tenant}`);
}

async function endedSessionOf(people: PeopleSystem, { keys }: TestPerson): Promise<string> {
  const browser = new SoftBrowser();
  const { url } = await people.request(await people.configure());
  await signIn({ id: "", browser, keys }, url);
  const secret = cookieOf(browser, `session-${people.tenant}`);
  await browser.open(`${people.login}/sign-out`);
  await browser.submit("/sign-out/confirm", { logout: "yes" });
  return secret;
}

async function tokensOf(people: PeopleSystem, { keys }: TestPerson) {
  const browser = new SoftBrowser();
  const config = await people.configure();
  const { url, verifier, state } = await people.request(config);
  const { location } = await signIn({ id: "", browser, keys }, url);
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  const tokens = await authorizationCodeGrant(config, new URL(location), checks);
  const another = await signIn({ id: "", browser, keys }, (await people.request(config)).url);
  return {
    accessToken: tokens.access_token,
    idToken: tokens.id_token ?? "",
    code: new URL(another.location).searchParams.get("code") ?? "",
  };
}

/** Browsers that hold each of the secrets in place of a session. */
export function impostors({ tenant }: PeopleSystem, secrets: Secrets): Map<string, SoftBrowser> {
  const names = ["session", "account", "registration"].map((name) => `${name}-${tenant}`);
  return new Map(
    Object.entries(secrets).map(([what, secret]) => {
      const browser = new SoftBrowser();
      for (const name of [...names, "interaction", "resume"])
        // Where it belongs it is no trick.
        if (name.replace(/-.*/, "") !== what) browser.setCookie(name, secret);
      return [what, browser];
    }),
  );
}
