import { isIP } from "node:net";
import { checkCertificate, isAddressRange, type Proxies } from "@redoubt/http";
import { fileArgument, optionError, type CommandContext } from "../command.ts";
import type { Listen } from "../up/configs.ts";

export interface ListenOptions {
  /** `<address>:<port>`, the first of six ports. */
  readonly listen?: string | undefined;
  readonly tlsCertificate?: string | undefined;
  readonly tlsKey?: string | undefined;
}

export interface ProxyOptions {
  /** Addresses, or ranges of them, from which proxies connect. */
  readonly proxy?: readonly string[] | undefined;
  /** How many of them a request passes; default 1. */
  readonly hops?: number | undefined;
}

/** @throws ServiceError `ERR_OPTION` */
export function chooseProxies({ proxy, hops }: ProxyOptions): Proxies | null {
  if (proxy === undefined) {
    if (hops !== undefined) throw optionError("--hops belongs to --proxy");
    return null;
  }
  const wrong = proxy.find((address) => !isAddressRange(address));
  if (wrong !== undefined)
    throw optionError(`--proxy ${wrong}: expected an IP address, or a range such as 10.0.0.0/28`);
  return { addresses: proxy, hops: hops ?? 1 };
}

interface TlsChoices extends Omit<ListenOptions, "listen"> {
  /** Names that the certificate must be good for. */
  readonly hosts: readonly string[];
  readonly proxies: Proxies | null;
}

type Listener = Pick<Listen, "address" | "port">;

const MAX_PORT = 65_530;

/**
 * Where the world connects to, besides loopback.
 *
 * @throws ServiceError `ERR_OPTION`, `ERR_HTTP_CERTIFICATE`
 */
export function chooseListen(
  context: Pick<CommandContext, "typedIn">,
  listener: Listener | undefined,
  { tlsCertificate, tlsKey, hosts, proxies }: TlsChoices,
): Listen | null {
  const hasFiles = tlsCertificate !== undefined || tlsKey !== undefined;
  if (!listener && hasFiles)
    throw optionError("--tls-certificate and --tls-key belong to --listen");
  if (!listener) return null;
  if (!hasFiles && proxies) return { ...listener, tls: null };
  if (tlsCertificate === undefined || tlsKey === undefined)
    throw optionError(
      "--listen needs --tls-certificate and --tls-key, or --proxy: plain HTTP is for loopback and declared proxies",
    );
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
    throw optionError(
      `--listen ${text}: expected an IP address and a port, such as 0.0.0.0:443 or [::]:443`,
    );
  return { address, port };
}
