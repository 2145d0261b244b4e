/** What became of a logged digest; the numbers are those of the tables. */
export const DELIVERY = { open: 0, delivered: 1, undelivered: 2, orphaned: 3 } as const;
export type Delivery = (typeof DELIVERY)[keyof typeof DELIVERY];
