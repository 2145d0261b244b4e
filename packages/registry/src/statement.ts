import { hash, randomBytes, sign, verify, type KeyObject } from "node:crypto";
import { canonicalBytes, MemberReader } from "@redoubt/base";
import { SIGNATURE_TYPE, type VerifierKey } from "@redoubt/tlog";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import { KeyError } from "@redoubt/keys";
import {
  NONCE_BYTES,
  parseCanonical,
  parseStatement,
  refuseAsMalformed,
  SIGNATURE_BYTES,
} from "./statement-parser.ts";
import type { StatementBody } from "./statement-types.ts";

export interface SignedStatement {
  readonly statement: Buffer;
  readonly envelope: Buffer;
  /** The 65 public bytes. */
  readonly entry: Buffer;
}

export interface StatementSigner {
  /** Name of the verifier key that will check it. */
  readonly name: string;
  readonly privateKey: KeyObject;
}

/** logs.md §4: keeps a signature of an author from being read as one over something else. */
const STATEMENT_CONTEXT = "redoubt/statement/v1\n";
const REGISTRY_ENTRY_TAG = 0x02;
const MAX_ENVELOPE_BYTES = 1024;

/** @throws KeyError `ERR_KEY_ALG`, `ERR_STATEMENT_MALFORMED`: what cannot be read is not signed */
export function signStatement(
  body: StatementBody,
  signer: StatementSigner,
  atSeconds: number,
): SignedStatement {
  if (signer.privateKey.asymmetricKeyType !== "ed25519")
    throw new KeyError("ERR_KEY_ALG", "Author's key is not an Ed25519 key");
  const members: JsonObject = {
    ...body,
    v: 1,
    at: atSeconds,
    nonce: encodeBase64url(randomBytes(NONCE_BYTES)),
  };
  const statement = canonicalBytes(members);
  parseStatement(statement);
  const sig = encodeBase64url(sign(null, signedBytes(statement), signer.privateKey));
  const envelope = canonicalBytes({ author: signer.name, sig });
  return { statement, envelope, entry: registryEntry(statement, envelope) };
}

/** `0x02 ‖ SHA-256(statement) ‖ SHA-256(envelope)`: THREAT-35, the public log names nobody. */
export function registryEntry(statement: Uint8Array, envelope: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.of(REGISTRY_ENTRY_TAG),
    hash("sha256", statement, "buffer"),
    hash("sha256", envelope, "buffer"),
  ]);
}

/** @throws KeyError `ERR_STATEMENT_AUTHOR` unless `author` signed exactly these bytes */
export function verifyStatementAuthor(
  statement: Uint8Array,
  envelope: Uint8Array,
  author: VerifierKey,
): void {
  if (!isSignedBy(statement, envelope, author))
    throw new KeyError("ERR_STATEMENT_AUTHOR", `Statement is not signed by ${author.name}`);
}

/** @throws KeyError `ERR_STATEMENT_MALFORMED` for an envelope that is none */
export function isSignedBy(
  statement: Uint8Array,
  envelope: Uint8Array,
  author: VerifierKey,
): boolean {
  const { name, sig } = parseEnvelope(envelope);
  return (
    author.type === SIGNATURE_TYPE.ed25519 &&
    name === author.name &&
    verify(null, signedBytes(statement), author.publicKey, sig)
  );
}

function parseEnvelope(bytes: Uint8Array): { name: string; sig: Buffer } {
  return refuseAsMalformed(() => {
    const reader = new MemberReader(parseCanonical(bytes, MAX_ENVELOPE_BYTES), "envelope");
    const name = reader.string("author", 256);
    const sig = decodeBase64url(reader.string("sig", 128), { bytes: SIGNATURE_BYTES });
    reader.done();
    return { name, sig };
  });
}

function signedBytes(statement: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(STATEMENT_CONTEXT, "utf8"), statement]);
}
