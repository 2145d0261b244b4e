import { Session } from "node:inspector/promises";
import { setTimeout as pause } from "node:timers/promises";
import { compose } from "./compose.ts";
import { askToken } from "./token-flow.ts";

// Every service in this process, over its real sockets: after each number of tokens that the parent asks for, tells
// it which buffers are alive and hold more memory than they show.
const WORKERS = 4;
const session = new Session();
session.connect();

/** Byte lengths of live views, each with that of the memory behind it; only of views that hold twice what they show. */
async function heldViews(): Promise<unknown> {
  const { result } = await session.post("Runtime.evaluate", { expression: "Uint8Array.prototype" });
  const { objectId: prototypeObjectId = "" } = result;
  // Collects what nothing refers to, and gives what is left.
  const { objects } = await session.post("Runtime.queryObjects", { prototypeObjectId });
  const { objectId = "" } = objects;
  const functionDeclaration = `function () {
    return this
      .filter((view) => ArrayBuffer.isView(view) && view.buffer.byteLength > 2 * view.byteLength + 64)
      .map((view) => [view.byteLength, view.buffer.byteLength]);
  }`;
  const { result: found } = await session.post("Runtime.callFunctionOn", {
    objectId,
    functionDeclaration,
    returnByValue: true,
  });
  await session.post("Runtime.releaseObject", { objectId });
  return found.value;
}

const system = await compose();

async function give(tokens: number): Promise<void> {
  const [client] = system.demo.clients;
  if (!client) throw new TypeError("There is no demo client");
  let left = tokens;
  const work = async (): Promise<void> => {
    for (; left > 0; left -= 1)
      if ((await askToken(system.settings.port, client)).token === "") throw new Error("Refused");
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
}

process.on("message", (tokens: number) => {
  void (async () => {
    await give(tokens);
    // Deliveries, cosignatures and publications follow within a second or two.
    await pause(2500);
    process.send?.(await heldViews());
  })();
});
process.on("disconnect", () => void system[Symbol.asyncDispose]().then(() => process.exit(0)));
process.send?.("ready");
