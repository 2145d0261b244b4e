import { ServiceError } from "@redoubt/base";

/** Why a link refused a peer or could not start; stable. */
export type LinkErrorCode =
  | "ERR_CONFIG"
  | "ERR_LINK_FULL"
  | "ERR_LINK_HANDSHAKE"
  | "ERR_LINK_KEY"
  | "ERR_LINK_LINE"
  | "ERR_LINK_PAIR"
  | "ERR_LINK_PEER";

export function linkError(
  code: LinkErrorCode,
  message: string,
  options: ErrorOptions & { readonly fields?: Readonly<Record<string, unknown>> } = {},
): ServiceError<LinkErrorCode> {
  return new ServiceError(code, message, options);
}
