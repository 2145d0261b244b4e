import assert from "node:assert/strict";
import { TlogError } from "../errors.ts";
import type { TlogErrorCode } from "../errors.ts";

export function refuses(code: TlogErrorCode, action: () => unknown, message?: RegExp): void {
  assert.throws(action, (error) => {
    assert(error instanceof TlogError, `not a TlogError: ${String(error)}`);
    assert.equal(error.code, code);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  });
}

/** Runs what may refuse its input, but only with an error of this package. */
export function survives<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof TlogError)) throw error;
    return undefined;
  }
}
