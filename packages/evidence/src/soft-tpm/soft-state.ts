import type { TpmHash } from "../tpm/algorithms.ts";
import { TPM_RH } from "../tpm/command.ts";
import { PcrBanks } from "./pcr-bank.ts";
import { PrimarySeed } from "./primary-seed.ts";
import { ofHandle, RC, TpmRefusal } from "./refusal.ts";
import { makePrimary, type SoftObject } from "./soft-key.ts";

export interface PolicySession {
  readonly isTrial: boolean;
  readonly hash: TpmHash;
  digest: Buffer;
  /** `PcrBanks.updates` when PolicyPCR was asked. */
  pcrUpdates: number | undefined;
}

/** Nothing is kept under persistent handles. */
const FIRST_PERSISTENT = 0x8100_0000;
const FIRST_OBJECT = 0x8000_0000;
const FIRST_SESSION = 0x0300_0000;
const MAX_OBJECTS = 3;
const MAX_SESSIONS = 64;
const MAX_PRIMARIES = 16;
const HIERARCHIES: readonly number[] = [TPM_RH.owner, TPM_RH.endorsement, TPM_RH.null];

/** What a soft TPM holds, all of it in memory. */
export class SoftState {
  readonly pcrs = new PcrBanks();
  readonly nv: ReadonlyMap<number, Buffer>;
  /** Keeps what was sealed and loaded again; it never leaves. */
  readonly storageKey: Buffer;
  readonly #seed: PrimarySeed;
  readonly #objects = new Map<number, SoftObject>();
  readonly #sessions = new Map<number, PolicySession>();
  readonly #primaries = new Map<string, SoftObject>();
  #clock = 0n;

  constructor(nv: ReadonlyMap<number, Uint8Array>, seed: Uint8Array | undefined) {
    this.#seed = new PrimarySeed(seed);
    this.storageKey = this.#seed.storageKey();
    this.nv = new Map([...nv].map(([index, value]) => [index, Buffer.from(value)]));
  }

  /** Counts commands: a clock that never goes back. */
  tick(): bigint {
    this.#clock += 1n;
    return this.#clock;
  }

  /** The same template in the same hierarchy is the same key, for as long as this TPM lives. */
  primary(hierarchy: number, template: Buffer): SoftObject {
    if (!HIERARCHIES.includes(hierarchy)) throw new TpmRefusal(RC.handle);
    const id = `${hierarchy} ${template.toString("hex")}`;
    const known = this.#primaries.get(id);
    if (known !== undefined) return known;
    if (this.#primaries.size === MAX_PRIMARIES) throw new TpmRefusal(RC.objectMemory);
    const made = makePrimary(template, hierarchy, this.#seed);
    this.#primaries.set(id, made);
    return made;
  }

  load(object: SoftObject): number {
    return put(this.#objects, object, {
      first: FIRST_OBJECT,
      most: MAX_OBJECTS,
      full: RC.objectMemory,
    });
  }

  startSession(session: PolicySession): number {
    return put(this.#sessions, session, {
      first: FIRST_SESSION,
      most: MAX_SESSIONS,
      full: RC.sessionMemory,
    });
  }

  /** @param index of the handle in the command */
  object(handle: number, index: number): SoftObject {
    const object = this.#objects.get(handle);
    if (object !== undefined) return object;
    throw new TpmRefusal(
      handle >= FIRST_PERSISTENT ? ofHandle(RC.anyHandle, index) : RC.handleReference + index,
    );
  }

  /** @param missing the response code where there is none */
  session(handle: number, missing: number): PolicySession {
    const session = this.#sessions.get(handle);
    if (session === undefined) throw new TpmRefusal(missing);
    return session;
  }

  flush(handle: number): void {
    if (!this.#objects.delete(handle) && !this.#sessions.delete(handle))
      throw new TpmRefusal(RC.flushHandle);
  }

  /** What a policy session is once it has authorized a command: gone, or as it was when it was started. */
  endUse(handle: number, goesOn: boolean): void {
    const session = this.session(handle, RC.sessionReference);
    session.digest = Buffer.alloc(session.digest.length);
    session.pcrUpdates = undefined;
    if (!goesOn) this.#sessions.delete(handle);
  }
}

interface Room {
  readonly first: number;
  readonly most: number;
  readonly full: number;
}

function put<T>(map: Map<number, T>, value: T, { first, most, full }: Room): number {
  for (let handle = first; handle < first + most; handle += 1) {
    if (map.has(handle)) continue;
    map.set(handle, value);
    return handle;
  }
  throw new TpmRefusal(full);
}
