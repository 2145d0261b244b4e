import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type Page } from "playwright-core";
import { startSystem, type System } from "./system.ts";
import { until } from "./until.ts";

const CHROMIUM = "/usr/bin/chromium";
const NO_CHROMIUM = !existsSync(CHROMIUM) && "Debian package chromium is missing: npm run setup";
const AXE = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

describe("the status page in a browser", { skip: NO_CHROMIUM }, () => {
  let system: System;
  let browser: Browser;
  before(async () => {
    [system, browser] = await Promise.all([
      startSystem({ leases: true }),
      // Its sandbox needs another user than the one that tests may run as.
      chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] }),
    ]);
  });
  after(async () => {
    await browser?.close();
    await system?.[Symbol.asyncDispose]();
  });

  for (const scheme of ["light", "dark"] as const)
    for (const width of [360, 1280])
      it(`healthy, ${scheme}, ${width} px wide: readable for everybody, nothing refused`, async () => {
        const { page, complaints } = await open(scheme, width);
        assert.match(
          await page.title(),
          /^Healthy: nothing needs you · 127\.0\.0\.1:\d+ · Redoubt$/,
        );
        assert.deepEqual(await violations(page), []);
        const shown = await page.locator("svg.timeline:visible").getAttribute("class");
        assert.match(shown ?? "", width === 360 ? /narrow/ : /wide/);
        assert.equal(await page.evaluate("document.documentElement.scrollWidth"), width);
        await page.close();
        assert.deepEqual(complaints, []);
      });

  it("P4: says without a reload that a process is frozen, and that it is not any more", async () => {
    const { page, complaints } = await open("dark", 1280);
    await page.evaluate("window.isSame = true");
    await page.getByRole("link", { name: "metrics" }).focus();
    const pid = await system.pidOf("publisher");
    process.kill(pid, "SIGSTOP");
    try {
      const seen = await titleThat(page, (title) => title.startsWith("1 thing needs you"));
      assert.match(seen, /^1 thing needs you: publisher is not ready: does not answer/);
      assert.match(await page.getByRole("status").innerText(), new RegExp(`kill -CONT ${pid}`));
      assert.deepEqual(await violations(page), []);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await titleThat(page, (title) => title.startsWith("Healthy"));
    assert.equal(await page.evaluate("window.isSame"), true);
    assert.equal(await page.evaluate("document.activeElement.textContent"), "metrics");
    await page.close();
    assert.deepEqual(complaints, []);
  });

  it("P4: says that the supervisor does not answer, and for how long", async () => {
    const { page } = await open("light", 360);
    await page.route("**/fragment", (route) => route.abort());
    await titleThat(page, (title) => title.startsWith("The supervisor does not answer"));
    await until(
      "the age of what is shown",
      () => page.locator("#read").innerText(),
      (text) => /^read \d+ s ago, the supervisor does not answer$/.test(text),
    );
    await page.unroute("**/fragment");
    await titleThat(page, (title) => title.startsWith("Healthy"));
    await page.close();
  });

  async function open(colorScheme: "light" | "dark", width: number) {
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 800 } });
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", ({ message }) => complaints.push(message));
    await page.goto(system.announcement.status);
    return { page, complaints };
  }
});

function titleThat(page: Page, fits: (title: string) => boolean): Promise<string> {
  return until("the title", () => page.title(), fits);
}

async function violations(page: Page): Promise<unknown> {
  await page.evaluate(AXE);
  return page.evaluate(
    "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))",
  );
}
