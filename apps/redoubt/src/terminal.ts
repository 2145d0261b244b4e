/** What a command says: one result, as text for a person or as JSON for a program. */
export interface Result {
  readonly json: unknown;
  readonly text: string;
}

/** Where a command writes; results to stdout, everything else to stderr. */
export interface Terminal {
  result(result: Result): void;
  /** One line of a stream of results, such as a drill's attempts. */
  line(result: Result): void;
  notice(line: string): void;
}

export function openTerminal(
  isJson: boolean,
  streams: { readonly out: (text: string) => void; readonly err: (text: string) => void },
): Terminal {
  const write = ({ json, text }: Result) =>
    streams.out(isJson ? `${JSON.stringify(json)}\n` : `${text}\n`);
  return { result: write, line: write, notice: (line) => streams.err(`${line}\n`) };
}
