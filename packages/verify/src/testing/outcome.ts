import { TokenError } from "../token-error.ts";
import { TrustError } from "../trust-error.ts";

/** The code and part of a refusal, or "valid"; an error that is not ours goes on. */
export function outcome(check: () => unknown): "valid" | readonly [string, string | undefined] {
  try {
    check();
    return "valid";
  } catch (error) {
    if (error instanceof TokenError) return [error.code, error.part];
    if (error instanceof TrustError) return [error.code, undefined];
    throw error;
  }
}
