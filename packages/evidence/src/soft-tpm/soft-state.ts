import { randomBytes } from "node:crypto";
import type { TpmHash } from "../tpm/algorithms.ts";
import { TPM_RH } from "../tpm/command.ts";
import { u32 } from "../tpm/marshal.ts";
import { PcrBanks } from "./pcr-bank.ts";
import { RC, TpmRefusal } from "./refusal.ts";
import { makePrimary, type SoftObject } from "./soft-key.ts";

export interface PolicySession {
  readonly isTrial: boolean;
  readonly hash: TpmHash;
  digest: Buffer;
  /** `PcrBanks.updates` when PolicyPCR was asked. */
  pcrUpdates: number | undefined;
}

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
  readonly storageKey: Buffer = randomBytes(32);
  readonly #objects = new Map<number, SoftObject>();
  readonly #sessions = new Map<number, PolicySession>();
  readonly #primaries = new Map<string, SoftObject>();
  #clock = 0n;

  constructor(nv: ReadonlyMap<number, Uint8Array>) {
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
    const made = makePrimary(template, u32(hierarchy));
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

  object(handle: number): SoftObject {
    const object = this.#objects.get(handle);
    if (object === undefined) throw new TpmRefusal(RC.handle);
    return object;
  }

  session(handle: number): PolicySession {
    const session = this.#sessions.get(handle);
    if (session === undefined) throw new TpmRefusal(RC.handle);
    return session;
  }

  flush(handle: number): void {
    if (!this.#objects.delete(handle) && !this.#sessions.delete(handle))
      throw new TpmRefusal(RC.handle);
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
