import { ServiceError } from "@redoubt/base";

/** Why the monitor refused a request or could not start; stable. */
export type MonitorErrorCode =
  | "ERR_CONFIG"
  | "ERR_MONITOR_ALARM"
  | "ERR_MONITOR_BUSY"
  | "ERR_MONITOR_DISK_FULL"
  | "ERR_MONITOR_HALTED"
  | "ERR_MONITOR_HTTP"
  | "ERR_MONITOR_LEDGER"
  | "ERR_MONITOR_OP"
  | "ERR_MONITOR_RECOVER"
  | "ERR_MONITOR_STORE";

export function monitorError(
  code: MonitorErrorCode,
  message: string,
  options: ErrorOptions & { readonly fields?: Readonly<Record<string, unknown>> } = {},
): ServiceError<MonitorErrorCode> {
  return new ServiceError(code, message, options);
}
