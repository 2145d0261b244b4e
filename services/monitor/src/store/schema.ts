/**
 * witness   the newest checkpoint cosigned per log (C2SP tlog-witness)
 * halts     logs that are never cosigned or followed again
 * follow    how far each log was read, with the hashes of its compact range; baseline: its size at the first look
 * issued    entries that were not settled when they were written, and those of versions 1 and 2; at: running time;
 *           delivered: 0 open, 1 delivered, 2 undelivered, 3 orphaned
 * blocks    settled entries, many in a row, in the order of reading; digests: 32 bytes each
 * runs      many blocks of one log; at: of the newest; filter: says of most other digests that they are not in it
 * shelves   the digests of runs; id: 1024 times the run, and the first ten bits of the digest
 * journal   deliveries that are acknowledged and not yet folded into `issued`
 * reporters gone: 1 since a goodbye that left no session of it open
 * acks      the newest report of each session; closed: it was a goodbye
 * alarms    fresh: hits that nobody was told of; latest: the detail of the newest of them; notices: how many were made
 * alarm_digests   told: 0 while no notice names or counts it
 * registry  a copy of every statement, for a ledger that loses them
 * windows   gaps of issuers in which undelivered entries are orphans
 * seen_…    digests that a verifier reported, in the form of blocks, runs and shelves
 * coverage  tokens of an hour; audience: "" for all of the realm; seen: by the hour in which they were issued
 * verifications  what verifiers counted on a day; outcome: "" for accepted, or the code of the refusal
 */
const VERSION_1 = `
CREATE TABLE witness (
  log TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE halts (
  log TEXT PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE follow (
  id INTEGER PRIMARY KEY, log TEXT NOT NULL UNIQUE, realm TEXT NOT NULL, size INTEGER NOT NULL,
  hashes BLOB NOT NULL, root BLOB NOT NULL, baseline INTEGER
) STRICT;
CREATE TABLE issued (
  digest BLOB PRIMARY KEY, log INTEGER NOT NULL, idx INTEGER NOT NULL,
  at INTEGER NOT NULL, delivered INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX issued_open ON issued (log, idx) WHERE delivered = 0;
CREATE TABLE sessions (
  caller TEXT NOT NULL, session TEXT NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, closed INTEGER NOT NULL, PRIMARY KEY (caller, session)
) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
  id INTEGER PRIMARY KEY, realm TEXT NOT NULL, digests BLOB NOT NULL
) STRICT;
CREATE TABLE windows (
  realm TEXT NOT NULL, kind TEXT NOT NULL, remaining INTEGER NOT NULL, PRIMARY KEY (realm, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE reporters (
  reporter TEXT PRIMARY KEY, last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE acks (
  reporter TEXT NOT NULL, session TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
  sha256 TEXT NOT NULL, items INTEGER NOT NULL, PRIMARY KEY (reporter, session)
) STRICT, WITHOUT ROWID;
CREATE TABLE misses (
  reporter TEXT NOT NULL, digest BLOB NOT NULL, kid TEXT NOT NULL, state TEXT NOT NULL,
  deadline INTEGER NOT NULL, attempts INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (reporter, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX misses_state ON misses (state, reporter, deadline);
CREATE TABLE alarms (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, last INTEGER NOT NULL,
  kind TEXT NOT NULL, severity TEXT NOT NULL, subject TEXT NOT NULL, digest TEXT, log TEXT,
  reporter TEXT, detail TEXT NOT NULL, count INTEGER NOT NULL, closed TEXT
) STRICT;
CREATE INDEX alarms_open ON alarms (id) WHERE closed IS NULL;
CREATE TABLE alarm_digests (
  digest TEXT NOT NULL, alarm INTEGER NOT NULL, PRIMARY KEY (digest, alarm)
) STRICT, WITHOUT ROWID;
CREATE INDEX alarm_digests_alarm ON alarm_digests (alarm);
CREATE TABLE outbox (
  id TEXT PRIMARY KEY, body TEXT NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE counters (
  name TEXT PRIMARY KEY, value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`;

const VERSION_3 = `
CREATE TABLE blocks (
  id INTEGER PRIMARY KEY, log INTEGER NOT NULL, at INTEGER NOT NULL, delivered INTEGER NOT NULL,
  digests BLOB NOT NULL
) STRICT;
CREATE TABLE runs (
  run INTEGER PRIMARY KEY, log INTEGER NOT NULL, at INTEGER NOT NULL, filter BLOB NOT NULL
) STRICT;
CREATE TABLE shelves (
  id INTEGER PRIMARY KEY, digests BLOB NOT NULL
) STRICT;
`;

const VERSION_4 = `
ALTER TABLE alarms ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarms ADD COLUMN latest TEXT;
ALTER TABLE alarms ADD COLUMN notices INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarm_digests ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
UPDATE alarms SET notices = 1;
UPDATE alarm_digests SET told = 1;
CREATE INDEX alarms_fresh ON alarms (id) WHERE fresh > 0;
CREATE INDEX alarm_digests_untold ON alarm_digests (alarm) WHERE told = 0;
`;

const VERSION_5 = `
ALTER TABLE journal ADD COLUMN caller TEXT NOT NULL DEFAULT '';
UPDATE journal SET caller = 'issuer-' || realm;
`;

const VERSION_6 = `
ALTER TABLE reporters ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE acks ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX misses_settled ON misses (reporter, at) WHERE state IN ('bad', 'unjudged', 'unproven');
`;

const VERSION_7 = `
CREATE TABLE registry (
  idx INTEGER PRIMARY KEY, statement BLOB NOT NULL, envelope BLOB NOT NULL
) STRICT;
`;

const VERSION_8 = `
CREATE TABLE seen_blocks (
  id INTEGER PRIMARY KEY, log INTEGER NOT NULL, at INTEGER NOT NULL, delivered INTEGER NOT NULL,
  digests BLOB NOT NULL
) STRICT;
CREATE TABLE seen_runs (
  run INTEGER PRIMARY KEY, log INTEGER NOT NULL, at INTEGER NOT NULL, filter BLOB NOT NULL
) STRICT;
CREATE TABLE seen_shelves (
  id INTEGER PRIMARY KEY, digests BLOB NOT NULL
) STRICT;
CREATE TABLE coverage (
  hour INTEGER NOT NULL, realm TEXT NOT NULL, audience TEXT NOT NULL, issued INTEGER NOT NULL,
  seen INTEGER NOT NULL, PRIMARY KEY (hour, realm, audience)
) STRICT, WITHOUT ROWID;
CREATE TABLE verifications (
  day INTEGER NOT NULL, reporter TEXT NOT NULL, sdk TEXT NOT NULL, issuer TEXT NOT NULL,
  kind TEXT NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (day, reporter, sdk, issuer, kind, outcome)
) STRICT, WITHOUT ROWID;
`;

/** Each step leads to the version of its place, from 1 on; what is here is never changed, only added to. */
export const SCHEMA_STEPS: readonly string[] = [
  VERSION_1,
  "CREATE INDEX issued_at ON issued (at)",
  VERSION_3,
  VERSION_4,
  VERSION_5,
  VERSION_6,
  VERSION_7,
  VERSION_8,
];
