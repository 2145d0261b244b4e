export {
  CLOUD_CUSTODY,
  openCustodian,
  parseCustodyConfig,
  type CloudCustody,
  type CustodyConfig,
  type CustodyLoaders,
} from "./custody-config.ts";
export {
  custodyLabel,
  custodyLaunch,
  type CustodyLaunch,
  type CustodyNeeds,
  PLAIN_FILES,
  readCustodyNeeds,
} from "./custody-needs.ts";
export {
  CUSTODY_LABELS,
  isCustodyAway,
  type Custodian,
  type CustodyKey,
  type CustodyLabel,
  type RefusedKey,
} from "./custody.ts";
export { openFileCustodian, type FileCustodianOptions } from "./file-custodian.ts";
export { createKeyFile, openKeyFile, readPassphrase, type KeyPair } from "./key-file.ts";
export { nextKeyFile } from "./key-file.ts";
export { nextAuthorKey, openAuthorKey, type Authorship } from "./author-key.ts";
export { openSealedFile, writeSealedFile, type Kdf } from "./sealed-file.ts";
export { openPrivateKey, sealPrivateKey } from "./sealed-key.ts";
export {
  GatewayCustodian,
  type GatewayCustodianOptions,
  type HeldLease,
} from "./gateway-custodian.ts";
