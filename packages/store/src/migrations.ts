/** Numbered from 1; a migration that was released is never changed. */
export const MIGRATIONS: readonly string[] = [
  `create table meta (name text primary key, value text not null) strict, without rowid;
   create table tenant (
     tenant text primary key, status text not null, audiences text not null, statement integer
   ) strict, without rowid;
   create table client (
     tenant text not null references tenant, client text not null, status text not null,
     audiences text not null, scopes text not null, auth text not null, statement integer,
     primary key (tenant, client)
   ) strict, without rowid;
   create table replay (key blob primary key, expires integer not null) strict, without rowid;
   create index replay_expires on replay (expires);`,
];
