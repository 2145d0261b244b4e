import { errorCode, ServiceError } from "@redoubt/base";

/** gRPC status codes, by the names of the protocol. */
export const GRPC_STATUS = {
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

export interface GrpcStatus {
  readonly status: number;
  /** Code and our own fixed text; never what a caller sent. */
  readonly message: string;
}

/** Mapped once, here at the edge. What is not named is a condition of this service that may pass. */
const STATUS_OF: Readonly<Record<string, number>> = {
  ERR_REQUEST_MEMBER: GRPC_STATUS.invalidArgument,
  ERR_SIGNER_HANDLE: GRPC_STATUS.permissionDenied,
  ERR_SIGNER_AUDIENCE: GRPC_STATUS.permissionDenied,
  ERR_SIGNER_TTL: GRPC_STATUS.permissionDenied,
  ERR_SIGNER_TIME: GRPC_STATUS.permissionDenied,
  ERR_SIGNER_CLAIMS: GRPC_STATUS.permissionDenied,
  ERR_SIGNER_BUDGET: GRPC_STATUS.resourceExhausted,
  ERR_SIGNER_BUSY: GRPC_STATUS.resourceExhausted,
  ERR_WIRE_TOO_LARGE: GRPC_STATUS.resourceExhausted,
  ERR_SIGNER_SETTING: GRPC_STATUS.failedPrecondition,
  ERR_SIGNER_OP: GRPC_STATUS.unimplemented,
  ERR_GRPC_COMPRESSED: GRPC_STATUS.unimplemented,
  ERR_GRPC_CARDINALITY: GRPC_STATUS.unimplemented,
  ERR_GRPC_DEADLINE: GRPC_STATUS.deadlineExceeded,
  ERR_WIRE_FRAME: GRPC_STATUS.internal,
};
const MAX_MESSAGE = 200;

export function grpcStatusOf(error: unknown): GrpcStatus {
  // The environment's own errors name paths and system calls: nothing of them leaves.
  if (!(error instanceof ServiceError))
    return { status: GRPC_STATUS.internal, message: "ERR_INTERNAL" };
  const code = errorCode(error);
  const status = STATUS_OF[code] ?? GRPC_STATUS.unavailable;
  return { status, message: `${code}: ${error.message.slice(0, MAX_MESSAGE)}` };
}

/** gRPC over HTTP/2, "Percent-Encoded": of UTF-8, all but printable ASCII, and `%` itself. */
export function percentEncode(message: string): string {
  let encoded = "";
  for (const byte of Buffer.from(message, "utf8"))
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCodePoint(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return encoded;
}

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Milliseconds of a `grpc-timeout` header, undefined where there is none.
 *
 * @throws ServiceError `ERR_WIRE_FRAME`
 */
export function parseTimeout(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const [, digits = "", unit = ""] = TIMEOUT.exec(header) ?? [];
  const unitMs = UNIT_MS[unit];
  if (unitMs === undefined) throw new ServiceError("ERR_WIRE_FRAME", "Malformed grpc-timeout");
  return Number(digits) * unitMs;
}
