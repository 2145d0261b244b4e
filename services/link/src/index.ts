export { initialiseLink, type LinkAlgorithm } from "./identity.ts";
