/**
 * What one report or evidence may hold (docs/spec/reports.md). The monitor takes at least this much, and a verifier that
 * reports accepts no token beyond it: what nobody can judge must not be accepted.
 */
export const REPORT_LIMITS = {
  bodyBytes: 262_144,
  reportItems: 1000,
  evidenceItems: 256,
  /** Characters, in UTF-16 units. */
  kidChars: 256,
  /** RSA of 4096 bits takes 512. */
  signatureBytes: 1024,
  /** So that one item with its signing input fits into a body. */
  signingInputChars: 131_072,
  audienceChars: 512,
  issuerChars: 512,
  /** Rows of counts in one report: one for each issuer and kind of token. */
  countRows: 64,
} as const;
