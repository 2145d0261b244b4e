import { ServiceError } from "@redoubt/base";
import { PresenceError } from "@redoubt/presence";
import { StoreError, type RegistryRepository } from "@redoubt/store";
import {
  ISSUER,
  route,
  routesByName,
  type Answer,
  type Answered,
  type Call,
  type IssuerStatus,
  type Route,
} from "@redoubt/wire";

export interface OperatorParts {
  readonly registry: Pick<RegistryRepository, "all">;
  readonly status: () => IssuerStatus;
  /** Copies the store; the file's name in the issuer's folder. */
  readonly backup: () => Promise<string>;
  /** What is said and asked of people; none where no people sign in. */
  readonly people: readonly Route[];
}

/** A head has at most 256 KiB, and one document 24 KiB. */
const MAX_PAGE_BYTES = 64 * 1024;

/** The operator's socket (docs/spec/wire.md §6). Of clients and tenants it changes
 * nothing: what the operator says of those, it says to the registry. */
export function operatorHandler(parts: OperatorParts): (call: Call) => Promise<Answer> {
  const { registry, status, backup, people } = parts;
  const routes = routesByName([
    route(ISSUER.credentials, ({ from }) => credentialsFrom(registry, from)),
    route(ISSUER.backup, async () => ({ file: await backup() })),
    route(ISSUER.status, status),
    ...people,
  ]);
  return async (call) => {
    const found = routes.get(call.op);
    if (!found) throw new ServiceError("ERR_REQUEST_OP", "No such operation");
    try {
      return await found.handle(call);
    } catch (error) {
      if (error instanceof StoreError || error instanceof PresenceError)
        throw new ServiceError(error.code, error.message, { cause: error });
      throw error;
    }
  };
}

function credentialsFrom(
  registry: OperatorParts["registry"],
  from: number,
): Answered<typeof ISSUER.credentials> {
  const items: { readonly index: number; readonly credentials: Buffer }[] = [];
  let bytes = 0;
  for (const { index, credentials } of registry.all(from)) {
    if (!credentials) continue;
    if (bytes + credentials.length > MAX_PAGE_BYTES) return { items, next: index };
    items.push({ index, credentials: Buffer.from(credentials) });
    bytes += credentials.length;
  }
  return { items };
}
