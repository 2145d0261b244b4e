export { parseConfig, type KubeFrontConfig } from "./config.ts";
export { openKubeFront, type KubeFrontOptions } from "./context.ts";
