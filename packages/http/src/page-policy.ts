/**
 * Content-Security-Policy (CSP Level 3) of pages with forms: nothing from elsewhere, nothing inline, in nobody's frame.
 * What a hostile value might smuggle into a page neither runs nor loads.
 *
 * @param formOrigins - to which a form may lead by a redirect, besides the page's own
 */
export function pagePolicy(formOrigins: readonly string[] = []): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    `form-action ${["'self'", ...formOrigins].join(" ")}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; ");
}
