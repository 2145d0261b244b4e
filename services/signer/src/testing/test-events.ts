import type { EventSink } from "@redoubt/base";
import { TestEvents } from "@redoubt/testkit";

export interface TestEvent {
  readonly name: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export class RecordedEvents extends TestEvents<TestEvent> {
  readonly sink: EventSink = (name, fields = {}) => this.add({ name, fields });

  named(name: string): Promise<TestEvent> {
    return this.first((event) => event.name === name);
  }

  count(name: string): number {
    return this.all.filter((event) => event.name === name).length;
  }
}

const MAX_WAIT_MS = 30_000;

/** Lets everything happen that is ready, until something is so. */
export async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + MAX_WAIT_MS;
  while (!isSo()) {
    if (performance.now() > deadline)
      throw new Error(`It did not become so in time: ${isSo.toString()}`);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
