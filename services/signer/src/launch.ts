export { parseConfig } from "./config.ts";
export { custodyLaunch } from "./custody/custody-settings.ts";
