export {
  credentialsHash,
  credentialsOf,
  encodeCredentials,
  MAX_CREDENTIALS,
  MAX_CREDENTIALS_BYTES,
  parseClientJwk,
  parseCredentials,
  type ClientCredentials,
  type ClientKey,
  type ClientSecret,
  type CredentialsDocument,
} from "./client-credentials.ts";
export {
  attestationMember,
  attestationPath,
  jwkOf,
  keysForIssuer,
  type RedoubtJwk,
} from "./jwks.ts";
export type {
  ClientInfo,
  ClosedLog,
  FoldResult,
  KeyEvent,
  KeyInfo,
  RealmInfo,
  RegistryItem,
  BrokerInfo,
  WriterInfo,
} from "./registry-types.ts";
export { byteLength, type ShownItem } from "./registry-page.ts";
export { RegistryReader, type RegistryReaderOptions } from "./registry-reader.ts";
export { Registry } from "./registry.ts";
export { readEd25519Key, readPinnedRegistry, type PinnedRegistry } from "./pinned-registry.ts";
export { isShownTo, seesCredentials, seesStatement } from "./readers.ts";
export { reporterPublicKey } from "./reporter-key.ts";
export {
  checkRootLife,
  verifyNextRoot,
  verifyRootChain,
  type RootChainOptions,
} from "./root-chain.ts";
export {
  encodeRoot,
  MAX_ROOT_KEYS,
  MAX_ROOT_SECONDS,
  parseRoot,
  ROOT_KEY_NAME,
  ROOT_KINDS,
  type Root,
  type RootDocument,
  type RootKey,
  type RootKind,
  type RootRealm,
} from "./root-document.ts";
export { operatorNamedBy, type RootInfo } from "./root-fold.ts";
export { encodeRootKey, MAX_ROOT_KEY_BYTES, parseRootKey } from "./root-key.ts";
export {
  combineRoots,
  encodeSignedRoot,
  MAX_SIGNED_ROOT_BYTES,
  parseSignedRoot,
  rootSigners,
  signRoot,
  verifyRootThreshold,
  type RootSignature,
  type SignedRoot,
} from "./root-signature.ts";
export { checkLoginUri, type ClientLogin } from "./client-login.ts";
export { checkApart, DRILL_AUDIENCE } from "./scope-rules.ts";
export { MAX_STATEMENT_BYTES, parseStatement } from "./statement-parser.ts";
export {
  isSignedBy,
  registryEntry,
  signStatement,
  verifyStatementAuthor,
  type SignedStatement,
  type StatementSigner,
} from "./statement.ts";
export { PINNED, type Pinned } from "./statement-types.ts";
export type {
  ClientStatement,
  KeyRetainStatement,
  KeyStateStatement,
  KeyStatement,
  BodyReadStatement,
  PinnedKeyStatement,
  RealmStatement,
  ReporterStatement,
  RetainAuthor,
  RootStatement,
  Statement,
  StatementBody,
  StatementType,
  TenantRule,
  TenantStatement,
  WitnessForwardStatement,
  BrokerStatement,
  WriterStatement,
} from "./statement-types.ts";
