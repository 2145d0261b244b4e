import type { MemberReader } from "@redoubt/base";

/** A label, and a value that may be anybody's. */
export type Row = readonly [label: string, value: string];

export interface ActionDefinition<Name extends string, Subject extends object> {
  readonly name: Name;
  /** One line of plain English: what happens if this is approved. */
  readonly title: (subject: Subject) => string;
  /** All that the statement says of it; what is not shown is not approved. */
  readonly rows: (subject: Subject) => readonly Row[];
  /** Asks the reader for every member; whoever calls this calls `done()`. */
  readonly read: (subject: MemberReader) => Subject;
  /** What the server may add that it knows, by the name of a member, with the label it is shown under. */
  readonly facts: Readonly<Record<string, string>>;
}

export interface OpenedSubject<Name extends string, Subject extends object> {
  readonly said: { readonly action: Name; readonly subject: Subject };
  readonly title: string;
  readonly rows: readonly Row[];
}

export interface Action<Name extends string, Subject extends object> {
  readonly name: Name;
  readonly facts: Readonly<Record<string, string>>;
  open(reader: MemberReader): OpenedSubject<Name, Subject>;
}

/** Keeps a subject, its type and its words together: whoever opens a subject gets all three of one action. */
export function defineAction<const Name extends string, Subject extends object>(
  definition: ActionDefinition<Name, Subject>,
): Action<Name, Subject> {
  const { name, facts, read, title, rows } = definition;
  return {
    name,
    facts,
    open: (reader) => {
      const subject = Object.freeze(read(reader));
      reader.done();
      return { said: { action: name, subject }, title: title(subject), rows: rows(subject) };
    },
  };
}
