import { hash } from "node:crypto";

/** How a log is called in paths and file names, by its origin: 16 characters of hex (docs/spec/logs.md §5). */
export function logId(origin: string): string {
  return hash("sha256", origin).slice(0, 16);
}
