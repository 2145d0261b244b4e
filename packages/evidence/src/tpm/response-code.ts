// TPM 2.0 Part 2 §6.6.3: the codes that people meet.
const FORMAT_ONE: ReadonlyMap<number, string> = new Map([
  [0x82, "ATTRIBUTES"],
  [0x83, "HASH"],
  [0x84, "VALUE"],
  [0x85, "HIERARCHY"],
  [0x8a, "TYPE"],
  [0x8b, "HANDLE"],
  [0x8e, "AUTH_FAIL"],
  [0x92, "SCHEME"],
  [0x95, "SIZE"],
  [0x9a, "INSUFFICIENT"],
  [0x9c, "KEY"],
  [0x9d, "POLICY_FAIL"],
  [0x9f, "INTEGRITY"],
  [0xa2, "BAD_AUTH"],
  [0xa7, "ECC_POINT"],
]);

const FORMAT_ZERO: ReadonlyMap<number, string> = new Map([
  [0x100, "INITIALIZE"],
  [0x101, "FAILURE"],
  [0x120, "DISABLED"],
  [0x125, "AUTH_MISSING"],
  [0x127, "PCR"],
  [0x128, "PCR_CHANGED"],
  [0x12f, "AUTH_UNAVAILABLE"],
  [0x142, "COMMAND_SIZE"],
  [0x143, "COMMAND_CODE"],
  [0x146, "NV_RANGE"],
  [0x148, "NV_LOCKED"],
  [0x149, "NV_AUTHORIZATION"],
  [0x14a, "NV_UNINITIALIZED"],
  [0x902, "OBJECT_MEMORY"],
  [0x903, "SESSION_MEMORY"],
  [0x905, "SESSION_HANDLES"],
  [0x90a, "TESTING"],
  [0x921, "LOCKOUT"],
  [0x922, "RETRY"],
]);

const FORMAT_ONE_BIT = 0x80;
/** Without the number of the handle, session or parameter, and the bit that says that it was a parameter. */
const FORMAT_ONE_MASK = 0xbf;

/** `0x99d TPM_RC_POLICY_FAIL`; the number alone where the name is not known. */
export function describeResponseCode(code: number): string {
  const name =
    (code & FORMAT_ONE_BIT) === 0 ? FORMAT_ZERO.get(code) : FORMAT_ONE.get(code & FORMAT_ONE_MASK);
  const hex = `0x${code.toString(16)}`;
  return name === undefined ? hex : `${hex} TPM_RC_${name}`;
}
