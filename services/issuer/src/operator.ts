import { MemberReader, ServiceError } from "@redoubt/base";
import { parseClient, parseTenant, StoreError, type Client, type Directory } from "@redoubt/store";
import type { Answer, Call } from "@redoubt/wire";
import { parseClientKeys } from "./client-keys.ts";
import type { IssuerEvents } from "./events.ts";

export interface OperatorParts {
  readonly directory: Directory;
  readonly events: IssuerEvents;
  readonly status: () => object;
  /** Copies the store; the file's name in the issuer's folder. */
  readonly backup: () => Promise<string>;
}

const PAGE = 500;
/** A head has at most 256 KiB, in whatever encoding. */
const MAX_PAGE_CHARACTERS = 64 * 1024;

/** The operator's socket (docs/spec/wire.md §6). What it registers widens nothing: the signer asks the registry. */
export function operatorHandler(parts: OperatorParts): (call: Call) => Promise<Answer> {
  return async (call) => {
    try {
      return { head: await answer(parts, call) };
    } catch (error) {
      if (error instanceof StoreError)
        throw new ServiceError(error.code, error.message, { cause: error });
      throw error;
    }
  };
}

async function answer(parts: OperatorParts, { op, head }: Call): Promise<Record<string, unknown>> {
  const { directory } = parts;
  switch (op) {
    case "tenants.put":
      return putTenant(parts, head);
    case "clients.put":
      return putClient(parts, head);
    case "tenants.list":
      return list(new MemberReader(head, "tenants.list"), "tenants", directory.tenants());
    case "clients.list": {
      const reader = new MemberReader(head, "clients.list");
      const clients = directory.clients(reader.optionalString("tenant", 36));
      return list(reader, "clients", clients.map(withoutCredential));
    }
    case "backup":
      new MemberReader(head, "backup").done();
      return { file: await parts.backup() };
    case "status":
      new MemberReader(head, "status").done();
      return { ...parts.status() };
    default:
      throw new ServiceError("ERR_REQUEST_OP", "No such operation");
  }
}

async function putTenant(
  { directory, events }: OperatorParts,
  head: Call["head"],
): Promise<Record<string, unknown>> {
  const tenant = parseTenant(head);
  await directory.putTenant(tenant);
  events.tenantPut(tenant.tenant, tenant.status, tenant.statement);
  return {};
}

async function putClient(
  { directory, events }: OperatorParts,
  head: Call["head"],
): Promise<Record<string, unknown>> {
  const client = parseClient(head);
  // A key that cannot be used is refused now, not at the first token.
  if (client.auth.method === "private_key_jwt") parseClientKeys(client.auth.jwks.keys);
  await directory.putClient(client);
  events.clientPut(client.tenant, client.client, client.status, client.statement);
  return {};
}

/** Bounded pages: `from` skips, `next` is there where more follow. */
function list(reader: MemberReader, name: string, all: readonly object[]): Record<string, unknown> {
  const from = reader.optionalInteger("from", 0, all.length) ?? 0;
  reader.done();
  const page: object[] = [];
  let characters = 0;
  for (const item of all.slice(from, from + PAGE)) {
    characters += JSON.stringify(item).length;
    if (page.length > 0 && characters > MAX_PAGE_CHARACTERS) break;
    page.push(item);
  }
  const next = from + page.length;
  return { [name]: page, ...(next < all.length ? { next } : {}) };
}

function withoutCredential({ auth, ...client }: Client): object {
  return { ...client, auth: { method: auth.method } };
}
