export type { Alarm, AlarmKind, Severity } from "./alarms/kinds.ts";
export { parseConfig, type Config } from "./config.ts";
export { openMonitor, type Monitor, type MonitorOptions } from "./context.ts";
export type { MonitorErrorCode } from "./errors.ts";
export { initialise, type MonitorKeys } from "./initialise.ts";
export type { HttpAnswer, HttpOptions, HttpRequest } from "./sockets/outgoing-http.ts";
