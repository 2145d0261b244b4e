import { readFileSync } from "node:fs";

const TOKENS = new URL("../../../../vectors/verifier/tokens.json", import.meta.url);

/** A class of cases, and what a verifier must have to decide them right (vectors/verifier/README.md). */
export interface CorpusClass {
  readonly name: string;
  readonly title: string;
  readonly needs: "nothing" | "strict-profile" | "key-scope";
}

export interface Case {
  readonly id: number;
  readonly name: string;
  readonly class: string;
  readonly isValid: boolean;
  /** The line that the verifier reads. */
  readonly question: string;
}

export interface Corpus {
  readonly classes: readonly CorpusClass[];
  readonly cases: readonly Case[];
}

/** Trusted as the sources are: it is a part of this repository. */
interface TokenFile {
  readonly now: number;
  readonly audience: string;
  readonly accept: readonly object[];
  readonly keys: readonly { readonly jwk: { readonly kid: string } }[];
  readonly plainVerifier: object;
  readonly classes: readonly CorpusClass[];
  readonly tests: readonly {
    readonly id: number;
    readonly name: string;
    readonly class: string;
    readonly token: string;
    readonly now?: number;
    readonly result: "valid" | "invalid";
  }[];
}

/** Reads the corpus and makes a question of each token (docs/guide/conformance.md). */
export function readCorpus(): Corpus {
  const file: TokenFile = JSON.parse(readFileSync(TOKENS, "utf8"));
  const common = {
    keys: { keys: file.keys.map(({ jwk }) => ({ ...jwk, use: "sig" })) },
    audience: file.audience,
    ...file.plainVerifier,
    scope: {
      accept: file.accept,
      keys: file.keys.map(({ jwk, ...scope }) => ({ kid: jwk.kid, ...scope })),
    },
  };
  const cases = file.tests.map(({ id, name, class: group, token, now = file.now, result }) => ({
    id,
    name,
    class: group,
    isValid: result === "valid",
    question: JSON.stringify({ id, now, token, ...common }),
  }));
  return { classes: file.classes, cases };
}
