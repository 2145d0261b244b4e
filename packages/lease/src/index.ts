export { bindingMessage, boundData, NONCE_BYTES, type Binding } from "./binding.ts";
export {
  encodeGrant,
  holderKeyOf,
  isHolder,
  leaseEntry,
  openGrant,
  proveHolder,
  type Grant,
  type GrantLog,
} from "./grant.ts";
export { encodeLease, MAX_LEASE_SECONDS, parseLease, type Lease } from "./lease.ts";
export { readGrantLog } from "./read-grant-log.ts";
export { publicKeyOf, rawPublicKey } from "./raw-key.ts";
export { openSealed, seal } from "./sealing.ts";
