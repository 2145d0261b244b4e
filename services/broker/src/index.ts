export { parseConfig, type BrokerConfig } from "./config.ts";
export { openBroker, type BrokerOptions } from "./context.ts";
export { initialise } from "./initialise.ts";
