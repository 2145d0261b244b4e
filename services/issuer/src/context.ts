import { randomUUID } from "node:crypto";
import { join } from "node:path";
import {
  checkPrivateFolder,
  fileBytes,
  type Clock,
  type EventSink,
  type Sample,
  type Secret,
  type Service,
} from "@redoubt/base";
import {
  serveEverywhere,
  type HttpEvent,
  type HttpLimits,
  type HttpListeners,
} from "@redoubt/http";
import { hasMessages, openSqliteStore, type RegistryRepository } from "@redoubt/store";
import {
  processHandler,
  Deliveries,
  DeliveryJournal,
  readSocketSecret,
  samplesBy,
  samplesOf,
  serveSocket,
  SocketClient,
  socketPlace,
  type DeliveryLimits,
  type DeliveryOptions,
  type Handler,
  type IssuerStatus,
  type WireEvent,
} from "@redoubt/wire";
import { ClientAuthenticator } from "./client-auth.ts";
import type { IssuerConfig } from "./config.ts";
import { issuerEvents, type IssuerEvent, type IssuerEvents } from "./events.ts";
import { FailedAttempts } from "./failed-attempts.ts";
import type { FailureLimits } from "./failure-limiter.ts";
import { LoginPaths } from "./login/login-place.ts";
import { PeopleDoor } from "./login/people-door.ts";
import { SignerKeys } from "./login/signer-keys.ts";
import { operatorHandler } from "./operator.ts";
import { IssueBatches } from "./issue-batches.ts";
import { RealmRegistry } from "./realm-registry.ts";
import { SignatureTurns } from "./signature-turns.ts";
import { SignerPort } from "./signer-port.ts";
import { SignerWatch } from "./signer-watch.ts";
import { TokenEndpoint } from "./token-endpoint.ts";

export interface IssuerOptions {
  readonly config: IssuerConfig;
  /** This process's own folder. */
  readonly folder: string;
  /** Data folder, "" for the working directory. */
  readonly root: string;
  /** URL of the PostgreSQL in which the realm's people are; without one they are in a file of this folder. */
  readonly database?: Secret;
  readonly clock: Clock;
  readonly sink: EventSink<IssuerEvent | HttpEvent | WireEvent>;
  readonly httpLimits?: Partial<HttpLimits>;
  readonly failureLimits?: Partial<FailureLimits>;
  readonly deliveryLimits?: Partial<DeliveryLimits>;
  readonly watchIntervalMs?: number;
  readonly signerTimeoutMs?: number;
  readonly signerSilenceMs?: number;
}

export interface Issuer extends Service {
  readonly port: number;
  readonly ready: Promise<void>;
  metrics(): readonly Sample[];
}

const SIGNER_TIMEOUT_MS = 8000;
const SIGNER_SILENCE_MS = 2000;
const SIGNER_CONNECT_MS = 1000;
const MONITOR_TIMEOUT_MS = 5000;
const LEDGER_TIMEOUT_MS = 15_000;
const WATCH_INTERVAL_MS = 1000;

const BACKUP_FILE = "backup.sqlite";
const PEOPLE_FILE = "people.sqlite";

/** Wires one realm's issuer; what it owns is given up in the reverse order, deliveries after the last token. */
export async function openIssuer(options: IssuerOptions): Promise<Issuer> {
  const { config, folder, clock, sink } = options;
  // THREAT-32.
  checkPrivateFolder(folder);
  await using stack = new AsyncDisposableStack();
  const events = issuerEvents(sink);
  const path = join(folder, "store.sqlite");
  const store = stack.use(openSqliteStore({ path, realm: config.realm, clock }));
  const journal = new DeliveryJournal({ path: join(folder, "deliveries.journal"), events });
  const deliveries = openDeliveries(options, { events, journal: stack.use(journal) }, stack);
  const registry = openRegistry(options, { events, store: store.registry }, stack, () => {
    signer.watch?.askNow();
  });
  const signer: { watch?: SignerWatch } = {};
  const { port, watch, keys } = openSigner(options, { events, deliveries, registry }, stack);
  signer.watch = watch;
  const authenticator = new ClientAuthenticator({
    registry,
    replay: store.replay,
    failed: new FailedAttempts({
      clock,
      events,
      alarm: (detail) => deliveries.tell("guessing", detail),
      ...(options.failureLimits ? { limits: options.failureLimits } : {}),
    }),
    turns: new SignatureTurns(clock),
    clock,
    issuerOf: (tenant) => config.issuer.replace("{tenantid}", tenant),
    tokenEndpointOf: (tenant) => config.tokenEndpoint.replace("{tenantid}", tenant),
  });
  const people = openDoor(options, { events, registry, authenticator, port, watch, keys }, stack);
  const endpoint = new TokenEndpoint({
    tokenEndpoint: config.tokenEndpoint,
    tenant: config.tenant,
    registry,
    authenticator,
    signer: port,
    events,
    people,
  });
  const parts = { config, registry, deliveries, port, watch, endpoint };
  const http: { server?: HttpListeners } = {};
  const status = (): IssuerStatus => statusOf(parts, http.server);
  const backup = async (): Promise<string> => {
    await store.backup(join(folder, BACKUP_FILE));
    return BACKUP_FILE;
  };
  const metrics = (): readonly Sample[] => [
    ...metricsOf(status(), endpoint),
    ...samplesOf({ redoubt_sqlite_wal_bytes: fileBytes(`${path}-wal`) }),
  ];
  const operator = operatorHandler({
    registry: store.registry,
    status,
    backup,
    people: people?.routes ?? [],
  });
  await serveOperator(options, processHandler({ status, metrics }, operator), stack);
  const server = stack.use(
    await serveEverywhere(config.http, {
      handler: people
        ? (request) => (people.takes(request) ? people.answer(request) : endpoint.handle(request))
        : (request) => endpoint.handle(request),
      sink,
      ready: () => watch.isReady && registry.problem === undefined,
      // THREAT-36: every place for a connection is taken, and others cannot come in. Told again when it is over.
      onExhausted: (isExhausted) => deliveries.tell("connections-full", config.realm, !isExhausted),
      ...(options.httpLimits ? { limits: options.httpLimits } : {}),
    }),
  );
  http.server = server;
  const owned = stack.move();
  return {
    port: server.port,
    ready: Promise.all([watch.ready, registry.ready]).then(() => undefined),
    status,
    metrics,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface PeopleSurroundings extends SignerSide {
  readonly events: IssuerEvents;
  readonly registry: RealmRegistry;
  readonly authenticator: ClientAuthenticator;
}

/** Undefined where no people sign in. */
function openDoor(
  options: IssuerOptions,
  { port: signer, ...parts }: PeopleSurroundings,
  stack: AsyncDisposableStack,
): PeopleDoor | undefined {
  const { config, folder, clock, database } = options;
  const { people } = config;
  if (!people) return undefined;
  const path = join(folder, PEOPLE_FILE);
  const place = database ? { url: database.reveal() } : { path };
  const { loginOrigin } = people;
  return stack.use(
    new PeopleDoor({
      paths: new LoginPaths({ ...config, loginOrigin }),
      // Of a database that others share it would have to be asked over the network.
      hasMessages: () => database !== undefined || hasMessages(path),
      failed: (code) => parts.events.peopleFailed(code),
      open: async (owned) => {
        const { openPeopleStore } = await import("@redoubt/store/people");
        const { openPeople } = await import("./login/open-people.ts");
        const { openActingKey } = await import("./login/approvals/acting-key.ts");
        const store = owned.use(await openPeopleStore(place, { realm: config.realm, clock }));
        const dpopSecret = await store.secret("dpop");
        const given = {
          ...config,
          ...parts,
          config: people,
          folder,
          store,
          signer,
          clock,
          dpopSecret,
          actingKey:
            people.presence === undefined ? undefined : openActingKey(folder, config.realm),
        };
        return openPeople(given, owned);
      },
    }),
  );
}

function openRegistry(
  { root, config, clock }: IssuerOptions,
  parts: { readonly events: IssuerEvents; readonly store: RegistryRepository },
  stack: AsyncDisposableStack,
  onNews: () => void,
): RealmRegistry {
  const { realm, operator } = config;
  const { log, vkey: logKey } = config.registry;
  const place = socketPlace(root, "ledger", `issuer-${realm}`);
  const client = new SocketClient({
    path: place.path,
    secret: readSocketSecret(place),
    timeoutMs: LEDGER_TIMEOUT_MS,
  });
  const registry = stack.use(
    new RealmRegistry({ ...parts, realm, client, log, logKey, operator, clock, onNews }),
  );
  // Closed before the registry, whose last request ends with the connection.
  stack.use(client);
  return registry;
}

function openDeliveries(
  { root, config, deliveryLimits = {} }: IssuerOptions,
  parts: Pick<DeliveryOptions, "events" | "journal">,
  stack: AsyncDisposableStack,
): Deliveries {
  const place = socketPlace(root, "monitor", `issuer-${config.realm}`);
  const client = stack.use(
    new SocketClient({
      path: place.path,
      secret: readSocketSecret(place),
      timeoutMs: MONITOR_TIMEOUT_MS,
      connectTimeoutMs: MONITOR_TIMEOUT_MS,
    }),
  );
  const { replica } = config;
  return stack.use(new Deliveries({ client, ...parts, replica, limits: deliveryLimits }));
}

interface SignerParts {
  readonly events: IssuerEvents;
  readonly deliveries: Deliveries;
  readonly registry: RealmRegistry;
}

interface SignerSide {
  readonly port: SignerPort;
  readonly watch: SignerWatch;
  readonly keys: SignerKeys;
}

function openSigner(
  { root, config, ...options }: IssuerOptions,
  { events, deliveries, registry }: SignerParts,
  stack: AsyncDisposableStack,
): SignerSide {
  const { realm, maxTtlSeconds: ttlSeconds } = config;
  const place = socketPlace(root, `signer-${realm}`, "issuer");
  const client = stack.use(
    new SocketClient({
      path: place.path,
      secret: readSocketSecret(place),
      timeoutMs: options.signerTimeoutMs ?? SIGNER_TIMEOUT_MS,
      connectTimeoutMs: SIGNER_CONNECT_MS,
      onClose: () => port.connectionEnded(),
    }),
  );
  const keys = new SignerKeys({ client, failed: (code) => events.signerKeysFailed(code) });
  const port = new SignerPort({
    client,
    batches: new IssueBatches(client),
    realm,
    ttlSeconds,
    events,
    deliveries,
  });
  const intervalMs = options.watchIntervalMs ?? WATCH_INTERVAL_MS;
  const watch = stack.use(
    new SignerWatch({
      client,
      realm,
      ttlSeconds,
      events,
      intervalMs,
      silenceMs: options.signerSilenceMs ?? SIGNER_SILENCE_MS,
      onSilent: () => port.signerSilent(),
      onHeard: () => port.signerHeard(),
      onRegistryRead: (reading) => {
        registry.signerRead(reading);
        if (config.people) keys.signerRead(reading);
      },
      isBehind: () => registry.isAheadOfSigner,
    }),
  );
  return { port, watch, keys };
}

async function serveOperator(
  { config, root, sink }: IssuerOptions,
  handler: Handler,
  stack: AsyncDisposableStack,
): Promise<void> {
  const service = `issuer-${config.realm}`;
  const instance = randomUUID();
  for (const caller of config.callers) {
    const place = socketPlace(root, service, caller);
    const secret = readSocketSecret(place);
    const socket = { path: place.path, caller, secret, service, instance, handler, sink };
    stack.use(await serveSocket({ ...socket, maxFrameBytes: 262_144, maxConnections: 8 }));
  }
}

interface StatusParts {
  readonly config: IssuerConfig;
  readonly registry: RealmRegistry;
  readonly deliveries: Deliveries;
  readonly port: SignerPort;
  readonly watch: SignerWatch;
  readonly endpoint: TokenEndpoint;
}

function statusOf(
  { config, registry, deliveries, port, watch, endpoint }: StatusParts,
  server: HttpListeners | undefined,
): IssuerStatus {
  const reason = watch.reason ?? registry.problem;
  return {
    realm: config.realm,
    ready: watch.isReady && reason === undefined,
    ...(reason !== undefined && { reason }),
    ...registry.counts(),
    registrySize: registry.size,
    ...labelsOf(config, registry),
    tokens: { ...endpoint.counts(), underWay: port.underWay },
    deliveries: deliveries.counts(),
    ...(server ? { http: server.counts() } : {}),
  };
}

function labelsOf(
  config: IssuerConfig,
  { hasEnrolment }: Pick<RealmRegistry, "hasEnrolment">,
): Pick<IssuerStatus, "labels"> {
  const labels = [
    ...(isOnePasskeyEnough(config) ? ["people: one passkey is enough"] : []),
    // M6: until somebody can approve, the operator's key is all that a pass takes.
    ...(config.people && config.tenant === null && !hasEnrolment
      ? ["approvals: none enrolled, the operator alone issues passes"]
      : []),
  ];
  return labels.length > 0 ? { labels } : {};
}

/** M5: in an organisation nobody must lose an account with one device. Consumers have recovery codes. */
function isOnePasskeyEnough({ tenant, people }: IssuerConfig): boolean {
  return tenant === null && people?.passkeysRequired === 1;
}

/** The issuer's numbers: those of its status, and what its token endpoint counted. */
function metricsOf(
  { registrySize, tokens, deliveries, http }: IssuerStatus,
  endpoint: Pick<TokenEndpoint, "refused" | "seconds">,
): readonly Sample[] {
  return [
    ...samplesOf({
      redoubt_registry_entries_read: registrySize,
      redoubt_tokens_issued_total: tokens.issued,
      redoubt_tokens_under_way: tokens.underWay,
      redoubt_deliveries_waiting: deliveries.waiting,
      redoubt_deliveries_unknown: deliveries.lost,
      redoubt_http_connections: http && http.unproven + http.named,
      redoubt_http_connections_evicted_total: http?.evicted,
    }),
    ...samplesBy("redoubt_tokens_refused_total", endpoint.refused),
    { name: "redoubt_token_issuance_seconds", ...endpoint.seconds.read() },
  ];
}
