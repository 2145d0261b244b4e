export { parseConfig, type PublisherConfig } from "./config.ts";
export { openPublisher, type Publisher, type PublisherOptions } from "./context.ts";
