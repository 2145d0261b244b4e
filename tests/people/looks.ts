import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";

const AXE = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const HEIGHT = 800;
const SCHEMES = ["light", "dark"] as const;
const WIDTHS = [320, 1280];

/** A page as it is now, light and dark, narrow and wide: nothing that axe finds, and nothing to scroll sideways. */
export async function assertLooks(page: Page): Promise<void> {
  await page.evaluate(AXE);
  for (const colorScheme of SCHEMES)
    for (const width of WIDTHS) {
      // eslint-disable-next-line no-await-in-loop -- one page has one size at a time
      await assertOneLook(page, colorScheme, width);
    }
}

async function assertOneLook(page: Page, colorScheme: "light" | "dark", width: number) {
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize({ width, height: HEIGHT });
  const where = `${await page.title()}, ${colorScheme}, ${width} px`;
  const found: unknown = await page.evaluate(
    "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html]))",
  );
  assert.deepEqual(found, [], where);
  assert.equal(await page.evaluate("document.documentElement.scrollWidth"), width, where);
}

/** What failed is said, heard and focused. */
export async function assertFailure(page: Page, title: string | RegExp): Promise<void> {
  const alert = page.getByRole("alert");
  await alert.filter({ hasText: title }).waitFor();
  assert.equal(await page.evaluate("document.activeElement?.id"), "notice");
  const shown = await page.title();
  assert.ok(typeof title === "string" ? shown.startsWith(title) : title.test(shown), shown);
  await assertLooks(page);
}
