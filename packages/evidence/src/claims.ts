/** What evidence proved, as a tree of plain values; a policy names a leaf by its path: `snp.vmpl`. */
export type ClaimValue = string | number | boolean | readonly ClaimValue[] | Claims;

export interface Claims {
  readonly [name: string]: ClaimValue;
}
