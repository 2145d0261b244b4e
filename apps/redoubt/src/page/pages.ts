import { readFileSync } from "node:fs";
import { errorLine } from "@redoubt/base";
import type { PlainPage } from "../up/status-page.ts";
import type { PageFacts } from "./facts.ts";
import { renderFailure, renderFragment, renderPage } from "./page.ts";

const HTML = "text/html; charset=utf-8";
/** Beside this file, as they are: nothing is built. */
const FILES = {
  "/style.css": "text/css; charset=utf-8",
  "/live.js": "text/javascript; charset=utf-8",
  "/icon.svg": "image/svg+xml",
} as const;

/** The status page for people, with what it needs. */
export function statusPages(
  facts: () => Promise<PageFacts>,
): Readonly<Record<string, () => Promise<PlainPage>>> {
  const show = (render: (found: PageFacts) => string) => async (): Promise<PlainPage> => {
    try {
      return { status: 200, type: HTML, body: render(await facts()) };
    } catch (error) {
      return { status: 503, type: HTML, body: renderFailure(errorLine(error)) };
    }
  };
  return {
    "/": show(renderPage),
    "/fragment": show(renderFragment),
    ...Object.fromEntries(
      Object.entries(FILES).map(([path, type]) => {
        const body = readFileSync(new URL(`.${path}`, import.meta.url), "utf8");
        return [path, () => Promise.resolve({ status: 200, type, body } as const)];
      }),
    ),
  };
}
