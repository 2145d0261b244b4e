import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { errorCode, errorLine, readSpace, ServiceError, systemClock } from "@redoubt/base";
import { createSystem, loopbackPlan } from "../init/init.ts";
import { DEMO_SCOPES, readDemo, TRY_CLIENT } from "../demo.ts";
import { optionError } from "../command.ts";
import { DEFAULT_PORT } from "../place.ts";
import {
  atTenant,
  DEFAULT_REALM,
  loginUrl,
  onLoopback,
  portsFrom,
  REALMS,
  roleOf,
  servicesOf,
  type Ports,
} from "../layout.ts";
import { Operator } from "../operator.ts";
import { Look } from "../page/look.ts";
import { statusPages } from "../page/pages.ts";
import { TRY_PATH, TrySignIn } from "../page/try-sign-in.ts";
import { TokenRates } from "../page/token-rates.ts";
import { statePins } from "../recover/pins.ts";
import { extentOf, isOnLoopback, realmNames, type Settings } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { stateBootstrap, stateDemoRoot } from "./bootstrap.ts";
import { readDatabaseUrls } from "./database-urls.ts";
import { checkDataFolder, isMissingOrEmpty, lockDataFolder } from "./data-folder.ts";
import { demoAdministrator, type DemoAdministrator } from "./demo-administrator.ts";
import { metricsPages } from "./metrics.ts";
import { serveStatusPage } from "./status-page.ts";
import { stopSignal } from "./stop-signal.ts";
import { Supervisor } from "./supervisor.ts";
import { Waiting } from "./waiting.ts";

export interface UpOptions {
  readonly folder: string;
  /** What the person chose; undefined takes the folder's own, or the default for a new one. */
  readonly port: number | undefined;
  /** Whether a new folder gets leases; one that is there stays as it is. */
  readonly leases: boolean;
  readonly json: boolean;
}

/** A busy machine may take this long until a fresh process listens. */
const CONNECT_MS = 20_000;

/** Starts every process on this machine and stays until it is told to stop. */
export async function up(options: UpOptions, terminal: Terminal): Promise<void> {
  const stop = stopSignal();
  const databases = readDatabaseUrls(process.env, REALMS);
  const settings = await prepare(options);
  // Released in reverse order: the lock last, when nothing runs on the folder any more.
  await using owned = new AsyncDisposableStack();
  owned.use(lockDataFolder(options.folder));
  const ports = portsFrom(settings.port);
  await checkPortsFree(ports);
  // Sockets have relative paths: a data folder may lie as deep as it likes.
  process.chdir(options.folder);
  const supervisor = owned.use(
    new Supervisor(options.folder, servicesOf(extentOf(settings)), {
      onNotice: (line) => terminal.notice(line),
      databases,
    }),
  );
  supervisor.start();
  const { folder } = options;
  const status = () => supervisor.status();
  const rates = owned.use(new TokenRates(supervisor.children));
  const look = owned.use(new Look({ folder, settings, status, rates }));
  const pages = {
    ...statusPages(() => look.facts()),
    ...tryPages(settings, ports),
    "/status.json": async () => {
      const body = `${JSON.stringify(await status())}\n`;
      return { status: 200, type: "application/json", body } as const;
    },
    ...metricsPages(supervisor.children, () => ({
      space: readSpace(folder),
      linesLost: supervisor.linesLost,
    })),
  };
  owned.use(await serveStatusPage(ports.status, pages));
  const operator = owned.use(new Operator("", settings, { connectTimeoutMs: CONNECT_MS }));
  const waiting = owned.use(
    new Waiting({ look: () => supervisor.views(), notice: (line) => terminal.notice(line) }),
  );
  const start = bringUpOrWait(
    () => bringUp(operator, settings, supervisor, terminal),
    terminal,
  ).then(async () => {
    waiting[Symbol.dispose]();
    const person = await demoAdministrator(operator, settings, readDemo(""));
    terminal.result(announcement(options, settings, person));
  });
  await Promise.race([stop, start]);
  await stop;
}

/** A sign-in to try, where nobody but this machine can reach it. */
function tryPages(settings: Settings, ports: Ports): ReturnType<TrySignIn["pages"]> {
  const demo = readDemo("").clients.find(({ realm }) => realm === DEFAULT_REALM);
  if (!demo || !isOnLoopback(settings)) return {};
  const { tokenEndpoint } = settings.realms[DEFAULT_REALM];
  const client = {
    client: TRY_CLIENT,
    login: loginUrl(tokenEndpoint, demo.tenant),
    tokenEndpoint: atTenant(tokenEndpoint, demo.tenant),
    audience: demo.audience,
    scope: DEMO_SCOPES[0],
    origin: `http://127.0.0.1:${ports.status}`,
  };
  return new TrySignIn(client, () => systemClock.monotonic()).pages();
}

async function prepare({ folder, port, leases }: UpOptions): Promise<Settings> {
  if (isMissingOrEmpty(folder)) {
    await checkPortsFree(portsFrom(port ?? DEFAULT_PORT));
    await createSystem(folder, loopbackPlan(port ?? DEFAULT_PORT), { leases });
  }
  const settings = checkDataFolder(folder);
  // Issuer URLs are part of every key record: a system cannot move to other ports.
  if (port !== undefined && port !== settings.port)
    throw new ServiceError(
      "ERR_PORT",
      `Data folder ${folder} was made for port ${settings.port}: leave --port out, or name another folder`,
    );
  // P5: what stands before the keys is never left out for one start.
  if (!leases && settings.broker)
    throw optionError(`--no-leases is for a new folder: ${folder} has leases, and keeps them`);
  return settings;
}

/** THREAT-32: a port that somebody else holds is found before anything is started on the others. */
export async function checkPortsFree(ports: Ports): Promise<void> {
  for (const port of Object.values(ports)) await checkFree(port);
}

function checkFree(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (cause) => {
      const message =
        errorCode(cause) === "EADDRINUSE"
          ? `Port ${port} is taken: choose six free ports with --port`
          : `Port ${port} cannot be used (${errorCode(cause)}): choose others with --port`;
      reject(new ServiceError("ERR_PORT", message, { cause }));
    });
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      probe.close(() => resolve());
    });
  });
}

const HALTED_RETRY_MS = 1000;

/** While the registry is halted, tries again until somebody has restored it (docs/guide/backup.md). */
async function bringUpOrWait(work: () => Promise<void>, terminal: Terminal): Promise<void> {
  for (let isHalted = false; ;) {
    try {
      return await work();
    } catch (error) {
      const code = errorCode(error);
      if (code !== "ERR_LEDGER_HALTED" && !(isHalted && code.startsWith("ERR_WIRE_"))) throw error;
      if (!isHalted)
        terminal.notice(`Not ready: ${errorLine(error)}. What ends it: redoubt recover`);
      isHalted = true;
      await pause(HALTED_RETRY_MS);
    }
  }
}

async function bringUp(
  operator: Operator,
  settings: Settings,
  supervisor: Supervisor,
  terminal: Terminal,
): Promise<void> {
  // Without a time limit: on a full disk the ledger waits for room, and says so.
  await supervisor.ready(["ledger"]);
  const refused = await stateBootstrap(operator, settings, readDemo(""));
  for (const { realm, reason } of refused)
    terminal.notice(`Cluster ${realm} cannot work: ${reason}. See docs/guide/kubernetes.md`);
  const works = (realm: string | undefined): boolean =>
    refused.every((other) => other.realm !== realm);
  // Root and pins last: nothing waits for them, and the ledger takes a signer's first keys only while the registry does
  // not move (compare-and-swap).
  const services = servicesOf(extentOf(settings));
  const ready = services.filter((service) => works(roleOf(service).realm));
  await Promise.all([supervisor.ready(ready), stateLater(operator, terminal)]);
  for (const realm of realmNames(settings).filter(works)) await operator.realmCaughtUp(realm);
}

/**
 * Says what can wait. A system without its operator key must come up, too: `redoubt recover operator` needs it running.
 */
async function stateLater(operator: Operator, terminal: Terminal): Promise<void> {
  for (const state of [stateDemoRoot, statePins])
    try {
      await state(operator);
    } catch (error) {
      if (!["ERR_OPERATOR_KEY", "ERR_REGISTRY_VOID"].includes(errorCode(error))) throw error;
      terminal.notice(`Not written to the registry: ${errorLine(error)}`);
    }
}

function announcement(
  { folder }: UpOptions,
  settings: Settings,
  person: DemoAdministrator | undefined,
) {
  const ports = portsFrom(settings.port);
  const { clients } = readDemo("");
  const issuers = clients.map(({ realm, tenant }) => ({
    realm,
    issuer: atTenant(settings.realms[realm].issuer, tenant),
  }));
  const curls = clients.map(({ realm, tenant, client, secret }) => {
    // Over loopback, which works before there is a proxy.
    const url = onLoopback(
      atTenant(settings.realms[realm].tokenEndpoint, tenant),
      ports[`issuer-${realm}`],
    );
    return `curl -s -u ${client}:${secret} -d grant_type=client_credentials ${url}`;
  });
  const data =
    folder === join(process.env["INIT_CWD"] ?? folder, ".redoubt") ? "" : ` --data ${folder}`;
  return {
    json: {
      ready: true,
      issuers,
      status: `http://127.0.0.1:${ports.status}/`,
      token: curls[1],
      tokens: curls,
      ...(person && { person }),
      ...(isOnLoopback(settings) && { try: `http://127.0.0.1:${ports.status}${TRY_PATH}` }),
      attack: `npm run -s redoubt -- drill storm-0558${data}`,
      data: folder,
    },
    text: [
      "Redoubt is ready. Everything on one machine, one user, demo roots: for trying, not for production.",
      "",
      ...issuers.map(({ realm, issuer }) => `  ${realm.padEnd(11)} ${issuer}`),
      `  status      http://127.0.0.1:${ports.status}/`,
      "",
      "Get a token:",
      curls[1] ?? "",
      "",
      ...(person
        ? [
            `Sign in as ${person.userName}, with a passkey of this device (the link works once, for an hour):`,
            person.register,
            `and then see the tokens: http://127.0.0.1:${ports.status}${TRY_PATH}`,
            "",
          ]
        : []),
      "Attack it:",
      `npm run -s redoubt -- drill storm-0558${data}`,
      "",
      "Ctrl-C stops everything.",
    ].join("\n"),
  };
}
