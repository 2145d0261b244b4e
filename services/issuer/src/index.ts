export { parseConfig, type IssuerConfig } from "./config.ts";
export { openIssuer, type Issuer, type IssuerOptions } from "./context.ts";
