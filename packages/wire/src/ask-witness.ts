import { randomBytes } from "node:crypto";
import { errorCode, ServiceError } from "@redoubt/base";
import { openWitnessed, type VerifierKey, type Witnessed } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { RemoteError } from "./errors.ts";
import { MONITOR } from "./protocol/monitor.ts";
import { ask, type Requester } from "./protocol/operation.ts";

const NONCE_BYTES = 16;

/**
 * THREAT-38: asks the witness for the newest tree of a log that it cosigned, before the log is taken up. Ledger and
 * signer that are restored from one backup agree on an old tree; only the witness knows what came after it.
 *
 * @throws ServiceError `ERR_WITNESS_AWAY`, `ERR_WITNESS_HALTED`, `ERR_WITNESS_ANSWER`
 */
export async function askWitness(
  monitor: Requester,
  origin: string,
  witness: VerifierKey,
): Promise<Witnessed> {
  const question = { log: origin, nonce: encodeBase64url(randomBytes(NONCE_BYTES)) };
  const note = await askForNote(monitor, question);
  try {
    return openWitnessed(note, question, witness);
  } catch (cause) {
    const message = `What answers for the witness of ${origin} is not the one in the configuration`;
    throw new ServiceError("ERR_WITNESS_ANSWER", message, { cause });
  }
}

async function askForNote(
  monitor: Requester,
  question: { readonly log: string; readonly nonce: string },
): Promise<string> {
  try {
    return (await ask(monitor, MONITOR.witnessed, question)).note;
  } catch (cause) {
    const isHalted = cause instanceof RemoteError && cause.code === "ERR_MONITOR_HALTED";
    if (isHalted)
      throw new ServiceError(
        "ERR_WITNESS_HALTED",
        `The witness has halted ${question.log}: see the alarms for why, then "redoubt recover"`,
        { cause },
      );
    const message = `The witness does not say what it holds of ${question.log}: ${errorCode(cause)}`;
    throw new ServiceError("ERR_WITNESS_AWAY", message, { cause });
  }
}
