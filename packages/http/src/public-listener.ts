import { isIP } from "node:net";
import { configError, type MemberReader } from "@redoubt/base";
import type { CertificateFiles } from "./certificate.ts";
import { serveHttp, type HttpCounts, type HttpOptions } from "./server.ts";

/** Where a service listens besides loopback. */
export interface PublicListener {
  /** Of one interface, or `0.0.0.0` or `::` for all. */
  readonly address: string;
  readonly port: number;
  /** `null`: plain HTTP, which is for declared proxies alone. */
  readonly tls: CertificateFiles | null;
}

/**
 * Reads the member `public`: `null` for a service on loopback alone.
 *
 * @throws ServiceError `ERR_CONFIG`, `ERR_REQUEST_MEMBER`
 */
export function readPublicListener(from: MemberReader): PublicListener | null {
  if (from.isNull("public")) return null;
  const reader = from.object("public");
  const address = reader.string("address", 45);
  if (isIP(address) === 0) throw configError("config: public.address must be an IP address");
  const port = reader.integer("port", 1, 65_535);
  const tls = readFiles(reader.object("tls"));
  reader.done();
  return { address, port, tls };
}

function readFiles(reader: MemberReader): CertificateFiles {
  const files = { certificate: reader.string("certificate"), key: reader.string("key") };
  reader.done();
  return files;
}

/** Where no proxy is declared. */
export const NO_PROXY = (): boolean => false;

/** One handler at all the places where a service listens. */
export interface HttpListeners extends AsyncDisposable {
  /** On loopback. */
  readonly port: number;
  counts(): HttpCounts;
}

/**
 * Listens on loopback, and where `listener` says so. Each place has limits of its own, so that strangers outside take
 * no room from this machine's own commands.
 *
 * @param isProxy who may connect where the listener is without TLS
 */
export async function serveEverywhere(
  options: HttpOptions,
  listener: PublicListener | null,
  isProxy: (address: string) => boolean,
): Promise<HttpListeners> {
  await using stack = new AsyncDisposableStack();
  const { onExhausted } = options;
  let exhausted = 0;
  const everywhere: HttpOptions = {
    ...options,
    // Over when it is over at the last place.
    onExhausted: (isExhausted) => {
      exhausted += isExhausted ? 1 : -1;
      if (exhausted === (isExhausted ? 1 : 0)) onExhausted?.(isExhausted);
    },
  };
  const servers = [stack.use(await serveHttp(everywhere))];
  if (listener) {
    const { address, port, tls } = listener;
    const place = tls ? { tls } : { accepts: isProxy };
    servers.push(stack.use(await serveHttp({ ...everywhere, ...place, address, port })));
  }
  const owned = stack.move();
  return {
    port: servers[0]?.port ?? 0,
    counts: () => servers.map((server) => server.counts()).reduce(sum),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function sum(a: HttpCounts, b: HttpCounts): HttpCounts {
  return {
    requests: a.requests + b.requests,
    inFlight: a.inFlight + b.inFlight,
    unproven: a.unproven + b.unproven,
    named: a.named + b.named,
    evicted: a.evicted + b.evicted,
  };
}
