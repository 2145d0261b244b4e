export { parseConfig } from "./config.ts";
export { custodyLaunch, type CustodyLaunch } from "./custody-settings.ts";
