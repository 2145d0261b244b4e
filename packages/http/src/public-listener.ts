import { isIP } from "node:net";
import { configError, type MemberReader } from "@redoubt/base";
import type { CertificateFiles } from "./certificate.ts";
import { isAddressRange, type Proxies } from "./client-address.ts";
import { serveHttp, type HttpCounts, type HttpOptions } from "./server.ts";

/** Where a service that the world talks to listens, and who may speak for others there. */
export interface HttpPlaces {
  /** On loopback; 0 takes a free port. */
  readonly port: number;
  /** `null`: clients connect themselves. */
  readonly proxies: Proxies | null;
  /** Besides loopback; `null`: nowhere. */
  readonly public: PublicListener | null;
}

export interface PublicListener {
  /** Of one interface, or `0.0.0.0` or `::` for all. */
  readonly address: string;
  readonly port: number;
  /** `null`: plain HTTP, and then for the declared proxies alone. */
  readonly tls: CertificateFiles | null;
}

const MAX_PROXIES = 64;
const MAX_HOPS = 8;

/**
 * Reads the member `http` of a configuration.
 *
 * @throws ServiceError `ERR_CONFIG`, `ERR_REQUEST_MEMBER`
 */
export function readHttpPlaces(reader: MemberReader): HttpPlaces {
  const port = reader.integer("port", 0, 65_535);
  const proxies = reader.isNull("proxies") ? null : readProxies(reader.object("proxies"));
  const listener = reader.isNull("public") ? null : readListener(reader.object("public"));
  reader.done();
  if (listener?.tls === null && proxies === null)
    throw configError("config: http.public without tls needs proxies");
  return { port, proxies, public: listener };
}

// THREAT-39: who is named here may say where a request came from.
function readProxies(reader: MemberReader): Proxies {
  const addresses = reader.strings("addresses", MAX_PROXIES, 64);
  const hops = reader.integer("hops", 1, MAX_HOPS);
  reader.done();
  if (addresses.length === 0 || !addresses.every(isAddressRange))
    throw configError("config: http.proxies.addresses must be IP addresses or CIDR ranges of them");
  return { addresses, hops };
}

function readListener(reader: MemberReader): PublicListener {
  const address = reader.string("address", 45);
  if (isIP(address) === 0) throw configError("config: http.public.address must be an IP address");
  const port = reader.integer("port", 1, 65_535);
  const tls = reader.isNull("tls") ? null : readFiles(reader.object("tls"));
  reader.done();
  return { address, port, tls };
}

function readFiles(reader: MemberReader): CertificateFiles {
  const files = { certificate: reader.string("certificate"), key: reader.string("key") };
  reader.done();
  return files;
}

/** One handler at all the places where a service listens. */
export interface HttpListeners extends AsyncDisposable {
  /** On loopback. */
  readonly port: number;
  counts(): HttpCounts;
}

/**
 * Listens at every place. Each has limits of its own, so that strangers outside take no room from this machine's own
 * commands.
 */
export async function serveEverywhere(
  { port, proxies, public: listener }: HttpPlaces,
  options: Omit<HttpOptions, "port" | "address" | "tls" | "proxies" | "proxiesOnly">,
): Promise<HttpListeners> {
  await using stack = new AsyncDisposableStack();
  const { onExhausted } = options;
  let exhausted = 0;
  const everywhere: HttpOptions = {
    ...options,
    port,
    proxies,
    // Over when it is over at the last place.
    onExhausted: (isExhausted) => {
      exhausted += isExhausted ? 1 : -1;
      if (exhausted === (isExhausted ? 1 : 0)) onExhausted?.(isExhausted);
    },
  };
  const servers = [stack.use(await serveHttp(everywhere))];
  if (listener) {
    const { tls, ...place } = listener;
    const reach = tls ? { tls } : { proxiesOnly: true };
    servers.push(stack.use(await serveHttp({ ...everywhere, ...place, ...reach })));
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
