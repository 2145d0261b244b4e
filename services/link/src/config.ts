import { isIP } from "node:net";
import { configError, ConfigReader, isJsonObject, MemberReader, SHA256 } from "@redoubt/base";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import { samePair, SOCKET_NAME, type Pair } from "./first-line.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The link of another machine. */
export interface Peer {
  readonly name: string;
  /** Each is enough; a second one is for the time in which the peer changes its key. */
  readonly pins: readonly string[];
  /** Where it listens; without one it is never dialled. */
  readonly address?: Address;
  /** What it may reach on this machine, and nothing else. */
  readonly services: readonly Pair[];
}

/** A socket of this machine whose service is on the peer's. */
export interface Connect extends Pair {
  readonly peer: Peer & { readonly address: Address };
}

export interface LinkConfig {
  /** Name of the key and of its certificate: `<identity>.key` and `<identity>.pem` in the link's folder. */
  readonly identity: string;
  /** null, said aloud: nobody connects to this link. */
  readonly listen: Address | null;
  readonly peers: readonly Peer[];
  readonly connect: readonly Connect[];
}

const IDENTITY_NAME: RegExp = /^[a-z0-9][a-z0-9-]{0,31}$/;
const HOST_NAME =
  /^(?=.{1,253}$)[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*$/;
const MAX_PEERS = 64;
const MAX_PINS = 4;
const MAX_PAIRS = 64;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(json: JsonObject | Uint8Array): LinkConfig {
  const config = new ConfigReader(json, "config");
  const identity = config.attempt((from) => from.string("identity", 32, IDENTITY_NAME));
  const listen = config.attempt((from) =>
    from.isNull("listen") ? null : readAddress(from.object("listen"), 0),
  );
  const peers = eachOf(config, "peers", MAX_PEERS, readPeer);
  const connect = eachOf(config, "connect", MAX_PAIRS, (from) => readConnect(from, peers));
  config.attempt(() => checkPins(peers));
  config.attempt(() => checkPairs(peers, connect));
  if (listen === null) config.attempt(() => checkNobodyComes(peers));
  return config.finish<LinkConfig>({ identity, listen, peers, connect });
}

/** Those that could be read: one that could not is a problem of its own. */
function eachOf<T>(
  config: ConfigReader,
  name: string,
  max: number,
  read: (from: MemberReader) => T,
): readonly T[] {
  const items = config.attempt((from) => from.array(name, max)) ?? [];
  return items.flatMap((item, index) => {
    const found = config.attempt(() => {
      const from = readerOf(item, `config ${name} ${index}`);
      const value = read(from);
      from.done();
      return value;
    });
    return found === undefined ? [] : [found];
  });
}

function readPeer(from: MemberReader): Peer {
  const name = from.string("name", 64, SOCKET_NAME);
  const pins = from.strings("pins", MAX_PINS, 43);
  if (pins.length === 0 || !pins.every((pin) => SHA256.test(pin)))
    throw configError(
      `config: peer ${name} must have 1 to ${MAX_PINS} pins, as redoubt link init prints them`,
    );
  const address = from.has("address") ? readAddress(from.object("address"), 1) : undefined;
  const services = from.array("services", MAX_PAIRS).map((item, index) => {
    const pairReader = readerOf(item, `config peer ${name} services ${index}`);
    const pair = readPair(pairReader);
    pairReader.done();
    return pair;
  });
  return { name, pins, services, ...(address && { address }) };
}

function readConnect(from: MemberReader, peers: readonly Peer[]): Connect {
  const pair = readPair(from);
  const name = from.string("peer", 64, SOCKET_NAME);
  const peer = peers.find((known) => known.name === name);
  if (!peer?.address)
    throw configError(`config: connect names ${name}, which is no peer with an address`);
  return { ...pair, peer: { ...peer, address: peer.address } };
}

function readPair(from: MemberReader): Pair {
  return {
    service: from.string("service", 64, SOCKET_NAME),
    caller: from.string("caller", 64, SOCKET_NAME),
  };
}

function readAddress(from: MemberReader, minPort: number): Address {
  const host = from.string("host", 253);
  if (isIP(host) === 0 && !HOST_NAME.test(host))
    throw configError("config: a host must be an IP address or a host name");
  const port = from.integer("port", minPort, 65_535);
  from.done();
  return { host, port };
}

function readerOf(item: JsonValue, what: string): MemberReader {
  if (!isJsonObject(item)) throw configError(`${what}: must be an object`);
  return new MemberReader(item, what);
}

// Of two peers with one pin, or one name, it could not be said which of them is there.
function checkPins(peers: readonly Peer[]): void {
  const names = peers.map(({ name }) => name);
  const pins = peers.flatMap((peer) => peer.pins);
  if (new Set(names).size !== names.length) throw configError("config: two peers have one name");
  if (new Set(pins).size !== pins.length) throw configError("config: a pin is there twice");
}

// A socket that this link listens at is another machine's service. Serving it would hand one peer on to the next.
function checkPairs(peers: readonly Peer[], connect: readonly Connect[]): void {
  const served = peers.flatMap((peer) => peer.services);
  connect.forEach((pair, index) => {
    const what = `${pair.service} for ${pair.caller}`;
    if (connect.findIndex((other) => samePair(other, pair)) !== index)
      throw configError(`config: connect has ${what} twice`);
    if (served.some((other) => samePair(other, pair)))
      throw configError(`config: ${what} is in connect, and so cannot be served to a peer`);
  });
}

function checkNobodyComes(peers: readonly Peer[]): void {
  const peer = peers.find(({ services }) => services.length > 0);
  if (peer) throw configError(`config: listen is null, so that ${peer.name} cannot have services`);
}
