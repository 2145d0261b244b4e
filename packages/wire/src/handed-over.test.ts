import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type NetConnectOpts } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Secret } from "@redoubt/base";
import { SocketClient } from "./client.ts";
import { HandedOverSockets } from "./handed-over.ts";
import { listenAtPlace } from "./listen.ts";

const ACTIVATE = "systemd-socket-activate";
const NO_SYSTEMD =
  spawnSync(ACTIVATE, ["--version"]).status === 0
    ? false
    : "systemd is not installed (npm run setup)";
const PID = 4242;
const FD_REFUSED = { code: "ERR_SOCKET_FD" };
const ignore = (): void => undefined;

function given(fds: string | undefined, names: string | undefined, pid = String(PID)) {
  return new HandedOverSockets({ LISTEN_PID: pid, LISTEN_FDS: fds, LISTEN_FDNAMES: names }, PID);
}

describe("sockets handed over by systemd", () => {
  it("are found by name, from descriptor 3 on, each once", () => {
    const sockets = given("2", "signer-consumer:operator");
    assert.equal(sockets.take("operator"), 4);
    assert.equal(sockets.take("signer-consumer"), 3);
    assert.throws(() => sockets.take("operator"), FD_REFUSED);
  });

  it("are none where there are no variables, or those of another process", () => {
    assert.equal(new HandedOverSockets({}, PID).take("operator"), undefined);
    assert.equal(given("1", "operator", "4241").take("operator"), undefined);
    assert.equal(given("1", "operator", "").take("operator"), undefined);
    assert.equal(given("1", "operator", "04242").take("operator"), undefined);
  });

  it("THREAT-32: leave no caller to a socket that the process makes itself", () => {
    const sockets = given("1", "operator");
    for (const caller of ["monitor", "", "operator:", "toString"])
      assert.throws(() => sockets.take(caller), FD_REFUSED);
  });

  const spoilt = [
    [undefined, "operator"],
    ["", "operator"],
    ["0", ""],
    ["01", "operator"],
    ["1.0", "operator"],
    ["-1", "operator"],
    ["257", Array.from({ length: 257 }, (_, i) => `c${i}`).join(":")],
    ["2", "operator"],
    ["1", "operator:monitor"],
    ["2", "operator:operator"],
    ["2", undefined],
  ] as const;
  for (const [fds, names] of spoilt)
    it(`THREAT-32: refuse LISTEN_FDS=${fds} with LISTEN_FDNAMES=${names?.slice(0, 20)}`, () => {
      assert.throws(() => given(fds, names).take("operator"), FD_REFUSED);
    });

  it("fail the start where the descriptor is no socket", async (t) => {
    const server = createServer();
    t.after(() => server.close());
    const sockets = new HandedOverSockets(
      // The last of 256: nothing of this process is open there.
      {
        LISTEN_PID: String(process.pid),
        LISTEN_FDS: "256",
        LISTEN_FDNAMES: Array.from({ length: 256 }, (_, i) => `c${i}`).join(":"),
      },
      process.pid,
    );
    const options = { path: "nowhere/sock", caller: "c255", sink: ignore };
    await assert.rejects(listenAtPlace(server, options, sockets));
  });
});

/** A process with one caller, on what `systemd-socket-activate` hands over. It starts with the first connection. */
function activate(listen: string, fdName: string, secret: Secret): ChildProcess {
  const code = `
    import { serveSocket } from ${JSON.stringify(join(import.meta.dirname, "server.ts"))};
    import { Secret } from "@redoubt/base";
    await serveSocket({
      path: "nowhere/sock", caller: "operator", service: "ledger", instance: "1", sink: () => {},
      secret: new Secret(${JSON.stringify(secret.reveal())}),
      handler: ({ caller }) => ({ head: { caller } }),
    });`;
  const node = [process.execPath, "--input-type=module", "-e", code];
  return spawn(ACTIVATE, ["-l", listen, `--fdname=${fdName}`, ...node], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "ignore", "pipe"],
  });
}

describe("a process started by systemd", { skip: NO_SYSTEMD }, () => {
  it("answers its caller on the socket of that name, and leaves the file when it ends", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "redoubt-fd-"));
    const path = join(folder, "sock");
    const secret = Secret.random();
    const child = activate(path, "operator", secret);
    t.after(async () => {
      child.kill();
      await once(child, "exit");
      assert.equal(existsSync(path), true);
      rmSync(folder, { recursive: true });
    });
    // oxlint-disable-next-line no-await-in-loop -- until the other process has opened its socket
    while (!existsSync(path)) await pause(10);
    await using client = new SocketClient({ path, secret, connectTimeoutMs: 20_000 });
    assert.equal((await client.request({ op: "who" })).head["caller"], "operator");
  });

  it("THREAT-32: ends without listening where the name is another's, or the socket an internet one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "redoubt-fd-"));
    const path = join(folder, "sock");
    const cases = [
      [path, "monitor", { path }],
      ["127.0.0.1:47118", "operator", { host: "127.0.0.1", port: 47_118 }],
    ] as const;
    for (const [listen, name, where] of cases) {
      const child = activate(listen, name, Secret.random());
      let said = "";
      child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
      const ended = once(child, "close");
      // oxlint-disable-next-line no-await-in-loop -- one process after the other
      await knock(where);
      // oxlint-disable-next-line no-await-in-loop -- as above
      assert.notEqual((await ended)[0], 0);
      assert.match(said, /ERR_SOCKET_FD/);
    }
    rmSync(folder, { recursive: true });
  });
});

/** Connects once, as soon as somebody listens, and goes away. */
async function knock(where: NetConnectOpts): Promise<void> {
  const socket = connect(where);
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  });
  socket.destroy();
  if (isOpen) return;
  await pause(10);
  await knock(where);
}
