import { ServiceError } from "@redoubt/base";
import type { UnsignedToken } from "./token.ts";

/**
 * A refusal of what is in the log already (docs/spec/reports.md §4). It carries what would have been signed, without a
 * signature, so that whoever asked can see that it is what it asked for and account for the entry: otherwise the
 * monitor would take it for a forgery, and a mere count would hide one (THREAT-28).
 */
export function withUnsigned(error: unknown, { signingInput }: UnsignedToken): unknown {
  if (!(error instanceof ServiceError) || error.fields["committed"] !== true) return error;
  const fields = { ...error.fields, unsigned: signingInput };
  return new ServiceError(error.code, error.message, { cause: error, fields });
}
