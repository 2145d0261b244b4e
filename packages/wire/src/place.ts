import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  checkPrivateFolder,
  privateFileExists,
  readPrivateFile,
  Secret,
  ServiceError,
  writeDurable,
} from "@redoubt/base";

/** Where a caller finds a service: the socket and the secret in that caller's own folder. */
export interface SocketPlace {
  readonly folder: string;
  readonly path: string;
  readonly secretFile: string;
}

const NAME = /^[a-z][a-z0-9-]{0,63}$/;
/** 32 bytes in base64url. */
const SECRET = /^[\w-]{43}$/;

/**
 * `root` is the data folder, "" for the working directory (docs/spec/wire.md §1).
 *
 * @throws RangeError for a name that could lead elsewhere
 */
export function socketPlace(root: string, service: string, caller: string): SocketPlace {
  for (const name of [service, caller])
    if (!NAME.test(name)) throw new RangeError(`Socket name: ${name} is not like ${NAME.source}`);
  const folder = join(root, service, "s", caller);
  return { folder, path: join(folder, "sock"), secretFile: join(folder, "secret") };
}

/** Makes the folder and its secret where they are not there yet; called by whoever sets the callers up. */
export function createSocketPlace(place: SocketPlace): Secret {
  mkdirSync(place.folder, { recursive: true, mode: 0o700 });
  checkPrivateFolder(place.folder);
  if (!privateFileExists(place.secretFile))
    writeDurable(place.secretFile, Secret.random().reveal());
  return readSocketSecret(place);
}

/**
 * THREAT-32: a folder that others can enter, or a secret that others can read, is refused.
 *
 * @throws ServiceError `ERR_FILE_*`, `ERR_SOCKET_SECRET` for a file that holds no secret of ours, e.g. an empty one
 */
export function readSocketSecret(place: SocketPlace): Secret {
  checkPrivateFolder(place.folder);
  const text = readPrivateFile(place.secretFile, 256).toString("latin1").trim();
  if (!SECRET.test(text))
    throw new ServiceError("ERR_SOCKET_SECRET", `${place.secretFile} holds no socket secret`);
  return new Secret(text);
}
