import { anyObject, bytes, integer, oneOf, text, textOrEmpty } from "./member.ts";
import { group, list } from "./message.ts";
import { operation } from "./operation.ts";

const session = bytes({ bytes: 32 });
const challenge = bytes({ bytes: 32 });
/** Custody's own name of a key; a caller may ask for any. */
const id = textOrEmpty(512);
const alg = oneOf("ES256", "Ed25519", "RS256", "PS256");
const KEY = { id, alg, publicJwk: anyObject };
const MAX_KEYS = 4096;

/** The custody gateway's socket (docs/spec/leases.md §5). Every operation but the first two names a session. */
export const CUSTODY = {
  /** For one `begin`, soon. */
  challenge: operation("challenge", {}, { challenge }),
  /** `proof`: the holder's. `label`: what holds the keys. `expires`: POSIX seconds. */
  begin: operation(
    "begin",
    { challenge, grant: text(16_384), proof: bytes({ bytes: 64 }) },
    { session, label: text(32), expires: integer() },
  ),
  /** The JWS signing input is attached, and the signature to the answer. */
  sign: operation("sign", { session, id }, {}),
  generate: operation("generate", { session, alg }, KEY),
  open: operation("open", { session, id }, KEY),
  list: operation("list", { session }, { ids: list(id, MAX_KEYS) }),
  destroy: operation("destroy", { session, id }, {}),
  audit: operation(
    "audit",
    { session },
    { refused: list(group({ id, reason: text() }), MAX_KEYS) },
  ),
} as const;
