import { errorCode, ServiceError } from "@redoubt/base";
import type { SignedStatement } from "@redoubt/keys";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { RemoteError, type SocketClient } from "@redoubt/wire";
import type { RegistryView } from "./registry-view.ts";

export interface AppendOptions {
  readonly ledger: Pick<SocketClient, "request">;
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
  signed: SignedStatement,
  ifSize?: number,
): Promise<void> {
  const head = {
    op: "append",
    log,
    statement: encodeBase64url(signed.statement),
    envelope: encodeBase64url(signed.envelope),
  };
  try {
    await ledger.request(ifSize === undefined ? head : { ...head, ifSize });
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
