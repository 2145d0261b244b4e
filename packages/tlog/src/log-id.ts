import { hash } from "node:crypto";

/** The name of a log's published folder: the first 16 hex characters of its origin's SHA-256 (docs/spec/logs.md §5). */
export function logId(origin: string): string {
  return hash("sha256", origin).slice(0, 16);
}
