import assert from "node:assert/strict";
import type { SenderContext } from "../binding.ts";
import { TokenError, type TokenErrorCode } from "../token-error.ts";
import type { Verifier } from "../verifier.ts";

/** Asserts that a token is refused for exactly this reason, and returns the error. */
export function assertRefused(
  verifier: Verifier,
  token: string,
  code: TokenErrorCode,
  part?: string,
  context?: SenderContext,
): TokenError {
  try {
    verifier.verify(token, context);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    assert.deepEqual([error.code, error.part], [code, part], error.message);
    return error;
  }
  return assert.fail(`accepted, expected ${code} ${part ?? ""}`);
}
