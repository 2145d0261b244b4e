import assert from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
import type { RelyingParty } from "./relying-party.ts";
import { VirtualKey, virtualKeys } from "./virtual-key.ts";

const PATIENCE_MS = 6000;

/** Somebody at a browser, with the keys in reach. */
export interface Visit extends AsyncDisposable {
  readonly page: Page;
  readonly laptop: VirtualKey;
  readonly stick: VirtualKey;
  /** What the browser refused or threw. */
  readonly complaints: readonly string[];
}

/** A browser that nobody used before. */
export async function visit(browser: Browser, { isSynced = false } = {}): Promise<Visit> {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints: string[] = [];
  page.on("console", (message) => {
    // A refusal is an answer with a status of its own; the console tells of each.
    if (!/status of (?:403|409|400|503)/.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", ({ message }) => complaints.push(message));
  const session = await virtualKeys(page);
  const laptop = await VirtualKey.add(session, { transport: "internal", isSynced });
  const stick = await VirtualKey.add(session, { transport: "usb" });
  return {
    page,
    laptop,
    stick,
    complaints,
    [Symbol.asyncDispose]: () => context.close(),
  };
}

/** Opens an application, which sends the person to us; the keys are out of reach. */
export async function comeFrom(
  party: Pick<RelyingParty, "origin">,
  { page, laptop, stick }: Visit,
): Promise<void> {
  await laptop.setPresent(false);
  await stick.setPresent(false);
  await page.goto(`${party.origin}/`);
  await heading(page, /^Sign in to /);
}

export function press(page: Page, name: string | RegExp): Promise<void> {
  return page.getByRole("button", { name }).click();
}

export function heading(page: Page, name: string | RegExp): Promise<void> {
  return page.getByRole("heading", { level: 1, name }).waitFor();
}

const MAX_TABS = 20;

export async function pressByKeyboard(page: Page, name: string): Promise<void> {
  for (let tabs = 0; tabs < MAX_TABS; tabs += 1) {
    // eslint-disable-next-line no-await-in-loop -- as a person does it
    await page.keyboard.press("Tab");
    // eslint-disable-next-line no-await-in-loop -- as above
    const text = await page.evaluate("document.activeElement.textContent.trim()");
    if (text === name) return page.keyboard.press("Enter");
  }
  assert.fail(`No way to ${name} with the keyboard`);
}
