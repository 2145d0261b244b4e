import type { Socket } from "node:net";
import { linkError } from "./errors.ts";

/** Which socket of a machine: the service, and whose place it is (docs/spec/wire.md §1). */
export interface Pair {
  readonly service: string;
  readonly caller: string;
}

/** A name in a socket's path, as packages/wire takes it. */
export const SOCKET_NAME: RegExp = /^[a-z][a-z0-9-]{0,63}$/;

const VERSION = "redoubt-link/1";
const NEWLINE = 0x0a;
/** With its newline: version and two names of 64 characters. */
const MAX_LINE_BYTES = VERSION.length + 2 * 65 + 1;

export function samePair(a: Pair, b: Pair): boolean {
  return a.service === b.service && a.caller === b.caller;
}

export function encodeFirstLine({ service, caller }: Pair): string {
  return `${VERSION} ${service} ${caller}\n`;
}

/**
 * What the dialling link says first. What came after the line stays in the socket, which is paused.
 *
 * @throws ServiceError `ERR_LINK_LINE` if it is not there in time, is longer than any, or is none
 */
export async function readFirstLine(socket: Socket, timeoutMs: number): Promise<Pair> {
  const [version, service = "", caller = "", ...more] = (await takeLine(socket, timeoutMs)).split(
    " ",
  );
  const isPair = SOCKET_NAME.test(service) && SOCKET_NAME.test(caller);
  if (version !== VERSION || !isPair || more.length > 0)
    throw linkError("ERR_LINK_LINE", "First line is none of a link");
  return { service, caller };
}

/** THREAT-26: at most `MAX_LINE_BYTES` are kept while the line is not whole, and not for longer than `timeoutMs`. */
function takeLine(socket: Socket, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let read = Buffer.alloc(0);
    const refuse = (why: string): void => {
      stop();
      reject(linkError("ERR_LINK_LINE", why));
    };
    const onData = (chunk: Buffer): void => {
      read = Buffer.concat([read, chunk]);
      const end = read.subarray(0, MAX_LINE_BYTES).indexOf(NEWLINE);
      if (end < 0) {
        if (read.length >= MAX_LINE_BYTES) refuse("First line is too long");
        return;
      }
      stop();
      if (end + 1 < read.length) socket.unshift(read.subarray(end + 1));
      resolve(read.toString("latin1", 0, end));
    };
    const onEnd = (): void => refuse("Connection ended before the first line");
    const timer = setTimeout(() => refuse("No first line in time"), timeoutMs);
    const stop = (): void => {
      clearTimeout(timer);
      socket.pause();
      socket.off("data", onData).off("end", onEnd).off("close", onEnd);
    };
    socket.on("data", onData).on("end", onEnd).on("close", onEnd);
    if (socket.destroyed) onEnd();
  });
}
