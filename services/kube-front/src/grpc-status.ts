import { status } from "@grpc/grpc-js";
import { errorCode, ServiceError } from "@redoubt/base";
import { RemoteError, WireError } from "@redoubt/wire";

export interface GrpcStatus {
  readonly code: status;
  /** Code and the signer's own fixed text; never what a caller sent. */
  readonly details: string;
}

/** Codes that are not named here are UNAVAILABLE: the signer is in a condition that may pass. */
const STATUS_OF: Readonly<Record<string, status>> = {
  ERR_REQUEST_MEMBER: status.INVALID_ARGUMENT,
  ERR_SIGNER_HANDLE: status.PERMISSION_DENIED,
  ERR_SIGNER_AUDIENCE: status.PERMISSION_DENIED,
  ERR_SIGNER_TTL: status.PERMISSION_DENIED,
  ERR_SIGNER_TIME: status.PERMISSION_DENIED,
  ERR_SIGNER_CLAIMS: status.PERMISSION_DENIED,
  ERR_SIGNER_BUDGET: status.RESOURCE_EXHAUSTED,
  ERR_SIGNER_BUSY: status.RESOURCE_EXHAUSTED,
  ERR_WIRE_BUSY: status.RESOURCE_EXHAUSTED,
  ERR_FRONT_LIFETIME: status.FAILED_PRECONDITION,
  ERR_SIGNER_OP: status.UNIMPLEMENTED,
  ERR_GRPC_DEADLINE: status.DEADLINE_EXCEEDED,
  ERR_WIRE_TIMEOUT: status.DEADLINE_EXCEEDED,
  ERR_WIRE_FRAME: status.INTERNAL,
  ERR_INTERNAL: status.INTERNAL,
};
const MAX_MESSAGE = 200;

export function grpcStatusOf(error: unknown): GrpcStatus {
  const message = messageOf(error);
  // The environment's own errors name paths and system calls: nothing of them leaves.
  if (message === undefined) return { code: status.INTERNAL, details: "ERR_INTERNAL" };
  const code = errorCode(error);
  const details = `${code}: ${message.slice(0, MAX_MESSAGE).toWellFormed()}`;
  return { code: STATUS_OF[code] ?? status.UNAVAILABLE, details };
}

function messageOf(error: unknown): string | undefined {
  // Its own text may name the signer's socket.
  if (error instanceof WireError) return "No answer from the signer";
  return error instanceof RemoteError || error instanceof ServiceError ? error.message : undefined;
}
