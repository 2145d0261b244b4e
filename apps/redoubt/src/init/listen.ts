import { isIP } from "node:net";
import { ServiceError } from "@redoubt/base";
import { checkCertificate } from "@redoubt/http";
import { fileArgument, type CommandContext } from "../command.ts";
import type { Listen } from "../up/configs.ts";

export interface ListenOptions {
  /** `<address>:<port>`, the first of four ports. */
  readonly listen?: string | undefined;
  readonly tlsCertificate?: string | undefined;
  readonly tlsKey?: string | undefined;
}

type Listener = Pick<Listen, "address" | "port">;

const MAX_PORT = 65_532;

/**
 * Where the world connects to, besides loopback.
 *
 * @throws ServiceError `ERR_OPTION`, `ERR_HTTP_CERTIFICATE`
 */
export function chooseListen(
  context: Pick<CommandContext, "typedIn">,
  listener: Listener | undefined,
  {
    tlsCertificate,
    tlsKey,
    hosts,
  }: Omit<ListenOptions, "listen"> & { readonly hosts: readonly string[] },
): Listen | null {
  const hasFiles = tlsCertificate !== undefined || tlsKey !== undefined;
  if (!listener && hasFiles) throw refused("--tls-certificate and --tls-key belong to --listen");
  if (!listener) return null;
  if (tlsCertificate === undefined || tlsKey === undefined)
    throw refused("--listen needs --tls-certificate and --tls-key: plain HTTP is for loopback");
  const tls = {
    certificate: fileArgument(context, tlsCertificate),
    key: fileArgument(context, tlsKey),
  };
  checkCertificate(tls, hosts);
  return { ...listener, tls };
}

/** @throws ServiceError `ERR_OPTION` */
export function readListen(text: string | undefined): Listener | undefined {
  if (text === undefined) return undefined;
  const [, bracketed, plain, digits = ""] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  const port = Number(digits);
  const family = bracketed === undefined ? 4 : 6;
  if (isIP(address) !== family || port < 1 || port > MAX_PORT)
    throw refused(
      `--listen ${text}: expected an IP address and a port, such as 0.0.0.0:443 or [::]:443`,
    );
  return { address, port };
}

function refused(message: string): ServiceError {
  return new ServiceError("ERR_OPTION", message);
}
