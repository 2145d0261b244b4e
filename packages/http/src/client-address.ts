import type { IncomingMessage } from "node:http";
import { BlockList, isIP, SocketAddress } from "node:net";

/** The proxies in front of a server, as its configuration declares them. */
export interface Proxies {
  /** IP addresses, or ranges of them in CIDR notation, from which proxies connect. */
  readonly addresses: readonly string[];
  /** How many of them a request passes: each adds the address that it saw at the right end of X-Forwarded-For. */
  readonly hops: number;
}

interface Range {
  readonly address: string;
  readonly bits: number;
  readonly family: "ipv4" | "ipv6";
}

// The longest is an IPv6 address that ends as IPv4, in brackets, with a port.
const MAX_ENTRY_LENGTH = 53;
const PORT = /:\d{1,5}$/;
const BRACKETED = /^\[([^\]]*)\](?::\d{1,5})?$/;
const MAPPED = "::ffff:";

/**
 * Says from which address a request came (THREAT-39). Nothing else is taken from forwarding headers: scheme and host are
 * the configuration's, and `Forwarded`, `X-Forwarded-Proto` and `X-Forwarded-Host` are read by nobody.
 */
export class ClientAddresses {
  readonly #hops: number;
  readonly #proxies: BlockList | undefined;

  /** @throws RangeError for an address that is none */
  constructor(proxies: Proxies | null) {
    this.#hops = proxies?.hops ?? 0;
    this.#proxies = proxies ? listOf(proxies.addresses) : undefined;
  }

  /**
   * The address that the outermost proxy saw, or the peer's where it is no declared proxy, or where its header is not
   * there once, whole and well-formed. What stands further left was written by the client, and is never looked at.
   */
  of({ socket, rawHeaders }: Pick<IncomingMessage, "rawHeaders"> & Peer): string {
    const peer = plain(socket.remoteAddress ?? "");
    if (!this.#isProxy(peer)) return peer;
    return this.#forwarded(rawHeaders) ?? peer;
  }

  #forwarded(rawHeaders: readonly string[]): string | undefined {
    const header = onlyForwardedFor(rawHeaders);
    if (header === undefined) return undefined;
    let end = header.length;
    for (let hop = 1; end >= 0; hop += 1) {
      const comma = header.lastIndexOf(",", end - 1);
      const address = parseEntry(header.slice(comma + 1, end));
      if (address === undefined || hop === this.#hops) return address;
      // Who came past an outer proxy is not believed either: that entry is a stranger's, and so is all to its left.
      if (!this.#isProxy(address)) return undefined;
      end = comma;
    }
    return undefined;
  }

  /** Whether a connection comes from a declared proxy. */
  isFromProxy({ remoteAddress }: Peer["socket"]): boolean {
    return this.#isProxy(plain(remoteAddress ?? ""));
  }

  #isProxy(address: string): boolean {
    return this.#proxies?.check(address, familyOf(address)) ?? false;
  }
}

interface Peer {
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** Whether a configuration may name it as a proxy: an IP address, or a range that is not everybody. */
export function isAddressRange(text: string): boolean {
  return parseRange(text) !== undefined;
}

/**
 * What counts as one place in the network: an IPv4 address, and the /64 of an IPv6 address, of which whoever has one has
 * 2^64 (RFC 4291 §2.5.1).
 *
 * @param address as `HttpRequest` gives it
 */
export function addressBlock(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const left = head.split(":").filter(Boolean);
  const right = tail?.split(":").filter(Boolean) ?? [];
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(zeros).fill("0"), ...right];
  return `${groups.slice(0, 4).join(":")}::/64`;
}

/** Undefined where there is none, or more than one: of two, nobody knows which the proxy wrote. */
function onlyForwardedFor(rawHeaders: readonly string[]): string | undefined {
  let found: string | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() !== "x-forwarded-for") continue;
    if (found !== undefined) return undefined;
    found = rawHeaders[at + 1];
  }
  return found;
}

function parseEntry(entry: string): string | undefined {
  const text = entry.trim();
  if (text.length > MAX_ENTRY_LENGTH) return undefined;
  const [, bracketed] = BRACKETED.exec(text) ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? canonical(bracketed) : undefined;
  if (isIP(text) !== 0) return canonical(text);
  const withoutPort = text.replace(PORT, "");
  return isIP(withoutPort) === 4 ? withoutPort : undefined;
}

/** One text for each address. A zone (`%eth0`) means something on its own machine only. */
function canonical(address: string): string | undefined {
  if (address.includes("%")) return undefined;
  return plain(new SocketAddress({ address, family: familyOf(address) }).address);
}

/** RFC 4291 §2.5.5.2: `::ffff:192.0.2.1` is 192.0.2.1, seen by a socket that takes both. */
function plain(address: string): string {
  return address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return address.includes(":") ? "ipv6" : "ipv4";
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of ranges) {
    const range = parseRange(text);
    if (!range) throw new RangeError("Not an IP address, nor a range of them");
    list.addSubnet(range.address, range.bits, range.family);
  }
  return list;
}

function parseRange(text: string): Range | undefined {
  const [given = "", prefix, more] = text.split("/");
  const version = isIP(given);
  const address = version === 0 ? undefined : canonical(given);
  if (address === undefined || more !== undefined) return undefined;
  const family = familyOf(address);
  // A mapped address has two ways to count its bits.
  if (version === 6 && family === "ipv4") return undefined;
  const all = family === "ipv4" ? 32 : 128;
  if (prefix === undefined) return { address, bits: all, family };
  const bits = /^[1-9]\d{0,2}$/.test(prefix) ? Number(prefix) : 0;
  return bits >= 1 && bits <= all ? { address, bits, family } : undefined;
}
