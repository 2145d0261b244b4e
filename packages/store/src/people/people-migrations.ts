/** How an engine spells what the two do not spell alike. */
export interface ColumnTypes {
  readonly bytes: string;
  readonly integer: string;
  /** After the closing parenthesis of a table. */
  readonly tableSuffix: string;
}

/**
 * Each a transaction of its own, numbered from 1; one that was released is never changed. Unique indexes are named
 * after their columns, which both engines then name in the refusal.
 */
export function peopleMigrations({
  bytes,
  integer,
  tableSuffix,
}: ColumnTypes): readonly (readonly string[])[] {
  const table = (name: string, body: string): string =>
    `create table ${name} (${body}) ${tableSuffix}`;
  const flag = (name: string): string => `${name} ${integer} not null check (${name} in (0, 1))`;
  return [
    [
      table(
        "people",
        `id text primary key, tenant text not null, user_name text not null, user_name_key text not null,
         external_id text, display_name text, given_name text, family_name text, emails text not null,
         status text not null check (status in ('active', 'disabled')),
         ${flag("is_administrator")},
         handle ${bytes} not null check (length(handle) = 32),
         source text not null check (source in ('command', 'scim', 'import')),
         created ${integer} not null, updated ${integer} not null, onboarded_at ${integer},
         version ${integer} not null,
         constraint people_user_name unique (tenant, user_name_key),
         constraint people_external_id unique (tenant, external_id),
         constraint people_handle unique (handle)`,
      ),
      "create index people_order on people (tenant, created, id)",
      table(
        "passkeys",
        `credential_id ${bytes} primary key, person_id text not null references people (id),
         rp_id text not null check (rp_id <> ''), public_key ${bytes} not null,
         algorithm ${integer} not null, counter ${integer} not null check (counter >= 0),
         trust text not null, format text not null, aaguid text not null,
         ${flag("backup_eligible")}, ${flag("backed_up")}, transports text not null, name text not null,
         created_by text not null check (created_by in ('pass', 'passkey', 'recovery')),
         created ${integer} not null, last_used ${integer}`,
      ),
      "create index passkeys_person on passkeys (person_id, created)",
      table(
        "passes",
        `hash ${bytes} primary key check (length(hash) = 32),
         person_id text not null references people (id),
         purpose text not null
           check (purpose in ('first-administrator', 'onboarding', 'recovery', 'recovery-code')),
         issued_by text not null, created ${integer} not null, not_before ${integer} not null,
         expires ${integer} not null, used_at ${integer}, voided_at ${integer}`,
      ),
      "create index passes_person on passes (person_id, purpose)",
      "create index passes_expires on passes (expires)",
      table(
        "protocol",
        `kind text not null, id text not null, payload text not null, expires ${integer},
         consumed_at ${integer}, grant_id text, account_id text, uid text, user_code text,
         version ${integer} not null, primary key (kind, id)`,
      ),
      "create index protocol_grant on protocol (grant_id)",
      "create index protocol_account on protocol (account_id)",
      "create index protocol_uid on protocol (uid)",
      "create index protocol_user_code on protocol (user_code)",
      "create index protocol_expires on protocol (expires)",
      table(
        "ceremonies",
        `id_hash ${bytes} primary key check (length(id_hash) = 32), kind text not null,
         data text not null, expires ${integer} not null`,
      ),
      "create index ceremonies_expires on ceremonies (expires)",
      table(
        "outbox",
        `id text primary key, kind text not null, payload text not null, created ${integer} not null,
         next_attempt ${integer} not null, attempts ${integer} not null`,
      ),
      "create index outbox_next on outbox (next_attempt, id)",
      table(
        "tallies",
        `day ${integer} not null, tier text not null, count ${integer} not null, primary key (day, tier)`,
      ),
      table(
        "scim_tokens",
        `hash ${bytes} primary key check (length(hash) = 32), tenant text not null, name text not null,
         created ${integer} not null, expires ${integer} not null`,
      ),
      "create index scim_tokens_tenant on scim_tokens (tenant, created)",
    ],
    [
      table(
        "approvals",
        `id text primary key check (length(id) = 43), at ${integer} not null, envelope ${bytes} not null`,
      ),
      "create index approvals_at on approvals (at, id)",
    ],
  ];
}
