import { connect } from "node:net";
import {
  encodeFrame,
  FRAME_KIND,
  FrameReader,
  RemoteError,
  type SocketPlace,
  readSocketSecret,
} from "@redoubt/wire";

const TIMEOUT_MS = 3000;

/**
 * Sends one request whose head is exactly `text`, which a client that parses or serialises could not send.
 *
 * @throws RemoteError with the code of the other side's error frame
 */
export function sendRawHead(place: SocketPlace, text: string): Promise<void> {
  const secret = readSocketSecret(place).reveal();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ path: place.path });
  const reader = new FrameReader();
  socket.setTimeout(TIMEOUT_MS, () => reject(new RemoteError("ERR_TIMEOUT", "No answer")));
  socket.on("connect", () => {
    socket.write(encodeFrame(FRAME_KIND.request, 1, { op: "hello", v: 1, secret }));
    socket.write(rawRequest(2, text));
  });
  socket.on("data", (chunk: Buffer) => {
    for (const { kind, id, head } of reader.push(chunk)) {
      if (kind === FRAME_KIND.error)
        reject(
          new RemoteError(
            typeof head["code"] === "string" ? head["code"] : "ERR_INTERNAL",
            "Refused by the other side",
          ),
        );
      else if (id === 2) resolve();
    }
  });
  socket.on("error", reject);
  socket.on("close", () => reject(new RemoteError("ERR_CLOSED", "Connection was closed")));
  return promise.finally(() => socket.destroy());
}

function rawRequest(id: number, text: string): Buffer {
  const head = Buffer.from(text, "utf8");
  const frame = Buffer.alloc(13 + head.length);
  frame.writeUInt32BE(9 + head.length, 0);
  frame.writeUInt8(FRAME_KIND.request, 4);
  frame.writeUInt32BE(id, 5);
  frame.writeUInt32BE(head.length, 9);
  head.copy(frame, 13);
  return frame;
}
