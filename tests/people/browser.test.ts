import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { chromium, type Browser, type Page } from "playwright-core";
import { allowInsecureRequests, discovery, None } from "openid-client";
import { issuerTemplate, portsFrom, readDemo } from "@redoubt/cli";
import { startSystem, type System } from "../e2e/system.ts";
import { until } from "../e2e/until.ts";
import { addPerson, peopleOf } from "./add-person.ts";
import { assertFailure, assertLooks } from "./looks.ts";
import { requireTwo } from "./people-fixture.ts";
import { RelyingParty } from "./relying-party.ts";
import { VirtualKey, virtualKeys } from "./virtual-key.ts";
import { comeFrom, heading, press, pressByKeyboard, visit, type Visit } from "./visit.ts";

const CHROMIUM = "/usr/bin/chromium";
const NO_CHROMIUM = !existsSync(CHROMIUM) && "Debian package chromium is missing: npm run setup";

describe("people sign in with a browser", { skip: NO_CHROMIUM }, () => {
  let system: System;
  let browser: Browser;
  let orders: RelyingParty;
  let reports: RelyingParty;
  let tenant = "";
  let login = "";
  let visitors = 0;

  before(async () => {
    [system, browser, orders, reports] = await Promise.all([
      startSystem(),
      // Its sandbox needs another user than the one that tests may run as.
      chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] }),
      RelyingParty.open(),
      RelyingParty.open(),
    ]);
    await requireTwo(system);
    const demo = readDemo(system.folder).clients.find(({ realm }) => realm === "enterprise");
    assert.ok(demo);
    ({ tenant } = demo);
    login = `http://localhost:${portsFrom(system.base)["issuer-enterprise"]}/${tenant}/oauth2/v2.0`;
    await register("orders", orders, `${orders.origin}/callback`);
    // RFC 8252 §7.3: the port of an application on this machine is not registered.
    await register("reports", reports, "http://127.0.0.1/callback");
  });
  after(async () => {
    await browser?.close();
    await orders?.[Symbol.asyncDispose]();
    await reports?.[Symbol.asyncDispose]();
    await system?.[Symbol.asyncDispose]();
  });

  async function register(client: string, party: RelyingParty, callback: string): Promise<void> {
    const added = await system.redoubt([
      "clients",
      "add",
      `--tenant=${tenant}`,
      `--client=${client}`,
      "--public",
      `--redirect-uri=${callback}`,
      `--logout-uri=${party.origin}/bye`,
      "--scope=orders.read",
    ]);
    assert.equal(added.code, 0, added.stderr);
    const issuer = issuerTemplate("enterprise", portsFrom(system.base).publisher);
    const url = new URL(issuer.replace("{tenantid}", tenant));
    const options = { execute: [allowInsecureRequests] };
    party.configuration = await discovery(url, client, undefined, None(), options);
  }

  async function enrol({ page, laptop, stick }: Visit): Promise<void> {
    visitors += 1;
    const pass = await addPerson(system, tenant, `Person${visitors}`);
    await page.goto(`${login}/register#${pass}`);
    await press(page, "Go on");
    await heading(page, "Register passkey 1 of 2");
    await stick.setPresent(false);
    await press(page, "Register a passkey");
    await heading(page, "Register passkey 2 of 2");
    await stick.setPresent(true);
    await laptop.setPresent(false);
    await press(page, "Register a passkey");
    await heading(page, "You are ready");
    await stick.setPresent(false);
  }

  it("from the pass to two passkeys, an application, a second one, and out", async () => {
    await using visitor = await visit(browser);
    const { page, laptop, stick, complaints } = visitor;
    const pass = await addPerson(system, tenant, "Ada");
    await page.goto(`${login}/register#${pass}`);
    assert.equal(await page.getByLabel("Pass", { exact: true }).inputValue(), pass);
    assert.equal(page.url(), `${login}/register`);
    await assertLooks(page);
    await press(page, "Go on");
    await heading(page, "Register passkey 1 of 2");
    assert.match(await page.getByLabel("Name of the passkey").inputValue(), /^Linux computer$/);
    await assertLooks(page);
    await stick.setPresent(false);
    await press(page, "Register a passkey");
    await heading(page, "Register passkey 2 of 2");
    await assertLooks(page);
    await press(page, "Register a passkey");
    await assertFailure(page, "This device has a passkey of yours already");
    await laptop.setPresent(false);
    await stick.setPresent(true);
    await press(page, "Register a passkey");
    await heading(page, "You are ready");
    await assertLooks(page);

    await comeFrom(orders, visitor);
    await assertLooks(page);
    await laptop.setPresent(true);
    await press(page, "Use a passkey");
    await heading(page, "Allow orders?");
    assert.match(await page.getByRole("list").innerText(), /see your name profile/);
    await assertLooks(page);
    await press(page, /^Allow$/);
    await page.getByText(/^Signed in as [\w-]+ with a bearer token$/).waitFor();

    await page.goto(`${reports.origin}/`);
    await heading(page, "Allow reports?");
    await press(page, /^Allow$/);
    await page.getByText(/^Signed in as /).waitFor();

    await page.goto(`${orders.origin}/out`);
    await heading(page, "Sign out?");
    await assertLooks(page);
    await press(page, "Sign out");
    await page.getByText("Signed out").waitFor();
    assert.equal(new URL(page.url()).origin, orders.origin);
    await comeFrom(orders, visitor);
    await press(page, "Cancel and go back to orders");
    await page.getByText("Refused: access_denied").waitFor();
    await page.goto(`${login}/sign-out/success`);
    await heading(page, "You are signed out");
    await assertLooks(page);
    assert.deepEqual(complaints, []);
  });

  it("autofill: the passkey that the browser offers in the field is enough", async () => {
    await using visitor = await visit(browser);
    const { page, laptop, complaints } = visitor;
    await enrol(visitor);
    await laptop.setPresent(true);
    await page.goto(`${orders.origin}/`);
    await heading(page, "Allow orders?");
    assert.deepEqual(complaints, []);
  });

  it("autofill that was refused: who comes back to the field is asked again", async () => {
    await using visitor = await visit(browser);
    const { page, laptop } = visitor;
    await enrol(visitor);
    await laptop.lie({ isBogusSignature: true });
    await laptop.setPresent(true);
    await page.goto(`${orders.origin}/`);
    await assertFailure(page, "This passkey does not work here");
    await laptop.lie();
    await page.getByRole("textbox").focus();
    await heading(page, "Allow orders?");
  });

  it("M5: with one passkey of two, an application leads to the second one first", async () => {
    await using visitor = await visit(browser);
    const { page, laptop, stick } = visitor;
    const pass = await addPerson(system, tenant, "Eve");
    await page.goto(`${login}/register#${pass}`);
    await press(page, "Go on");
    await stick.setPresent(false);
    await press(page, "Register a passkey");
    await heading(page, "Register passkey 2 of 2");
    await page.goto(`${orders.origin}/`);
    await heading(page, "Register 1 more passkey");
    await assertLooks(page);
    await press(page, "Register another passkey");
    await heading(page, "Register passkey 2 of 2");
    await laptop.setPresent(false);
    await stick.setPresent(true);
    await press(page, "Register a passkey");
    await heading(page, "You are ready");
  });

  it("no answer, or no time for one: the button reloads the page, and then it works", async () => {
    await using visitor = await visit(browser);
    const { page, laptop } = visitor;
    await enrol(visitor);
    await comeFrom(orders, visitor);
    await page.route("**/passkey", (route) => route.abort());
    await laptop.setPresent(true);
    await press(page, "Use a passkey");
    await assertFailure(page, "No answer came");
    await page.unroute("**/passkey");
    await laptop.setPresent(false);
    await press(page, "Reload this page");
    await page.getByRole("button", { name: "Use a passkey" }).waitFor();
    await laptop.setPresent(true);
    await press(page, "Use a passkey");
    await heading(page, "Allow orders?");
  });

  it("keyboard only: sign in and consent, after a reload", async () => {
    await using visitor = await visit(browser);
    const { page, laptop } = visitor;
    await enrol(visitor);
    await comeFrom(orders, visitor);
    await page.reload();
    await laptop.setPresent(true);
    await pressByKeyboard(page, "Use a passkey");
    await heading(page, "Allow orders?");
    await pressByKeyboard(page, "Allow");
    await page.getByText(/^Signed in as /).waitFor();
  });

  it("a key that does not verify its user, one without passkeys: what it may have been, and a try that works", async () => {
    await using visitor = await visit(browser);
    const { page, laptop, stick, complaints } = visitor;
    await enrol(visitor);
    await comeFrom(orders, visitor);
    await laptop.setUserVerified(false);
    await laptop.setPresent(true);
    await press(page, "Use a passkey");
    await assertFailure(page, "No passkey was used");
    assert.match(await page.getByRole("alert").innerText(), /without a PIN[^]*set one/);
    await laptop.setUserVerified(true);
    await stick.forget();
    await press(page, "Use a passkey");
    await heading(page, "Allow orders?");
    assert.deepEqual(complaints, []);
  });

  it("a forged signature, flags that lie, a challenge that is over: refused, and the next click has a new one", async () => {
    await using visitor = await visit(browser);
    const { page, laptop, complaints } = visitor;
    await enrol(visitor);
    await comeFrom(orders, visitor);
    await laptop.lie({ isBogusSignature: true });
    await laptop.setPresent(true);
    await press(page, "Use a passkey");
    await assertFailure(page, "This passkey does not work here");
    await laptop.lie({ isBadUV: true });
    await press(page, "Use a passkey");
    await assertFailure(page, "Set a PIN on your security key");
    await laptop.lie();
    await page.evaluate(`{
      const { dataset } = document.querySelector("[data-passkey]");
      dataset.options = JSON.stringify({ ...JSON.parse(dataset.options), challenge: "A".repeat(43) });
    }`);
    await press(page, "Use a passkey");
    await assertFailure(page, "This page was open for too long");
    await press(page, "Use a passkey");
    await heading(page, "Allow orders?");
    assert.deepEqual(complaints, []);
  });

  it("ERR_PASSKEY_DELETED: a passkey that was deleted elsewhere is forgotten by the device", async () => {
    await using visitor = await visit(browser);
    const { page, laptop } = visitor;
    await enrol(visitor);
    const [credentialId = ""] = await laptop.credentials();
    {
      await using store = await peopleOf(system);
      const id = Buffer.from(credentialId, "base64");
      const { personId = "" } = (await store.passkeys.find(id)) ?? {};
      assert.equal(await store.passkeys.remove(personId, id, { atLeast: 0 }), "removed");
    }
    await comeFrom(orders, visitor);
    await laptop.setPresent(true);
    await press(page, "Use a passkey");
    await assertFailure(page, "This passkey was deleted");
    const left = () => laptop.credentials();
    assert.deepEqual(await until("nothing in the key", left, ({ length }) => length === 0), []);
  });

  it("my passkeys: named, added, deleted, and never fewer than needed", async () => {
    await using visitor = await visit(browser, { isSynced: true });
    const { page, laptop, complaints } = visitor;
    await enrol(visitor);
    await laptop.setPresent(true);
    await page.goto(`${login}/passkeys`);
    await heading(page, "My passkeys");
    const item = (name: string) => page.getByRole("listitem").filter({ hasText: name });
    const copied = await item("Linux computer").innerText();
    assert.match(copied, /copied between your devices[^]*Cannot be deleted: you need 2/);
    assert.match(await item("Security key").innerText(), /on one device only[^]*never/);
    await assertLooks(page);
    await page.getByLabel("Name of Security key").fill(HOSTILE);
    await item("Security key").getByRole("button", { name: "Rename" }).click();
    await page.getByRole("heading", { name: HOSTILE }).waitFor();

    // Both are deleted in two tabs that saw three: the second is kept.
    await laptop.forget();
    await press(page, "Register another passkey");
    await heading(page, "Register another passkey");
    await page.getByLabel("Name of the passkey").fill("Third");
    await assertLooks(page);
    await VirtualKey.add(await virtualKeys(page), { transport: "usb" });
    await press(page, "Register a passkey");
    await heading(page, "You are ready");
    await page.goto(`${login}/passkeys`);
    const other = await page.context().newPage();
    await other.goto(`${login}/passkeys`);
    await removeOne(other, "Linux computer");
    await other.getByText("you have 2 passkeys. That is as many as you need.").waitFor();
    await removeOne(page, HOSTILE);
    await assertFailure(page, "The passkey was not deleted");
    assert.match(await item(HOSTILE).innerText(), /You need 2\. Register another one first/);
    assert.deepEqual(complaints, []);
  });

  it("says so where the browser has no passkeys, where the pass is not known, where the sign-in is over", async () => {
    await using visitor = await visit(browser);
    const { page } = visitor;
    await page.goto(`${login}/register#nothing`);
    await press(page, "Go on");
    await assertFailure(page, "This pass does not work");
    await page.goto(`${login}/interaction/${"x".repeat(21)}`);
    await assertFailure(page, "This sign-in is over");
    await page.goto(`${login}/authorize?client_id=nobody`);
    await assertFailure(page, "This sign-in cannot go on");
    await page.addInitScript("delete globalThis.PublicKeyCredential");
    await page.goto(`${orders.origin}/`);
    await assertFailure(page, "This browser cannot use passkeys here");
    assert.equal(await page.getByRole("button", { name: "Use a passkey" }).count(), 0);
  });
});

const HOSTILE = `<b>"Stick"</b>`;

async function removeOne(page: Page, name: string): Promise<void> {
  const item = page.getByRole("listitem").filter({ hasText: name });
  await item.getByText(`Delete ${name}`).first().click();
  await item.getByRole("button", { name: `Delete ${name}` }).click();
}
