import { encodeVerifierKey } from "@redoubt/tlog";
import { ensureLogKey, nextLogKey } from "./log-key.ts";

/** The verifier key of each log, for the registry's `writer` statements and for everybody's configuration. */
export interface Identity {
  readonly logs: readonly { readonly log: string; readonly vkey: string }[];
}

/** Makes the log keys in the service's own folder. Running it again after a crash keeps the keys that exist. */
export async function initialise(
  folder: string,
  { logs }: { readonly logs: readonly string[] },
): Promise<Identity> {
  return {
    logs: logs.map((log) => ({
      log,
      vkey: encodeVerifierKey(ensureLogKey(folder, log).verifier),
    })),
  };
}

/** Makes the `number`th key of the registry, or takes the one that an earlier attempt made. Returns its verifier key. */
export function initialiseRegistryKey(
  folder: string,
  registry: string,
  which: { readonly number: number; readonly isPrepared: boolean },
): string {
  return encodeVerifierKey(nextLogKey(folder, registry, which).verifier);
}
