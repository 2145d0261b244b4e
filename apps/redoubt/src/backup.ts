import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  type Dirent,
} from "node:fs";
import { dirname, join } from "node:path";
import { backup as backupDatabase, DatabaseSync } from "node:sqlite";
import { errorCode, errorLine, ServiceError } from "@redoubt/base";
import { ask, ISSUER, MONITOR } from "@redoubt/wire";
import { EXIT, fileArgument, type CommandContext } from "./command.ts";
import { REALMS, servicesOf, type ServiceName } from "./layout.ts";
import { Operator } from "./operator.ts";
import { isListening, openPlace } from "./running.ts";
import { extentOf, type Settings } from "./settings.ts";

interface Copied {
  readonly part: string;
  readonly files: number;
  readonly bytes: number;
}

interface OwnCopy {
  readonly file: string;
  readonly of: string;
}

/**
 * The ledger last, so that its copy holds every entry that the copies of the other parts remember. In another order its
 * copy of a log could be shorter than what the copy of the witness has seen, and such a log must be closed. What leases
 * add is copied wherever it is there: a crash while they are enabled leaves keys in it before the settings say so.
 */
function orderOf(folder: string, settings: Settings): readonly ("up" | ServiceName)[] {
  const services = new Set(servicesOf(extentOf(settings)));
  for (const name of ["broker", ...REALMS.map((realm) => `custody-${realm}` as const)] as const)
    if (existsSync(join(folder, name))) services.add(name);
  services.delete("ledger");
  return ["up", ...services, "ledger"];
}

/**
 * Not copied: locks, sockets, the side files of a database (it is copied as a whole), and event lines, which are no
 * state.
 * Nor an issuer's list of deliveries: with an old one it would say that nobody holds the tokens that it gave out since.
 */
const SKIPPED =
  /(?:^|\/)(?:lock\.db|sock|logs|cache|deliveries\.journal)$|-(?:wal|shm|journal)$|\.new$/;

/** Copies everything that a system needs to go on, while it runs or not. */
export async function backup(context: CommandContext, target: string): Promise<number> {
  const { folder, terminal } = context;
  const { settings, ports } = openPlace(folder);
  const to = fileArgument(context, target);
  const copied: Copied[] = [];
  // A folder of ours, that nobody else reads: it holds every key of software custody.
  makeFolder(to);
  const isRunning = await isListening(ports.status);
  if (isRunning) process.chdir(folder);
  try {
    await using operator = isRunning ? new Operator("", settings) : undefined;
    for (const part of orderOf(folder, settings)) {
      const own = await ownCopy(operator, part);
      copied.push(await copyPart(join(folder, part), join(to, part), { part, own }));
      terminal.notice(`${part}: ${describe(copied.at(-1))}`);
    }
  } catch (cause) {
    rmSync(to, { recursive: true, force: true });
    throw new ServiceError("ERR_BACKUP", `Nothing was kept: ${errorLine(cause)}`, { cause });
  }
  const text = [
    `${to} holds a copy of ${folder}, and every key that is not in an HSM or KMS: encrypt it before it leaves this machine.`,
    "How to restore: docs/guide/backup.md",
  ];
  terminal.result({ json: { folder, to, parts: copied }, text: text.join("\n") });
  return EXIT.ok;
}

function makeFolder(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    throw new ServiceError(
      "ERR_BACKUP",
      `${path} cannot be made (${errorLine(cause)}): name a folder that is not there yet`,
      { cause },
    );
  }
}

/**
 * Asks a running process that keeps its database locked for a copy. Returns the file of the copy and the name of the
 * database; undefined where a file can be copied from outside.
 */
async function ownCopy(
  operator: Operator | undefined,
  part: "up" | ServiceName,
): Promise<OwnCopy | undefined> {
  if (!operator || part === "up" || !(part === "monitor" || part.startsWith("issuer-")))
    return undefined;
  const { file } =
    part === "monitor"
      ? await ask(operator.client(part), MONITOR.backup, {})
      : await ask(operator.client(part), ISSUER.backup, {});
  const of = part === "monitor" ? "monitor.db" : "store.sqlite";
  if (/^backup\.\w+$/.test(file)) return { file, of };
  throw new ServiceError("ERR_BACKUP", `${part} does not name its copy`);
}

async function copyPart(
  from: string,
  to: string,
  { part, own }: { readonly part: string; readonly own: OwnCopy | undefined },
): Promise<Copied> {
  mkdirSync(to, { mode: 0o700 });
  let [files, bytes] = [0, 0];
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(from.length + 1);
    if (name.split("/").some((_, i, all) => SKIPPED.test(all.slice(0, i + 1).join("/")))) continue;
    if (name === own?.of) continue;
    const target = join(to, name === own?.file ? own.of : name);
    if (!(await copyEntry(entry, path, target))) continue;
    files += 1;
    bytes += lstatSync(target).size;
  }
  if (own) rmSync(join(from, own.file));
  return { part, files, bytes };
}

/** Copies a file or makes a folder; true if a file was copied. */
async function copyEntry(entry: Dirent, from: string, to: string): Promise<boolean> {
  if (entry.isDirectory()) mkdirSync(to, { recursive: true, mode: 0o700 });
  if (!entry.isFile()) return false;
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  try {
    const isDatabase = /\.(?:db|sqlite)$/.test(from);
    if (isDatabase) await copyDatabase(from, to);
    else copyFileSync(from, to);
    chmodSync(to, isDatabase ? 0o600 : lstatSync(from).mode & 0o777);
    return true;
  } catch (error) {
    // Journals and partial tiles come and go.
    if (errorCode(error) !== "ENOENT") throw error;
    rmSync(to, { force: true });
    return false;
  }
}

function describe(copied: Copied | undefined): string {
  return `${copied?.files ?? 0} files, ${Math.ceil((copied?.bytes ?? 0) / 1024)} KiB`;
}

/**
 * All pages in one step, which reads the database as of one moment; in WAL mode nobody waits for it. Between two steps
 * another process could write, and the copy would begin anew, under load for ever (https://sqlite.org/backup.html).
 */
const ALL_PAGES = 2 ** 31 - 1;

/**
 * Copies a database as of one moment, with what its write-ahead log holds, while others may write to it.
 *
 * @throws ServiceError `ERR_BACKUP` if the copy is damaged
 */
export async function copyDatabase(from: string, to: string): Promise<void> {
  const source = new DatabaseSync(from, { readOnly: true });
  try {
    await backupDatabase(source, to, { rate: ALL_PAGES });
  } finally {
    source.close();
  }
  const copy = new DatabaseSync(to);
  try {
    // One file, with nothing beside it; the process that opens it sets its own mode.
    copy.exec("PRAGMA journal_mode = DELETE");
    const [row] = copy.prepare("PRAGMA quick_check").all();
    if (row?.["quick_check"] !== "ok")
      throw new ServiceError("ERR_BACKUP", `${from} is damaged: ${String(row?.["quick_check"])}`);
  } finally {
    copy.close();
  }
}
