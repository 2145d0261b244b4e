import {
  MemberReader,
  privateFileExists,
  readPrivateFile,
  ServiceError,
  writeDurable,
} from "@redoubt/base";
import type { TreeHead } from "@redoubt/tlog";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";

/** What a broker remembers between runs. It only ever leads to a refusal (THREAT-30). */
export interface Remembered {
  /** The newest tree of its log that it gave a lease from. */
  readonly tree: TreeHead | undefined;
  /** POSIX seconds: no clock that is right was ever earlier. */
  readonly seconds: number;
  /** Highest version of reference values that it took, by name: floors, which only rise. */
  readonly versions: ReadonlyMap<string, number>;
  /** Highest evaluation number of Intel's collateral that it took. */
  readonly evaluation: number;
}

const NOTHING: Remembered = { tree: undefined, seconds: 0, versions: new Map(), evaluation: 0 };
const MAX_VERSIONS = 1000;
const MAX_INTEGER = Number.MAX_SAFE_INTEGER;

/** Remembers what it saw in a file. */
export class BrokerState {
  readonly #path: string;
  readonly #log: string;
  #value: Remembered;

  /**
   * @param log origin of the broker's log: a tree of another one, whose place this one took, says nothing of it
   * @throws ServiceError `ERR_BROKER_STATE` for a damaged file: it is not treated as missing
   */
  constructor(path: string, log: string) {
    this.#path = path;
    this.#log = log;
    this.#value = privateFileExists(path) ? parse(readPrivateFile(path), log) : NOTHING;
  }

  get value(): Remembered {
    return this.#value;
  }

  /** Durable when it returns; what is lower than before changes nothing. */
  raise({ tree, seconds, versions, evaluation }: Remembered): void {
    const before = this.#value;
    const all = new Map(before.versions);
    for (const [name, version] of versions) all.set(name, Math.max(version, all.get(name) ?? 0));
    const next = {
      tree: tree ?? before.tree,
      seconds: Math.max(seconds, before.seconds),
      versions: all,
      evaluation: Math.max(evaluation, before.evaluation),
    };
    writeDurable(this.#path, encode(next, this.#log));
    this.#value = next;
  }
}

function encode({ tree, seconds, versions, evaluation }: Remembered, log: string): string {
  return JSON.stringify({
    v: 1,
    log,
    ...(tree && { tree: { size: tree.size, root: encodeBase64url(tree.root) } }),
    seconds,
    versions: [...versions].map(([name, version]) => ({ name, version })),
    evaluation,
  });
}

function parse(bytes: Uint8Array, log: string): Remembered {
  try {
    const reader = new MemberReader(parseJsonObject(bytes), "broker state");
    reader.integer("v", 1, 1);
    // Files from before a log could take another's place do not name theirs.
    const of = reader.has("log") ? reader.string("log", 256) : log;
    const tree = reader.has("tree") ? readTree(reader.object("tree")) : undefined;
    const seconds = reader.integer("seconds", 0, MAX_INTEGER);
    const versions = new Map(reader.objects("versions", MAX_VERSIONS).map(readVersion));
    const evaluation = reader.integer("evaluation", 0, MAX_INTEGER);
    reader.done();
    return { tree: of === log ? tree : undefined, seconds, versions, evaluation };
  } catch (cause) {
    throw new ServiceError("ERR_BROKER_STATE", "State file is damaged", { cause });
  }
}

function readTree(reader: MemberReader): TreeHead {
  const size = reader.integer("size", 1, MAX_INTEGER);
  const root = decodeBase64url(reader.string("root", 43), { bytes: 32 });
  reader.done();
  return { size, root };
}

function readVersion(reader: MemberReader): readonly [string, number] {
  const version = [reader.string("name", 128), reader.integer("version", 0, MAX_INTEGER)] as const;
  reader.done();
  return version;
}
