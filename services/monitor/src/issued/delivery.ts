/**
 * What became of a logged digest; the numbers are those of the tables. `orphaned`: its issuer says why it never
 * received it, so that nobody can hold that token. `unknown`: nobody can say whether it was delivered.
 */
export const DELIVERY = {
  open: 0,
  delivered: 1,
  undelivered: 2,
  orphaned: 3,
  unknown: 4,
} as const;
export type Delivery = (typeof DELIVERY)[keyof typeof DELIVERY];
