import { randomBytes } from "node:crypto";
import { errorCode, nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import {
  checkTime,
  checkUnverifiedAssertion,
  openStatement,
  PresenceError,
  type Assertion,
  type OpenedStatement,
} from "@redoubt/presence";
import { Ceremony, type CeremonyState } from "./ceremony.ts";
import type { PresenceConfig } from "./config.ts";
import type { PresenceEvents } from "./events.ts";

/** THREAT-26: what one caller has shown at a time, so that none takes the places of another. */
export const MAX_OF_CALLER = 32;
/** Some 20 KiB each, and at most 150. */
export const MAX_CEREMONIES = 128;
/** How long a page still says that its statement has ended, where nobody needs the place. */
const REMEMBERED_SECONDS = 600;

export interface CeremoniesOptions extends Pick<PresenceConfig, "rpId" | "origin"> {
  readonly clock: Clock;
  readonly events: PresenceEvents;
}

export interface OpenRequest {
  readonly statement: Uint8Array;
  readonly approvers: number;
  readonly credentials?: readonly string[] | undefined;
}

/**
 * What is shown now, in memory alone: after a restart whoever asked asks anew. Nothing here is trusted by anybody: the
 * statement has the hash of what was shown, and whoever acts verifies the assertions.
 */
export class Ceremonies implements Disposable {
  readonly #options: CeremoniesOptions;
  readonly #byId = new Map<string, Ceremony>();

  constructor(options: CeremoniesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byId.size;
  }

  get now(): number {
    return nowSeconds(this.#options.clock);
  }

  /**
   * Shows a statement.
   *
   * @throws PresenceError for one that could never be approved here
   * @throws ServiceError `ERR_PRESENCE_BUSY`
   */
  open(caller: string, request: OpenRequest): Ceremony {
    const { events } = this.#options;
    try {
      const opened = this.#openStatement(caller, request.statement);
      this.#makeRoom(caller);
      const ceremony = new Ceremony({
        // THREAT-20: nobody finds a page that nobody was sent to.
        id: randomBytes(16).toString("base64url"),
        caller,
        opened,
        approvers: request.approvers,
        credentials: request.credentials,
      });
      this.#byId.set(ceremony.id, ceremony);
      events.shown(ceremony.summary);
      return ceremony;
    } catch (error) {
      events.refused(caller, errorCode(error));
      throw error;
    }
  }

  /** By its page's address. */
  find(id: string): Ceremony | undefined {
    return this.#byId.get(id);
  }

  /**
   * Waits for a change where there is still something to wait for.
   *
   * @throws ServiceError `ERR_PRESENCE_UNKNOWN` for what this caller did not open, or what is forgotten
   */
  async collect(
    caller: string,
    { id, waitMs }: { readonly id: string; readonly waitMs: number },
  ): Promise<{ readonly state: CeremonyState; readonly assertions: readonly Assertion[] }> {
    const ceremony = this.#own(caller, id);
    if (waitMs > 0 && ceremony.stateAt(this.now) === "open")
      await ceremony.changed(Math.min(waitMs, this.#leftMs(ceremony)));
    const state = ceremony.stateAt(this.now);
    return { state, assertions: state === "expired" ? [] : [...ceremony.assertions] };
  }

  /** @throws ServiceError `ERR_PRESENCE_UNKNOWN` */
  close(caller: string, id: string): void {
    const ceremony = this.#own(caller, id);
    this.#byId.delete(id);
    ceremony.wake();
  }

  /**
   * Keeps an assertion for whoever asked. What is checked here only spares a person a wait: it proves nothing.
   *
   * @throws PresenceError `ERR_PRESENCE_ASSERTION`, `ERR_PRESENCE_APPROVERS`
   */
  add(ceremony: Ceremony, assertion: Assertion): void {
    const { rpId, origin, events } = this.#options;
    try {
      checkUnverifiedAssertion({ challenge: ceremony.opened.challenge, rpId, origin }, assertion);
      const { credentialId } = assertion;
      const isAllowed = ceremony.credentials?.includes(credentialId) ?? true;
      if (!isAllowed || ceremony.isUsed(credentialId))
        throw new PresenceError(
          "ERR_PRESENCE_APPROVERS",
          isAllowed ? "This passkey approved already" : "This passkey may not approve this",
          { part: isAllowed ? "again" : "credential" },
        );
    } catch (error) {
      events.assertionRefused((error instanceof PresenceError && error.part) || errorCode(error));
      throw error;
    }
    ceremony.add(assertion);
    events.collected(ceremony.summary, ceremony.assertions.length);
  }

  decline(ceremony: Ceremony): void {
    ceremony.decline();
    this.#options.events.declined(ceremony.summary);
  }

  [Symbol.dispose](): void {
    for (const ceremony of this.#byId.values()) ceremony.wake();
    this.#byId.clear();
  }

  #openStatement(caller: string, bytes: Uint8Array): OpenedStatement {
    const { rpId, origin } = this.#options;
    const opened = openStatement(bytes);
    const { statement } = opened;
    if (statement.rpId !== rpId || statement.origin !== origin)
      throw new PresenceError(
        "ERR_PRESENCE_ACTION",
        "Statement is of another relying party or origin",
      );
    // THREAT-04: the process of one realm has nothing approved in the name of another.
    if (caller !== "operator" && caller !== `issuer-${statement.realm}`)
      throw new PresenceError("ERR_PRESENCE_ACTION", "Statement is of another realm");
    checkTime(opened, this.now);
    return opened;
  }

  #makeRoom(caller: string): void {
    const { now } = this;
    for (const [id, { opened }] of this.#byId)
      if (now >= opened.statement.expiresAt + REMEMBERED_SECONDS) this.#byId.delete(id);
    const own = [...this.#byId.values()].filter((one) => one.caller === caller);
    if (own.length < MAX_OF_CALLER && this.#byId.size < MAX_CEREMONIES) return;
    const ended = own.find((one) => one.stateAt(now) === "expired");
    if (!ended)
      throw new ServiceError("ERR_PRESENCE_BUSY", "Too many statements wait for an approval");
    this.#byId.delete(ended.id);
  }

  #own(caller: string, id: string): Ceremony {
    const ceremony = this.#byId.get(id);
    // One answer, so that no caller learns of another's.
    if (ceremony?.caller !== caller)
      throw new ServiceError("ERR_PRESENCE_UNKNOWN", "No such statement is shown for this caller");
    return ceremony;
  }

  #leftMs({ opened }: Ceremony): number {
    return Math.max(0, opened.statement.expiresAt * 1000 - this.#options.clock.now());
  }
}
