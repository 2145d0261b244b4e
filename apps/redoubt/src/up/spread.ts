import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { ServiceError } from "@redoubt/base";
import { socketPlace } from "@redoubt/wire";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { callersOf, type Extent, roleOf, servicesOf, userOf, type ServiceName } from "../layout.ts";
import { changeConfig } from "../recover/service-config.ts";
import { extentOf } from "../settings.ts";
import { openPlace } from "../running.ts";
import { checkDataFolder, lockDataFolder } from "./data-folder.ts";

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** One who gets a folder of his own: a service, or the operator. */
export type Owner = ServiceName | "operator";

/** Everybody who gets one, in a system of this extent. */
export function ownersOf(extent: Extent): readonly Owner[] {
  return [...servicesOf(extent), "operator"];
}

export interface Spreading {
  /** A data folder on which nothing runs. It stays as it is, secrets and all. */
  readonly from: string;
  /** Gets one folder for each owner, of which none may be there yet; closed to others but for its root. */
  readonly to: string;
  /** Where the units' sockets lie. */
  readonly sockets: string;
  readonly users: ReadonlyMap<Owner, User>;
}

/**
 * Copies a data folder into one for each user (docs/design/0025-systemd.md). In it each finds the paths that it knows:
 * its own folder, and of the others the place where it calls them, with its copy of the secret and a link to the socket.
 *
 * @throws ServiceError `ERR_DATA_FOLDER`; as `checkDataFolder` and `lockDataFolder`
 */
export function spread({ from, to, sockets, users }: Spreading): void {
  checkDataFolder(from);
  using _ = lockDataFolder(from);
  // Only now: until then a command may be changing what this system has.
  const extent = extentOf(checkDataFolder(from));
  const [services, owners] = [servicesOf(extent), ownersOf(extent)];
  for (const owner of owners)
    if (existsSync(join(to, owner)))
      throw new ServiceError("ERR_DATA_FOLDER", `${join(to, owner)} is there already`);
  for (const owner of owners) mkdirSync(join(to, owner), { mode: 0o700 });
  for (const service of services) copyService(from, join(to, service), service, extent);
  copyTree(join(from, "up"), join(to, "operator", "up"), new Set(["lock.db", "logs"]));
  for (const service of services)
    for (const caller of callersOf(service, extent)) {
      const place = socketPlace(join(to, userOf(service, caller)), service, caller);
      copySecret(from, place, service, caller);
      symlinkSync(join(sockets, service, caller, "sock"), place.path);
    }
  // What the ledger publishes is mounted there.
  mkdirSync(join(to, "publisher", "ledger", "published"), { mode: 0o700 });
  // Last: until then nobody but root can enter, or change what is being copied.
  for (const owner of owners) giveAway(join(to, owner), userNamed(users, owner));
}

function copyService(from: string, root: string, service: ServiceName, extent: Extent): void {
  copyTree(join(from, service), join(root, service), new Set(["s", "cache"]));
  for (const caller of callersOf(service, extent))
    copySecret(from, socketPlace(root, service, caller), service, caller);
  if (service === "ledger") openToAll(join(root, "ledger", "published"));
  if (roleOf(service).kind === "signer")
    changeConfig(root, service, (config) => ({ ...config, labels: withoutOneUser(config) }));
}

function withoutOneUser({ labels }: { readonly labels?: unknown }): string[] {
  const found: readonly unknown[] = Array.isArray(labels) ? labels : [];
  return found
    .filter((label) => typeof label === "string" && label !== "isolation: none")
    .map(String);
}

function copySecret(
  from: string,
  place: { readonly folder: string; readonly secretFile: string },
  service: ServiceName,
  caller: string,
): void {
  mkdirSync(place.folder, { recursive: true, mode: 0o700 });
  copyFileSync(
    socketPlace(from, service, caller).secretFile,
    place.secretFile,
    constants.COPYFILE_EXCL,
  );
}

/** Files and folders with their modes; links, sockets and pipes are none of ours. */
function copyTree(from: string, to: string, leftOut: ReadonlySet<string> = new Set()): void {
  const stat = lstatSync(from);
  if (stat.isFile()) copyFileSync(from, to, constants.COPYFILE_EXCL);
  if (stat.isDirectory()) {
    mkdirSync(to, { mode: 0o700 });
    for (const name of readdirSync(from))
      if (!leftOut.has(name)) copyTree(join(from, name), join(to, name));
  }
  if (stat.isFile() || stat.isDirectory()) chmodSync(to, stat.mode & 0o777);
}

/** What anybody may read over HTTP, in a folder that only the publisher's unit gets to see. */
function openToAll(path: string): void {
  const isFolder = lstatSync(path).isDirectory();
  chmodSync(path, isFolder ? 0o755 : 0o644);
  if (isFolder) for (const name of readdirSync(path)) openToAll(join(path, name));
}

function giveAway(path: string, user: User): void {
  const stat = lstatSync(path);
  if (stat.isDirectory()) for (const name of readdirSync(path)) giveAway(join(path, name), user);
  lchownSync(path, user.uid, user.gid);
}

function userNamed(users: ReadonlyMap<Owner, User>, owner: Owner): User {
  const user = users.get(owner);
  if (!user)
    throw new ServiceError(
      "ERR_OPTION",
      `There is no user redoubt-${owner}: see docs/guide/systemd.md`,
    );
  return user;
}

/** Local users, which is where systemd-sysusers puts them. */
export function readUsers(passwd: string, owners: readonly Owner[]): ReadonlyMap<Owner, User> {
  const users = new Map<Owner, User>();
  for (const line of passwd.split("\n")) {
    const [name = "", , uid = "", gid = ""] = line.split(":");
    const owner = owners.find((one) => name === `redoubt-${one}`);
    if (owner !== undefined && /^[1-9]\d*$/.test(uid) && /^[1-9]\d*$/.test(gid))
      users.set(owner, { uid: Number(uid), gid: Number(gid) });
  }
  return users;
}

/** The work of `redoubt spread`. */
export function spreadCommand(context: CommandContext, target: string): Promise<number> {
  const to = fileArgument(context, target);
  if (process.getuid?.() !== 0)
    throw new ServiceError("ERR_OPTION", "Only root can give files to other users");
  const owners = ownersOf(extentOf(openPlace(context.folder).settings));
  const users = readUsers(readFileSync("/etc/passwd", "utf8"), owners);
  for (const owner of owners) userNamed(users, owner);
  spread({ from: context.folder, to, sockets: "/run/redoubt", users });
  context.terminal.result({
    json: { data: context.folder, spread: to, owners },
    text: `Spread to ${to}, one folder for each user. ${context.folder} still holds every key: take it off this machine.`,
  });
  return Promise.resolve(EXIT.ok);
}
