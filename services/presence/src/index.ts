export { parseConfig, type PresenceConfig } from "./config.ts";
export { openPresence, type Presence, type PresenceOptions } from "./context.ts";
