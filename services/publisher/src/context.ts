import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { checkPrivateFolder, type Clock, type EventSink, type Service } from "@redoubt/base";
import { serveEverywhere, type HttpEvent, type HttpLimits } from "@redoubt/http";
import { readSocketSecret, samplesOf, SocketClient, socketPlace } from "@redoubt/wire";
import { AttestationReader } from "./attestation-reader.ts";
import type { PublisherConfig } from "./config.ts";
import { publisherEvents, type PublisherEvent } from "./events.ts";
import { FileCache } from "./file-cache.ts";
import { Follower } from "./follower.ts";
import { PublishedLogs } from "./published-logs.ts";
import { Web } from "./web.ts";
import { Www } from "./www.ts";

export interface PublisherOptions {
  readonly config: PublisherConfig;
  /** This process's own folder. */
  readonly folder: string;
  /** Data folder, "" for the working directory. */
  readonly root: string;
  readonly clock: Clock;
  readonly sink: EventSink<PublisherEvent | HttpEvent>;
  readonly httpLimits?: Partial<HttpLimits>;
  readonly cacheBytes?: number;
  readonly attestationBytes?: number;
  readonly retryMs?: number;
  readonly tickMs?: number;
}

export interface Publisher extends Service {
  readonly port: number;
  readonly ready: Promise<void>;
}

const CACHE_BYTES = 16 * 1024 * 1024;
const LEDGER_TIMEOUT_MS = 15_000;

/** Wires the publisher. It holds no key and no socket but the ledger's: it can withhold and freeze, no more. */
export async function openPublisher(options: PublisherOptions): Promise<Publisher> {
  const { config, folder, root, clock, sink } = options;
  // THREAT-32.
  checkPrivateFolder(folder);
  await using stack = new AsyncDisposableStack();
  const events = publisherEvents(sink);
  const wwwFolder = join(folder, "www");
  mkdirSync(wwwFolder, { recursive: true });
  const cache = new FileCache(options.cacheBytes ?? CACHE_BYTES);
  const www = new Www(wwwFolder, cache, events);
  const place = socketPlace(root, "ledger", "publisher");
  const secret = readSocketSecret(place);
  const connect = () =>
    new SocketClient({ path: place.path, secret, timeoutMs: LEDGER_TIMEOUT_MS });
  const { retryMs = 1000, tickMs = 5000, attestationBytes: maxBytes } = options;
  const attestations = new AttestationReader({
    client: connect(),
    clock,
    events,
    ...(maxBytes !== undefined && { maxBytes }),
  });
  const follower = stack.use(
    new Follower({ config, client: connect(), attestations, www, clock, events, retryMs, tickMs }),
  );
  const web = new Web(www, new PublishedLogs(join(root, config.publishedFolder), cache, events));
  const server = stack.use(
    await serveEverywhere(config.http, {
      handler: (request) => web.handle(request),
      sink,
      ready: () => follower.isFresh,
      ...(options.httpLimits ? { limits: options.httpLimits } : {}),
    }),
  );
  const owned = stack.move();
  return {
    port: server.port,
    ready: follower.ready,
    status: () => ({ ...follower.status(), cachedBytes: cache.bytes, http: server.counts() }),
    metrics: () => {
      const { registrySize, fresh } = follower.status();
      const { unproven, named, evicted } = server.counts();
      return samplesOf({
        redoubt_registry_entries_read: registrySize,
        redoubt_publisher_fresh: fresh ? 1 : 0,
        redoubt_http_connections: unproven + named,
        redoubt_http_connections_evicted_total: evicted,
      });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
