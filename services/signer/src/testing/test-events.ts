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
