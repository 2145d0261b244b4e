import { KEY_ALGORITHMS } from "../public-key.ts";
import type { CorpusCase } from "./fixture.ts";
import {
  CONSUMER_ISSUER,
  CONSUMER_TENANT,
  ENTERPRISE_ISSUER,
  TENANT_A,
  TENANT_B,
} from "./fixture.ts";

/**
 * What a verifier must have to refuse a class: nothing but issuer, audience, algorithms, typ and a key set; a stricter
 * reading of tokens than the RFCs ask for; or knowledge of what each key may sign.
 */
export type ClassNeeds = "nothing" | "strict-profile" | "key-scope";

export interface CorpusClass {
  readonly name: string;
  readonly title: string;
  readonly needs: ClassNeeds;
}

interface CaseClass extends CorpusClass {
  /** Cases by their names without the key's. */
  readonly cases: readonly (string | RegExp)[];
}

const CLASSES: readonly CaseClass[] = [
  { name: "valid", title: "Good tokens", needs: "nothing", cases: [/^valid: /] },
  {
    name: "form",
    title: "Not a signed JWT: segments, JSON, UTF-8",
    needs: "nothing",
    cases: [
      /segments$/,
      "JSON serialisation",
      "header is an array",
      "payload is an array",
      "payload is null",
      "invalid UTF-8",
      "trailing comma",
      /^not JSON/,
    ],
  },
  {
    name: "algorithm",
    title: "Algorithm none, HMAC with a public key, not the key's algorithm",
    needs: "nothing",
    cases: [
      /^alg /,
      /^HS256 /,
      "RS512",
      "EdDSA instead of Ed25519",
      "PS256 for an RS256 key",
      "alg missing",
    ],
  },
  {
    name: "signature",
    title: "Signature forged, empty, of another form or padding",
    needs: "nothing",
    cases: [
      "payload of another token",
      /^(?:all-zero|empty|psychic|ECDSA|PSS|PKCS #1) signature/,
      "signature with one byte more",
      "same kid, attacker's key",
      /^PSS with/,
    ],
  },
  {
    name: "kid",
    title: "kid of nobody or of another type",
    needs: "nothing",
    cases: [/^kid (?!missing)/],
  },
  { name: "crit", title: "Unknown extensions in crit", needs: "nothing", cases: [/^crit /] },
  { name: "typ", title: "typ of another kind, or none", needs: "nothing", cases: [/^typ /] },
  {
    name: "times",
    title: "exp and nbf",
    needs: "nothing",
    cases: ["exp missing", "exp text", /^nbf /, "boundary: at exp and tolerance"],
  },
  {
    name: "issuer",
    title: "iss of somebody else, or none",
    needs: "nothing",
    cases: [
      "iss missing",
      "iss array",
      "scope: iss of somebody else",
      "scope: iss is the template itself",
    ],
  },
  {
    name: "audience",
    title: "aud of another service, or none",
    needs: "nothing",
    cases: ["aud missing", "aud of another service"],
  },
  {
    name: "base64url",
    title: "Another spelling of the same bytes",
    needs: "strict-profile",
    cases: [
      "padding",
      "line end",
      "leading space",
      "foreign character inside",
      "letter that folds to A",
      "other base64 alphabet",
      "spare bits set in the signature",
    ],
  },
  {
    name: "duplicate-members",
    title: "A member twice: two parsers read two tokens",
    needs: "strict-profile",
    cases: [/^duplicate member/],
  },
  {
    name: "strict-json",
    title: "JSON that parsers read differently",
    needs: "strict-profile",
    cases: ["__proto__", "byte order mark", "exp 1e400", "lone surrogate"],
  },
  {
    name: "bounds",
    title: "Length and depth without a bound",
    needs: "strict-profile",
    cases: ["too long", "nested 1000 deep"],
  },
  {
    name: "header-members",
    title: "Members of the header that name keys or encodings; no kid",
    needs: "strict-profile",
    cases: ["embedded jwk", "jku", "x5u", "x5c", "b64 false", "zip", "enc", "kid missing"],
  },
  {
    name: "issued-at",
    title: "iat and exp beside it",
    needs: "strict-profile",
    cases: [/^iat /, "exp fraction", "exp not after iat", /^boundary: iat ahead/],
  },
  {
    name: "claims",
    title: "Claims of another type or missing: sub, jti, tid, members of aud",
    needs: "strict-profile",
    cases: ["sub missing", "jti number", /^tid /, "aud with an object"],
  },
  {
    name: "binding",
    title: "A token bound to a key, taken as a bearer token",
    needs: "strict-profile",
    cases: [/^bound token/],
  },
  {
    name: "key-realm",
    title: "A real key of another realm, issuer, tenant, class (Storm-0558)",
    needs: "key-scope",
    cases: [
      /^scope: (?:consumer|enterprise) key/,
      "scope: iss of another tenant than tid",
      "scope: key for ID tokens",
      "scope: an audience that the key may not name",
    ],
  },
  {
    name: "key-window",
    title: "A retired or early key; a lifetime beyond the key's",
    needs: "key-scope",
    cases: [
      /^scope: retired key/,
      /^scope: pre-published key/,
      /^scope: lifetime/,
      "boundary: iat one second before the window",
    ],
  },
];

/** What a verifier without key scope is given in its place: one key set, and everybody whose tokens may come. */
export function plainVerifier(): object {
  return {
    issuer: [
      ...[TENANT_A, TENANT_B].map((tenant) => ENTERPRISE_ISSUER.replace("{tenantid}", tenant)),
      CONSUMER_ISSUER.replace("{tenantid}", CONSUMER_TENANT),
    ],
    algorithms: KEY_ALGORITHMS,
    typ: "at+jwt",
    clockToleranceSeconds: 60,
    maxTokenLength: 16_384,
  };
}

export function corpusClasses(): readonly CorpusClass[] {
  return CLASSES.map(({ name, title, needs }) => ({ name, title, needs }));
}

/** The one class of a case; throws for a case that has none or several. */
export function classOf({ name }: Pick<CorpusCase, "name">): string {
  const bare = name.replace(/^ent-\w+: /, "");
  const found = CLASSES.filter(({ cases }) =>
    cases.some((pattern) => (typeof pattern === "string" ? pattern === bare : pattern.test(bare))),
  );
  const [only] = found;
  if (only === undefined || found.length > 1)
    throw new RangeError(`${name}: in ${found.map((one) => one.name).join(", ") || "no class"}`);
  return only.name;
}
