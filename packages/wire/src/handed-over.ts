import { ServiceError } from "@redoubt/base";

/** sd_listen_fds(3): handed-over descriptors are numbered from here on. */
const SD_LISTEN_FDS_START = 3;
const MAX_SOCKETS = 256;
const COUNT = /^[1-9]\d{0,2}$/;

/**
 * Listening sockets that systemd opened for this process, by name (sd_listen_fds(3)). Who may connect to one is then
 * decided by its owner and mode in the file system, which a process of another user could not set.
 */
export class HandedOverSockets {
  readonly #environment: NodeJS.ProcessEnv;
  readonly #pid: number;
  readonly #taken = new Set<string>();

  constructor(environment: NodeJS.ProcessEnv, pid: number) {
    this.#environment = environment;
    this.#pid = pid;
  }

  /**
   * The descriptor of a caller's socket; undefined where this process was given none at all and makes its own.
   * THREAT-32: with some it makes none, because one of its own would stand where no other user gets to, or the wrong
   * one does. Each is taken once: after a close its number may be something else's.
   *
   * @throws ServiceError `ERR_SOCKET_FD`
   */
  take(caller: string): number | undefined {
    const names = this.#names();
    if (!names) return undefined;
    const place = names.indexOf(caller);
    if (place < 0 || this.#taken.has(caller))
      throw new ServiceError(
        "ERR_SOCKET_FD",
        `No socket was handed over for ${caller}, or not again`,
      );
    this.#taken.add(caller);
    return SD_LISTEN_FDS_START + place;
  }

  #names(): readonly string[] | undefined {
    const { LISTEN_PID, LISTEN_FDS = "", LISTEN_FDNAMES = "" } = this.#environment;
    // The variables of a parent, whose sockets are not ours.
    if (LISTEN_PID !== String(this.#pid)) return undefined;
    const names = LISTEN_FDNAMES.split(":");
    if (!COUNT.test(LISTEN_FDS) || Number(LISTEN_FDS) > MAX_SOCKETS)
      throw new ServiceError(
        "ERR_SOCKET_FD",
        `LISTEN_FDS must be a number from 1 to ${MAX_SOCKETS}`,
      );
    if (names.length !== Number(LISTEN_FDS) || new Set(names).size !== names.length)
      throw new ServiceError(
        "ERR_SOCKET_FD",
        "LISTEN_FDNAMES must give each socket one name of its own",
      );
    return names;
  }
}
