import { PasskeyError } from "../passkeys/passkey-error.ts";

/** A passkey was refused. Its challenge is spent, so the page gets options for the next try with the reason. */
export class RefusedCeremony extends Error {
  override readonly name = "RefusedCeremony";
  override readonly cause: PasskeyError;
  readonly options: object;

  constructor(cause: PasskeyError, options: object) {
    super("A passkey was refused", { cause });
    this.cause = cause;
    this.options = options;
  }
}

/** @throws RefusedCeremony for what the ceremony throws as a PasskeyError */
export async function orRetry<T>(
  ceremony: Promise<T>,
  nextOptions: () => Promise<object>,
): Promise<T> {
  try {
    return await ceremony;
  } catch (error) {
    if (error instanceof PasskeyError) throw new RefusedCeremony(error, await nextOptions());
    throw error;
  }
}
