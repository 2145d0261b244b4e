// Both throw a TypeError that names the option. A misspelt option must not be ignored.

export function refuseUnknownMembers(value: object, names: readonly string[], where: string): void {
  if (typeof value !== "object" || value === null) throw new TypeError(`${where}: not an object`);
  for (const name of Object.keys(value))
    if (!names.includes(name)) throw new TypeError(`${where}: unknown member ${name}`);
}

// GHSA-687g-22h4-j4w4: Infinity or NaN as a tolerance would switch every time check off.
export function integerOption(name: string, value: number, min: number, max: number): number {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw new TypeError(`${name}: expected an integer from ${min} to ${max}`);
  return value;
}
