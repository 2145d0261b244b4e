import { MAX_PROOF_HASHES } from "@redoubt/tlog";
import { bytes, integer, text, textOrEmpty } from "./member.ts";
import { group, list, nullable, optional } from "./message.ts";
import { operation } from "./operation.ts";

/** Entries in one commit, and in one answer of `entries`. */
export const MAX_ENTRIES = 4096;
/** Statements in one answer of `registry`, and in one request of `restore`. */
export const MAX_STATEMENTS = 512;
/** docs/spec/logs.md §1, §4: every entry has so many. */
const ENTRY_BYTES = 65;
const MAX_LOGS = 1000;
const MAX_WAIT_MS = 10_000;
const MAX_STATEMENT_BYTES = 128 * 1024;
const MAX_ENVELOPE_BYTES = 1024;
const MAX_CREDENTIALS_BYTES = 24 * 1024;
const MAX_GIVEN_NOTE = 4096;
const MAX_NOTE = 64 * 1024;

const log = text(256);
const vkey = text();
const size = integer();
const hash = bytes({ bytes: 32 });
const hashes = list(hash, MAX_PROOF_HASHES);
const entry = bytes({ maxBytes: ENTRY_BYTES });
const statement = bytes({ maxBytes: MAX_STATEMENT_BYTES });
const envelope = bytes({ maxBytes: MAX_ENVELOPE_BYTES });
/** The document that a `client` statement names. */
const credentials = optional(bytes({ maxBytes: MAX_CREDENTIALS_BYTES }));
/** A signed checkpoint that a caller brings. */
const givenNote = text(MAX_GIVEN_NOTE);
const note = text(MAX_NOTE);
const noteOrEmpty = textOrEmpty(MAX_NOTE);
/** The tree's size, and the newest checkpoints as they are signed and as the witness cosigned them; "" where there is none. */
const position = { size, checkpoint: noteOrEmpty, cosigned: noteOrEmpty };

/** The ledger's socket (docs/spec/wire.md §4). */
export const LEDGER = {
  openLog: operation("openLog", { log, writer: optional(vkey) }, { log, vkey, ...position }),
  state: operation("state", { log }, { log, vkey, hashes, ...position }),
  /** Entry bundle and blobs are attached. */
  commit: operation(
    "commit",
    {
      log,
      first: integer(0, Number.MAX_SAFE_INTEGER - MAX_ENTRIES),
      count: integer(1, MAX_ENTRIES),
      checkpoint: givenNote,
      entriesBytes: integer(),
    },
    { size, checkpoint: note, cosigned: optional(note) },
  ),
  append: operation(
    "append",
    { log, statement, envelope, credentials, ifSize: optional(size) },
    { index: size, size, checkpoint: note },
  ),
  /** The entry bundle comes attached. */
  entries: operation(
    "entries",
    { log, from: size, max: integer(1, MAX_ENTRIES) },
    { from: size, count: integer(0, MAX_ENTRIES), ...position },
  ),
  /** The whole batch that holds an entry: its bundle and its sealed blobs are attached. */
  batch: operation(
    "batch",
    { log, index: size },
    { first: size, count: integer(1, MAX_ENTRIES), entriesBytes: integer() },
  ),
  registry: operation(
    "registry",
    { from: size, max: integer(1, MAX_STATEMENTS) },
    {
      from: size,
      ...position,
      items: list(
        group({
          entry,
          statement: optional(statement),
          envelope: optional(envelope),
          credentials,
        }),
        MAX_STATEMENTS,
      ),
    },
  ),
  /** Proves that an entry is in the tree of `size`. */
  prove: operation(
    "prove",
    { log, index: size, size: optional(integer(1)) },
    { index: size, size, leaf: entry, proof: hashes, checkpoint: note },
  ),
  /** Proves that the tree of `size2` begins with that of `size1`. */
  proveGrowth: operation(
    "proveGrowth",
    { log, size1: integer(1), size2: integer(1) },
    { size1: size, size2: size, proof: hashes, checkpoint: note },
  ),
  find: operation("find", { log, digest: hash }, { index: size }),
  logs: operation(
    "logs",
    {},
    { logs: list(group({ log, vkey, writer: nullable(vkey), size }), MAX_LOGS) },
  ),
  restore: operation(
    "restore",
    {
      log,
      note: givenNote,
      from: size,
      items: list(group({ statement, envelope, credentials }), MAX_STATEMENTS),
      proof: hashes,
    },
    { size, wanted: size },
  ),
  wait: operation("wait", { log, size, timeoutMs: integer(0, MAX_WAIT_MS) }, { size }),
} as const;
