import { ServiceError } from "@redoubt/base";
import { StoreError, type Client, type Directory } from "@redoubt/store";
import {
  ISSUER,
  route,
  routesByName,
  type Answer,
  type Call,
  type IssuerStatus,
  type Route,
} from "@redoubt/wire";
import { parseClientKeys } from "./client-keys.ts";
import type { IssuerEvents } from "./events.ts";

export interface OperatorParts {
  readonly directory: Directory;
  readonly events: IssuerEvents;
  readonly status: () => IssuerStatus;
  /** Copies the store; the file's name in the issuer's folder. */
  readonly backup: () => Promise<string>;
}

const PAGE = 500;
/** A head has at most 256 KiB, in whatever encoding. */
const MAX_PAGE_CHARACTERS = 64 * 1024;

/** The operator's socket (docs/spec/wire.md §6). What it registers widens nothing: the signer asks the registry. */
export function operatorHandler(parts: OperatorParts): (call: Call) => Promise<Answer> {
  const routes = routesByName(operatorRoutes(parts));
  return async (call) => {
    const found = routes.get(call.op);
    if (!found) throw new ServiceError("ERR_REQUEST_OP", "No such operation");
    try {
      return await found.handle(call);
    } catch (error) {
      if (error instanceof StoreError)
        throw new ServiceError(error.code, error.message, { cause: error });
      throw error;
    }
  };
}

function operatorRoutes({ directory, events, status, backup }: OperatorParts): readonly Route[] {
  return [
    route(ISSUER.putTenant, async (tenant) => {
      await directory.putTenant(tenant);
      events.tenantPut(tenant.tenant, tenant.status, tenant.statement);
      return {};
    }),
    route(ISSUER.putClient, async (client) => {
      // A key that cannot be used is refused now, not at the first token.
      if (client.auth.method === "private_key_jwt") parseClientKeys(client.auth.jwks.keys);
      await directory.putClient(client);
      events.clientPut(client.tenant, client.client, client.status, client.statement);
      return {};
    }),
    route(ISSUER.listTenants, ({ from }) => {
      const { items, next } = page(directory.tenants(), from);
      return { tenants: items, next };
    }),
    route(ISSUER.listClients, ({ tenant, from }) => {
      const { items, next } = page(directory.clients(tenant).map(withoutCredential), from);
      return { clients: items, next };
    }),
    route(ISSUER.backup, async () => ({ file: await backup() })),
    route(ISSUER.status, status),
  ];
}

/** Bounded pages: `from` skips, `next` is there where more follow. */
function page<T>(all: readonly T[], from = 0): { readonly items: T[]; readonly next?: number } {
  const items: T[] = [];
  let characters = 0;
  for (const item of all.slice(from, from + PAGE)) {
    characters += JSON.stringify(item).length;
    if (items.length > 0 && characters > MAX_PAGE_CHARACTERS) break;
    items.push(item);
  }
  const next = from + items.length;
  return next < all.length ? { items, next } : { items };
}

function withoutCredential({ auth, ...client }: Client) {
  return { ...client, auth: { method: auth.method } };
}
