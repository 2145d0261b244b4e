export { changed, FakeLedger, type Honest } from "./fake-ledger.ts";
export { FakeLog } from "./fake-log.ts";
export { FakeMonitor, haltedLog } from "./fake-monitor.ts";
export { FakeService } from "./fake-service.ts";
export { NO_POSTGRES, startPostgresServer, type PostgresServer } from "./postgres.ts";
export { requesterOf } from "./requester.ts";
export { makeCertificate, NO_OPENSSL } from "./self-signed.ts";
export { TestClock } from "./test-clock.ts";
export { TestEvents } from "./test-events.ts";
export { until } from "./until.ts";
export {
  SOFT_AAGUID,
  SoftAuthenticator,
  type SoftAssertion,
  type SoftAuthenticatorOptions,
  type SoftCreationOptions,
  type SoftOverrides,
  type SoftRegistration,
} from "./soft-authenticator.ts";
export {
  AttestationAuthority,
  type AttestationLeaf,
  type LeafOptions,
} from "./webauthn/attestation-authority.ts";
