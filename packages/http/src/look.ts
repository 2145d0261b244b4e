/** The one look of our pages: status, sign-in, ceremony. Files by the path at which each page serves them. */
export const LOOK = {
  "/style.css": {
    type: "text/css; charset=utf-8",
    file: new URL("./look/style.css", import.meta.url),
  },
  "/icon.svg": { type: "image/svg+xml", file: new URL("./look/icon.svg", import.meta.url) },
} as const;
