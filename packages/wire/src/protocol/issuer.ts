import { bytes, flag, integer, text, type Values } from "./member.ts";
import { group, list, optional } from "./message.ts";
import { operation } from "./operation.ts";
import { PEOPLE } from "./people.ts";

const STATUS = {
  realm: text(32),
  ready: flag,
  /** Why it is not. */
  reason: optional(text(64)),
  tenants: integer(),
  clients: integer(),
  /** Entries of the registry that it has read. */
  registrySize: integer(),
  /** What a deployment is not, in words. */
  labels: optional(list(text(64), 16)),
  tokens: group({ issued: integer(), refused: integer(), underWay: integer() }),
  deliveries: group({ waiting: integer(), lost: integer(), failing: flag }),
  /** Absent until it listens. */
  http: optional(
    group({
      requests: integer(),
      inFlight: integer(),
      unproven: integer(),
      named: integer(),
      evicted: integer(),
    }),
  ),
};
export type IssuerStatus = Values<typeof STATUS>;

/** The operator's socket of an issuer (docs/spec/wire.md §6). */
export const ISSUER = {
  /** The client credentials that it has read from the registry, by place; `next` is there where more follow. */
  credentials: operation(
    "credentials",
    { from: integer() },
    {
      items: list(group({ index: integer(), credentials: bytes({ maxBytes: 24 * 1024 }) }), 1024),
      next: optional(integer()),
    },
  ),
  backup: operation("backup", {}, { file: text(64, /^backup\.\w+$/) }),
  status: operation("status", {}, STATUS),
  ...PEOPLE,
};
