import { errorCode, ServiceError } from "@redoubt/base";
import type { SignedStatement } from "@redoubt/registry";
import { ask, LEDGER, RemoteError, type Requester } from "@redoubt/wire";
import type { RegistryView } from "./registry-view.ts";

export interface AppendOptions {
  readonly ledger: Requester;
  readonly view: Pick<RegistryView, "poll">;
  /** Origin of the registry. */
  readonly log: string;
}

/**
 * A statement takes effect when the registry holds it, and not before: resolves once it was read back. Whether the
 * fold took it is for the caller to look at.
 *
 * @throws ServiceError `ERR_LEDGER_*` as the ledger said, `ERR_SIGNER_REGISTRY` when nobody knows
 */
export async function appendStatement(
  { ledger, view, log }: AppendOptions,
  { statement, envelope }: SignedStatement,
  ifSize?: number,
): Promise<void> {
  try {
    await ask(ledger, LEDGER.append, { log, statement, envelope, ifSize });
    await view.poll();
  } catch (cause) {
    throw refusalOf(cause);
  }
}

/** What a ledger answers must not be able to look like a refusal of ours: those are alarms about the caller. */
function refusalOf(cause: unknown): ServiceError {
  const code = errorCode(cause);
  const isLedgers = cause instanceof RemoteError && code.startsWith("ERR_LEDGER_");
  const shown = isLedgers ? code : "ERR_SIGNER_REGISTRY";
  return new ServiceError(shown, `Registry did not confirm the statement: ${code}`, { cause });
}
