export { parseConfig, type GatewayConfig } from "./config.ts";
export { openGateway, type GatewayOptions } from "./context.ts";
export { initialise } from "./initialise.ts";
