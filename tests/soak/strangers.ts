import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** What waits to be accepted is bounded (`listen` backlog): past it a connection would wait for its second SYN. */
const AT_ONCE = 128;

/** Opens connections that say `text` and nothing more; what it returns closes those that are still there. */
export async function openStrangers(
  port: number,
  count: number,
  text: string,
): Promise<() => void> {
  const sockets: Socket[] = [];
  let connected = 0;
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () => {
      const socket = connect({ host: "127.0.0.1", port });
      // The server ends the silent ones, and newcomers replace them: that is its answer, not a failure of this.
      socket.on("error", () => undefined);
      socket.resume();
      socket.once("connect", () => (connected += 1));
      if (text !== "") socket.write(text);
      return socket;
    });
    sockets.push(...some);
    await Promise.race([
      Promise.allSettled(some.map((socket) => once(socket, "connect"))),
      pause(2000),
    ]);
  }
  // A crowd that never came would be a round in which nothing was tried.
  if (connected < count / 2) throw new Error(`Only ${connected} of ${count} connections opened`);
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}
