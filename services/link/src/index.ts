export { parseConfig } from "./config.ts";
export { initialiseLink, type LinkAlgorithm } from "./identity.ts";
