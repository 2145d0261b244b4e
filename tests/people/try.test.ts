import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SoftAuthenticator } from "@redoubt/testkit";
import { isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import { startSystem, type System } from "../e2e/system.ts";
import { SoftBrowser } from "./soft-browser.ts";

describe("a newcomer, with what npm start says and a passkey of her own", () => {
  let system: System;
  before(async () => {
    system = await startSystem();
  });
  after(() => system[Symbol.asyncDispose]());

  function announced(): {
    readonly register: string;
    readonly pass: string;
    readonly page: string;
  } {
    const line = system.supervisor.stdout.split("\n").find((one) => one.includes('"ready":true'));
    const said = parseJsonObject(line ?? "");
    const { person, try: page } = said;
    assert.ok(isJsonObject(person) && typeof page === "string");
    const { register, pass } = person;
    assert.ok(typeof register === "string" && typeof pass === "string");
    return { register, pass, page };
  }

  it("registers, signs in, and sees her tokens; the way back counts once", async () => {
    const { register, pass, page } = announced();
    const browser = new SoftBrowser();
    const key = new SoftAuthenticator({ rpId: "localhost" });
    assert.equal(register.split("#")[1], pass);
    await browser.spendPass(register);
    await browser.usePasskey(key, { name: "laptop" });
    assert.match(browser.url, /\/registered$/);

    const { location: authorize = "" } = await browser.open(page);
    assert.match(authorize, /^http:\/\/localhost:\d+\/.*\/authorize\?/);
    await browser.open(authorize);
    await browser.usePasskey(key);
    const { location: back = "" } = await browser.submit("/consent");
    assert.ok(back.startsWith(`${page}/callback?`), back);
    const shown = await browser.open(back);
    assert.match(shown.body, /<h1>You are signed in<\/h1>/);
    assert.match(shown.body, /urn:redoubt:acr:passkey-device/);
    assert.match(shown.body, /api:\/\/demo-enterprise/);
    assert.match((await browser.open(back)).body, /was not begun here, or is over/);
  });

  for (const [name, query, text] of [
    ["a state that nobody gave out", "state=x&code=y", /was not begun here/],
    ["nothing at all", "", /was not begun here/],
  ] as const)
    it(`${name} is no sign-in`, async () => {
      const { page } = announced();
      const { body } = await new SoftBrowser().open(`${page}/callback?${query}`);
      assert.match(body, text);
    });

  it("says no where the person said no", async () => {
    const { page } = announced();
    const browser = new SoftBrowser();
    const { location: authorize = "" } = await browser.open(page);
    await browser.open(authorize);
    const { location: back = "" } = await browser.submit("/cancel");
    assert.match((await browser.open(back)).body, /No sign-in: access_denied/);
  });
});
