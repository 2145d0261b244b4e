import { randomUUID } from "node:crypto";
import { join } from "node:path";
import {
  checkPrivateFolder,
  nowSeconds,
  ServiceError,
  type Clock,
  type EventSink,
  type Service,
} from "@redoubt/base";
import { openKeyFile } from "@redoubt/custody";
import type { AppraisalOptions } from "@redoubt/evidence";
import { createVerifierKey, ed25519Signer, SIGNATURE_TYPE } from "@redoubt/tlog";
import {
  askWitness,
  BROKER,
  type Handler,
  readSocketSecret,
  type Requester,
  route,
  routesByName,
  routeWithBytes,
  serveSocket,
  SocketClient,
  socketPlace,
  type WireEvent,
} from "@redoubt/wire";
import { BrokerState } from "./broker-state.ts";
import type { BrokerConfig } from "./config.ts";
import { brokerEvents, type BrokerEvent } from "./events.ts";
import { GrantLogWriter } from "./grant-log.ts";
import { Granting } from "./granting.ts";
import { BROKER_FILES, logFiles } from "./initialise.ts";
import { Nonces } from "./nonces.ts";

export interface BrokerOptions {
  readonly config: BrokerConfig;
  /** This process's own folder. */
  readonly folder: string;
  /** Data folder, "" for the working directory. */
  readonly root: string;
  readonly service: string;
  readonly clock: Clock;
  readonly sink: EventSink<BrokerEvent | WireEvent>;
  /** Replaced by tests; default: the ledger and the monitor at their places. */
  readonly ledger?: Requester;
  readonly monitor?: Requester;
  readonly roots?: AppraisalOptions["roots"];
}

/** Wires the broker: it holds no key that signs tokens, and can only say who may use one. */
export async function openBroker(options: BrokerOptions): Promise<Service> {
  const { config, folder, root, service, clock, sink } = options;
  // THREAT-32.
  checkPrivateFolder(folder);
  await using stack = new AsyncDisposableStack();
  const ledger = options.ledger ?? stack.use(peer(root, service, "ledger"));
  const monitor = options.monitor ?? stack.use(peer(root, service, "monitor"));
  const state = new BrokerState(join(folder, BROKER_FILES.state), config.log.origin);
  const keys = writerOf(folder, config.log.origin);
  const log = new GrantLogWriter({
    ...config.log,
    ...keys,
    client: ledger,
    pendingFile: join(folder, logFiles(config.log.origin).pending),
    known: () => state.value.tree,
  });
  const nonces = new Nonces(clock, config.nonceSeconds);
  const granting = new Granting({
    ...config,
    folder,
    clock,
    nonces,
    state,
    log,
    writer: keys.writer,
    ownLog: config.log.origin,
    witnessed: (origin) => askWitness(monitor, origin, config.witness),
    events: brokerEvents(sink),
    ...(options.roots && { roots: options.roots }),
  });
  const handler = brokerHandler({ clock, nonces, granting, validSeconds: config.nonceSeconds });
  for (const { signer } of config.realms) {
    const place = socketPlace(root, service, signer);
    const secret = readSocketSecret(place);
    const { path } = place;
    stack.use(
      // oxlint-disable-next-line no-await-in-loop -- a few sockets, in order
      await serveSocket({
        path,
        secret,
        caller: signer,
        service,
        instance: randomUUID(),
        handler,
        sink,
      }),
    );
  }
  const owned = stack.move();
  return {
    status: () => ({ realms: config.realms.map(({ realm }) => realm), grants: log.size ?? null }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function peer(root: string, service: string, name: string): SocketClient {
  const place = socketPlace(root, name, service);
  return new SocketClient({ path: place.path, secret: readSocketSecret(place) });
}

function writerOf(folder: string, origin: string) {
  const { privateKey, publicKey } = openKeyFile(join(folder, logFiles(origin).writer));
  const name = `${origin}/writer`;
  return {
    writer: ed25519Signer(name, privateKey),
    writerKey: createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey }),
  };
}

function brokerHandler({
  clock,
  nonces,
  granting,
  validSeconds,
}: {
  readonly clock: Clock;
  readonly nonces: Nonces;
  readonly granting: Granting;
  readonly validSeconds: number;
}): Handler {
  const routes = routesByName([
    route(BROKER.nonce, (_, { caller }) => ({
      nonce: nonces.give(caller),
      time: nowSeconds(clock),
      validSeconds,
    })),
    routeWithBytes(BROKER.grant, async (request, { caller, attachment }) => {
      const { sealed, ...answer } = await granting.grant(caller, request, attachment);
      return { answer, attachment: sealed };
    }),
  ]);
  return (call) => {
    const found = routes.get(call.op);
    if (!found) throw new ServiceError("ERR_BROKER_OP", "Broker: unknown operation");
    return found.handle(call);
  };
}
