export { parseConfig } from "./config.ts";
export { custodyLaunch, type CustodyLaunch } from "./custody/custody-settings.ts";
