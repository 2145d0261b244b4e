/** Numbered from 1; a migration that was released is never changed. */
export const MIGRATIONS: readonly string[] = [
  `create table meta (name text primary key, value text not null) strict, without rowid;
   create table replay (
     key blob primary key, owner text not null, expires integer not null
   ) strict, without rowid;
   create index replay_expires on replay (expires);
   create table registry (
     position integer primary key, entry blob not null, statement blob, envelope blob, credentials blob
   ) strict;`,
];
