export {
  generateKeyPair,
  joseFromDer,
  publicJwk,
  SIGNATURE_ALGORITHMS,
  signerFor,
  type SignatureAlgorithm,
  type Signer,
} from "./algorithm.ts";
export { CUSTODY_LABELS, type Custodian, type CustodyKey, type CustodyLabel } from "./custody.ts";
export { KeyError, type KeyErrorCode } from "./errors.ts";
export { openFileCustodian, type FileCustodianOptions } from "./file-custodian.ts";
export { jwkOf, keysForIssuer, type RedoubtJwk } from "./jwks.ts";
export { createKeyFile, openKeyFile, readPassphrase, type KeyPair } from "./key-file.ts";
export {
  checkTransition,
  decideNextState,
  isPublished,
  isReadyToSign,
  KEY_STATES,
  type KeyState,
  type LifeCycleInput,
  type LifeCyclePolicy,
} from "./life-cycle.ts";
export {
  encodeKeyRecord,
  signKeyRecord,
  verifyKeyRecord,
  type KeyRecordFields,
  type SignedKeyRecord,
} from "./record.ts";
export type { FoldResult, KeyInfo, RealmInfo, RegistryItem, WriterInfo } from "./registry-types.ts";
export { Registry, ringGroup } from "./registry.ts";
export { DRILL_AUDIENCE } from "./scope-rules.ts";
export { openSealedFile, writeSealedFile, type Kdf } from "./sealed-file.ts";
export { MAX_STATEMENT_BYTES, parseStatement } from "./statement-parser.ts";
export {
  registryEntry,
  signStatement,
  verifyStatementAuthor,
  type SignedStatement,
  type StatementSigner,
} from "./statement.ts";
export type {
  ClientStatement,
  KeyStateStatement,
  KeyStatement,
  RealmStatement,
  ReporterStatement,
  Statement,
  StatementBody,
  StatementType,
  TenantRule,
  TenantStatement,
  WriterStatement,
} from "./statement-types.ts";
