/** A command that the soft TPM answers with a response code (TPM 2.0 Part 2 §6.6). */
export class TpmRefusal extends Error {
  override readonly name = "TpmRefusal";
  readonly responseCode: number;

  constructor(responseCode: number) {
    super(`Response code 0x${responseCode.toString(16)}`);
    this.responseCode = responseCode;
  }
}

/** The codes that swtpm gives in the same place. */
export const RC = {
  badTag: 0x1e,
  value: 0x84,
  handle: 0x18b,
  insufficient: 0x9a,
  missingAuth: 0x125,
  authUnavailable: 0x12f,
  commandSize: 0x142,
  commandCode: 0x143,
  nvRange: 0x146,
  pcrChanged: 0x128,
  objectMemory: 0x902,
  sessionMemory: 0x903,
  locality: 0x907,
  type: 0x8a,
  badAuth: 0x9a2,
  policyFail: 0x9d,
  integrity: 0x1df,
  failure: 0x101,
} as const;

/** Format-one codes name the session that failed. */
export function ofSession(code: number, index: number): number {
  return code | 0x800 | ((index + 1) << 8);
}
