import { RegistryReader, type FoldResult, type Registry, type Statement } from "@redoubt/registry";
import { type KeyState } from "@redoubt/keys";
import { parseVerifierKey } from "@redoubt/tlog";
import { REGISTRY_LOG } from "../layout.ts";
import type { Operator } from "../operator.ts";
import type { Settings } from "../settings.ts";

/** One thing that the registry holds about a key. */
export interface KeyEvent {
  readonly event: KeyState | "retained" | "released";
  /** Seconds since the epoch, as its author wrote it. */
  readonly at: number;
  /** Where it stands in the registry log. */
  readonly index: number;
  readonly reason: string | null;
}

/** What the registry holds about each key, in the order in which it was said. */
export class KeyJournal {
  readonly #events = new Map<string, KeyEvent[]>();

  take(index: number, result: FoldResult): void {
    // What is void changed nothing, and is the monitor's to tell.
    if (result.kind === "applied") this.#note(result.statement, index);
  }

  of(kid: string): readonly KeyEvent[] {
    return this.#events.get(kid) ?? [];
  }

  #note(statement: Statement, index: number): void {
    const { at } = statement;
    if (statement.type === "key")
      this.#add(statement.kid, { event: "generated", at, index, reason: null });
    if (statement.type === "key-state") {
      const { kid, state, reason } = statement;
      this.#add(kid, { event: state, at, index, reason });
    }
    if (statement.type === "key-retain") {
      const { kid, retain, reason } = statement;
      this.#add(kid, { event: retain ? "retained" : "released", at, index, reason });
    }
  }

  #add(kid: string, event: KeyEvent): void {
    const events = this.#events.get(kid);
    if (events) events.push(event);
    else this.#events.set(kid, [event]);
  }
}

/** Reads the whole registry, proven against its signed root. */
export async function readKeyJournal(
  operator: Operator,
  { operator: operatorKey, registryKey }: Settings,
): Promise<{ readonly journal: KeyJournal; readonly registry: Registry }> {
  const journal = new KeyJournal();
  const reader = new RegistryReader({
    client: operator.client("ledger"),
    log: REGISTRY_LOG,
    logKey: parseVerifierKey(registryKey),
    operator: parseVerifierKey(operatorKey),
    onItem: ({ index }, result) => journal.take(index, result),
  });
  await reader.poll();
  return { journal, registry: reader.registry };
}
