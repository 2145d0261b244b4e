import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pagePolicy } from "@redoubt/http";
import { pages } from "./index.ts";
import { isPage } from "./layout.ts";
import { failureOf, NOT_NOW, PASS_REFUSED, SCRIPT_TEXTS } from "./messages.ts";

const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(1)>' \u202e\u0000`;
const MOUNT = "/t/oauth2/v2.0";
const CEREMONY = { mount: MOUNT, options: { challenge: HOSTILE }, answerPath: "/t/answer" };
const PASSKEY = { id: "AAAA", name: HOSTILE, created: 0, lastUsed: null, isSynced: true };

/** Each page with values as an enemy would choose them. */
const HOSTILE_PAGES: Readonly<Record<string, string>> = {
  signIn: pages.signIn({ ...CEREMONY, client: HOSTILE, organisation: HOSTILE, cancelPath: "/c" }),
  own: pages.signIn({ ...CEREMONY, organisation: HOSTILE, isAgain: true }),
  consent: pages.consent({
    mount: MOUNT,
    client: HOSTILE,
    organisation: HOSTILE,
    person: HOSTILE,
    host: HOSTILE,
    scopes: [{ scope: HOSTILE }, { scope: HOSTILE, resource: HOSTILE }],
    consentPath: "/c",
    cancelPath: "/c",
  }),
  pass: pages.pass({ mount: MOUNT, failure: PASS_REFUSED }),
  register: pages.register({
    ...CEREMONY,
    person: HOSTILE,
    organisation: HOSTILE,
    count: 0,
    required: 2,
  }),
  registered: pages.registered({ mount: MOUNT }),
  passkeys: passkeys(3, "AAAA"),
  signOut: pages.signOut({ mount: MOUNT, form: `<form id="op.logoutForm"></form>` }),
  signedOut: pages.signedOut({ mount: MOUNT }),
  failed: pages.failed({ mount: MOUNT, text: NOT_NOW }),
};

function passkeys(count: number, kept?: string): string {
  return pages.passkeys({
    mount: MOUNT,
    person: HOSTILE,
    required: 2,
    passkeys: Array.from({ length: count }, () => PASSKEY),
    signals: { rpId: HOSTILE, userId: "AAAA", name: HOSTILE, displayName: HOSTILE },
    ...(kept !== undefined && { kept }),
  });
}

for (const [name, page] of Object.entries(HOSTILE_PAGES)) {
  test(`THREAT-26: ${name}: what others say is text, and nothing is inline`, () => {
    // Quoted values hold what they like: none of it ends the quotes.
    const markup = page.replaceAll(/"[^"]*"/g, '""');
    assert.doesNotMatch(markup, /<script>|<img|<style|\u202e/);
    for (const tag of markup.match(/<[^>]*>/g) ?? [])
      assert.doesNotMatch(tag, /\s(?:style|on[a-z]+)=/);
    assert.doesNotMatch(page, /(?:href|src|action)="(?!\/)/);
    assert.equal(page.includes("\0"), false);
    for (const [, source = ""] of page.matchAll(/<script src="([^"]*)"/g))
      assert.equal(source, `${MOUNT}/passkey.js`);
    assert.equal(isPage(page), true);
    assert.equal(isPage(Buffer.from(page)), true);
  });

  test(`${name}: the title says it, one heading, a language, words for who has no script`, () => {
    const [, title = ""] = /<title>([^]*?)<\/title>/.exec(page) ?? [];
    const [, heading = ""] = /<h1>([^]*?)<\/h1>/.exec(page) ?? [];
    assert.ok(heading !== "" && title.endsWith(heading), title);
    assert.equal(page.match(/<h1>/g)?.length, 1);
    assert.match(page, /<html lang="en">/);
    assert.equal(page.includes("<noscript>"), page.includes("passkey.js"));
  });
}

test("what the library answers by itself is no page of ours", () => {
  assert.equal(isPage("<!DOCTYPE html>\n<html>"), false);
  assert.equal(isPage(Buffer.from("{}")), false);
});

test("sign-in: the button comes first, and the field's autocomplete ends with webauthn", () => {
  const { signIn = "" } = HOSTILE_PAGES;
  assert.match(signIn, /autocomplete="username webauthn"/);
  assert.ok(signIn.indexOf("data-passkey") < signIn.indexOf("autocomplete="));
});

test("THREAT-18: no page offers a password, a code or another way in", () => {
  const { signIn = "", own = "" } = HOSTILE_PAGES;
  for (const page of [signIn, own]) {
    assert.doesNotMatch(page, /type="password"|one-time-code|href="[^"]*(?:recover|reset|help)/);
    assert.equal(page.match(/<input /g)?.length, 1);
    assert.doesNotMatch(page, /<a /);
  }
});

test("a failure stands first in the title, and is focused and heard", () => {
  const { pass = "", failed = "" } = HOSTILE_PAGES;
  assert.match(pass, /<title>This pass does not work · Enter your pass</);
  assert.match(failed, /<title>Signing in is not possible at the moment · Try again in a minute</);
  for (const page of [pass, failed]) assert.match(page, /role="alert"\s+tabindex="-1"\s+autofocus/);
  assert.match(pages.pass({ mount: MOUNT }), /role="alert"\s+tabindex="-1"\s+hidden/);
});

test("my passkeys: at the required number none can be deleted, and the reason stands there", () => {
  assert.doesNotMatch(passkeys(2), /passkeys\/remove/);
  assert.match(passkeys(2), /Cannot be deleted: you need 2/);
  assert.match(passkeys(3), /passkeys\/remove/);
  assert.match(passkeys(1), /<title>Register 1 more passkey</);
  assert.match(passkeys(3, "AAAA"), /<title>The passkey was not deleted · /);
});

test("register: how many, which of them, and why", () => {
  const view = { ...CEREMONY, person: "Ada", organisation: "Example", required: 2 };
  assert.match(pages.register({ ...view, count: 0 }), /passkey 1 of 2[^]*Register 2 passkeys/);
  assert.match(pages.register({ ...view, count: 1 }), /passkey 2 of 2[^]*Register one more/);
  assert.match(pages.register({ ...view, count: 2 }), /<h1>Register another passkey</);
  assert.match(pages.register({ ...view, count: 0, required: 1 }), /<h1>Register a passkey</);
});

test("refusals that could tell who exists are one", () => {
  const codes = ["ERR_PASSKEY_CREDENTIAL", "ERR_PASSKEY_OWNER", "ERR_PASSKEY_SIGNATURE"];
  const titles = codes.map((code) => failureOf(code).title);
  assert.deepEqual([...new Set(titles)], ["This passkey does not work here"]);
  assert.equal(failureOf("ERR_PASSKEY_COUNTER"), failureOf("__proto__"));
  assert.notEqual(failureOf("ERR_PASSKEY_CHALLENGE"), failureOf("__proto__"));
});

test("the script has no words of its own", () => {
  const script = readFileSync(new URL("./passkey.js", import.meta.url), "utf8");
  const code = script.replaceAll(/\/\/.*|\/\*[^]*?\*\//g, "");
  for (const [, text = ""] of code.matchAll(/"([^"]*)"/g))
    assert.doesNotMatch(text, /^[A-Z].* .*/, text);
  assert.ok(
    Object.keys(SCRIPT_TEXTS).every(
      (name) => code.includes(`texts.${name}`) || ["get", "create"].includes(name),
    ),
  );
});

test("the policy: nothing from elsewhere, nothing inline, onward only where it is said", () => {
  const policy = pagePolicy(["http://127.0.0.1:5"]);
  assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /);
  assert.match(policy, /form-action 'self' http:\/\/127\.0\.0\.1:5; frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*/);
  assert.match(pagePolicy(), /form-action 'self';/);
});
