import { readFileSync } from "node:fs";
import { errorLine } from "@redoubt/base";
import { LOOK } from "@redoubt/http";
import type { PlainPage } from "../up/status-page.ts";
import type { PageFacts } from "./facts.ts";
import { renderFailure, renderFragment, renderPage } from "./page.ts";

const HTML = "text/html; charset=utf-8";
/** As they are: nothing is built. */
const FILES = {
  ...LOOK,
  "/live.js": {
    type: "text/javascript; charset=utf-8",
    file: new URL("./live.js", import.meta.url),
  },
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
      Object.entries(FILES).map(([path, { type, file }]) => {
        const body = readFileSync(file, "utf8");
        return [path, () => Promise.resolve({ status: 200, type, body } as const)];
      }),
    ),
  };
}
