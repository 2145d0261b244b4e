import { KeyError, type KeyErrorCode, type SignatureAlgorithm } from "@redoubt/keys";
import {
  ask,
  askForBytes,
  CUSTODY,
  type Operation,
  RemoteError,
  type Requester,
  WireError,
} from "@redoubt/wire";
import type { Custodian, CustodyKey, CustodyLabel, RefusedKey } from "./custody.ts";

/** A lease as its holder has it: the same object for as long as it is the same lease. */
export interface HeldLease {
  /** A tlog-proof (docs/spec/leases.md §3). */
  readonly grant: string;
  /** The holder's proof over a challenge of the gateway. */
  readonly prove: (challenge: Buffer) => Buffer;
}

export interface GatewayCustodianOptions {
  readonly client: Requester & AsyncDisposable;
  /** What the gateway must hold keys in. */
  readonly label: CustodyLabel;
  /** The lease of now; undefined where there is none, or none any more. */
  readonly lease: () => HeldLease | undefined;
  /** Told once for a lease that the gateway takes no more, though it lasts: a new one is needed now. */
  readonly onWornOut?: (lease: HeldLease) => void;
}

interface Session {
  readonly lease: HeldLease;
  readonly id: Buffer;
}

/** A gateway that starts again is back soon, and so is a lease. */
const RETRY_SECONDS = 1;

/** What a gateway passes on as its custody said it. */
const PASSED: ReadonlySet<string> = new Set<KeyErrorCode>([
  "ERR_KEY_ALG",
  "ERR_KEY_BUSY",
  "ERR_KEY_CUSTODY",
  "ERR_KEY_DENIED",
  "ERR_KEY_DISABLED",
  "ERR_KEY_FILE",
  "ERR_KEY_MODULE",
  "ERR_KEY_PASSPHRASE",
  "ERR_KEY_REFUSED",
  "ERR_KEY_UNKNOWN",
]);

/**
 * Keys that a custody gateway holds (docs/spec/leases.md §5). Each use needs a lease that lasts; without one it fails with
 * `ERR_KEY_LEASE`, and the next lease is taken up by itself.
 */
export class GatewayCustodian implements Custodian {
  readonly label: CustodyLabel;
  readonly #options: GatewayCustodianOptions;
  /** The session that is used; while one of a newer lease begins, that of the older goes on. */
  #session: Session | undefined;
  #beginning: Promise<Session> | undefined;
  /** The lease that the gateway takes no more. */
  #wornOut: HeldLease | undefined;
  #isClosed = false;

  constructor(options: GatewayCustodianOptions) {
    this.label = options.label;
    this.#options = options;
  }

  async generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    return this.#key(await this.#ask(CUSTODY.generate, { alg }));
  }

  async open(id: string): Promise<CustodyKey> {
    return this.#key(await this.#ask(CUSTODY.open, { id }));
  }

  async list(): Promise<readonly string[]> {
    return (await this.#ask(CUSTODY.list, {})).ids;
  }

  async destroy(id: string): Promise<void> {
    await this.#ask(CUSTODY.destroy, { id });
  }

  async audit(): Promise<readonly RefusedKey[]> {
    return (await this.#ask(CUSTODY.audit, {})).refused;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#options.client[Symbol.asyncDispose]();
  }

  #key({
    id,
    alg,
    publicJwk,
  }: {
    readonly id: string;
    readonly alg: SignatureAlgorithm;
    readonly publicJwk: Readonly<Record<string, unknown>>;
  }): CustodyKey {
    return { id, alg, publicJwk: stringsOf(publicJwk), sign: (input) => this.#sign(id, input) };
  }

  async #sign(id: string, input: Uint8Array): Promise<Buffer> {
    const { client } = this.#options;
    return this.#with(async (session) => {
      const { attachment } = await askForBytes(client, CUSTODY.sign, { session, id }, input);
      return attachment;
    });
  }

  #ask<Q extends object, A>(
    operation: Operation<Q & { readonly session: Buffer }, A>,
    asked: Q,
  ): Promise<A> {
    const { client } = this.#options;
    return this.#with((session) => ask(client, operation, { ...asked, session }));
  }

  /** A session may end between its check here and there: one more try with the lease of then. */
  async #with<T>(use: (session: Buffer) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new KeyError("ERR_KEY_UNKNOWN", "Custody is closed");
    try {
      const session = await this.#current();
      try {
        return await use(session.id);
      } catch (error) {
        if (!(error instanceof RemoteError) || error.code !== "ERR_LEASE_SESSION") throw error;
        if (this.#session === session) this.#session = undefined;
        return await use((await this.#current()).id);
      }
    } catch (error) {
      throw asKeyError(error);
    }
  }

  async #current(): Promise<Session> {
    const lease = this.#options.lease();
    if (lease === undefined) throw noLease();
    if (this.#session?.lease === lease) return this.#session;
    if (this.#wornOut === lease) {
      if (this.#session === undefined) throw noLease();
      return this.#session;
    }
    const begun = this.#begin(lease);
    if (this.#session === undefined) return begun;
    begun.catch(() => undefined);
    return this.#session;
  }

  #begin(lease: HeldLease): Promise<Session> {
    this.#beginning ??= this.#beginNow(lease).finally(() => {
      this.#beginning = undefined;
    });
    return this.#beginning;
  }

  async #beginNow(lease: HeldLease): Promise<Session> {
    const { client } = this.#options;
    const { challenge } = await ask(client, CUSTODY.challenge, {});
    const { session, label } = await ask(client, CUSTODY.begin, {
      challenge,
      grant: lease.grant,
      proof: lease.prove(challenge),
    }).catch((error: unknown) => this.#refused(lease, error));
    if (label !== this.label)
      throw new KeyError("ERR_KEY_DENIED", `Gateway holds its keys in ${label}, not ${this.label}`);
    this.#session = { lease, id: session };
    return this.#session;
  }

  #refused(lease: HeldLease, error: unknown): never {
    if (error instanceof RemoteError && error.code === "ERR_LEASE_OLD") {
      this.#wornOut = lease;
      this.#options.onWornOut?.(lease);
    }
    throw error;
  }
}

function noLease(): KeyError {
  return new KeyError("ERR_KEY_LEASE", "No lease, or none any more", {
    retryAfterSeconds: RETRY_SECONDS,
  });
}

function stringsOf(object: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => {
      if (typeof value !== "string")
        throw new KeyError("ERR_KEY_CUSTODY", "Gateway answers with a public key of another form");
      return [name, value];
    }),
  );
}

function asKeyError(error: unknown): unknown {
  if (error instanceof WireError)
    return new KeyError("ERR_KEY_BUSY", "Custody gateway does not answer", {
      cause: error,
      retryAfterSeconds: RETRY_SECONDS,
    });
  if (!(error instanceof RemoteError)) return error;
  const { code, message, retryAfterSeconds } = error;
  const wait = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
  if (isPassed(code)) return new KeyError(code, message, { cause: error, ...wait });
  if (code.startsWith("ERR_LEASE_"))
    return new KeyError("ERR_KEY_LEASE", `Gateway refuses the lease: ${message}`, {
      cause: error,
      retryAfterSeconds: RETRY_SECONDS,
    });
  if (code.startsWith("ERR_WIRE_"))
    return new KeyError("ERR_KEY_BUSY", "Custody gateway is busy", { cause: error, ...wait });
  return new KeyError("ERR_KEY_CUSTODY", `Custody gateway failed (${code})`, { cause: error });
}

function isPassed(code: string): code is KeyErrorCode {
  return PASSED.has(code);
}
