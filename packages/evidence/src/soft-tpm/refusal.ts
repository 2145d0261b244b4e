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
  attributes: 0x82,
  value: 0x84,
  size: 0x95,
  key: 0x9c,
  scheme: 0x92,
  symmetric: 0x96,
  reservedBits: 0xa1,
  eccPoint: 0xa7,
  /** Of whichever handle or session it is. */
  anyHandle: 0x8b,
  /** Of FlushContext, whose handle is a parameter. */
  flushHandle: 0x1cb,
  /** The object or session of the first handle, or of the first authorization, is not there; the next numbers follow. */
  handleReference: 0x910,
  sessionReference: 0x918,
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

/** Format-one codes name the handle, */
export function ofHandle(code: number, index: number): number {
  return code | ((index + 1) << 8);
}

/** the parameter, */
export function ofParameter(code: number, index: number): number {
  return code | 0x40 | ((index + 1) << 8);
}

/** or the session that failed. */
export function ofSession(code: number, index: number): number {
  return code | 0x800 | ((index + 1) << 8);
}
