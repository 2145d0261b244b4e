import type { SQLOutputValue } from "node:sqlite";
import { historyError } from "./errors.ts";

/** One row of SQLite's answer. The readers below refuse a column of another type: somebody else made that database. */
export type Row = Readonly<Record<string, SQLOutputValue>>;

export function integerColumn(row: Row, name: string): number {
  const value = row[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw wrongType(name);
  return value;
}

export function textColumn(row: Row, name: string): string {
  const value = row[name];
  if (typeof value !== "string") throw wrongType(name);
  return value;
}

export function bytesColumn(row: Row, name: string): Buffer {
  const value = row[name];
  if (!(value instanceof Uint8Array)) throw wrongType(name);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function wrongType(name: string): Error {
  return historyError(`Column ${name} is of another type`);
}
