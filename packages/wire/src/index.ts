export { askWitness } from "./ask-witness.ts";
export { Batcher, type BatcherOptions, type BatchQueue } from "./batcher.ts";
export { BodyCommitments, joinBlobs, splitBlobs } from "./blobs.ts";
export { proveGrowth } from "./prove-growth.ts";
export { readLogState, type LogSource } from "./read-log-state.ts";
export { SocketClient, type ClientOptions, type Reply } from "./client.ts";
export { type Answer, type Call, type Handler } from "./connection.ts";
export { Deliveries, type DeliveryLimits, type DeliveryOptions } from "./deliveries/deliveries.ts";
export { DeliveryJournal } from "./deliveries/delivery-journal.ts";
export {
  DELIVERY_EVENTS,
  deliveryEvents,
  type DeliveryEvent,
  type DeliveryEvents,
} from "./deliveries/events.ts";
export { WIRE_EVENTS, type WireEvent } from "./events.ts";
export { RemoteError, WireError, type WireErrorCode } from "./errors.ts";
export {
  encodeFrame,
  FRAME_KIND,
  FrameReader,
  MAX_FRAME_BYTES,
  MAX_HEAD_BYTES,
  type Frame,
  type FrameKind,
  type Head,
} from "./frame.ts";
export { listenAtPlace, type ListenOptions } from "./listen.ts";
export { createSocketPlace, readSocketSecret, socketPlace, type SocketPlace } from "./place.ts";
export { serveSocket, type SocketOptions } from "./server.ts";
export { BROKER } from "./protocol/broker.ts";
export { CUSTODY } from "./protocol/custody.ts";
export { LEDGER, MAX_ENTRIES, MAX_STATEMENTS } from "./protocol/ledger.ts";
export {
  anyObject,
  anything,
  bytes,
  flag,
  integer,
  mark,
  oneOf,
  text,
  textOrEmpty,
  type Member,
  type OptionalMember,
  type Shape,
  type Values,
} from "./protocol/member.ts";
export { group, list, message, nullable, optional, type Message } from "./protocol/message.ts";
export {
  ask,
  askForBytes,
  operation,
  route,
  routesByName,
  routeWithBytes,
  type Answered,
  type Asked,
  type Operation,
  type Requester,
  type Route,
  type WithBytes,
} from "./protocol/operation.ts";
export { MONITOR, MONITOR_EVENT_STATES, MONITOR_LIMITS } from "./protocol/monitor.ts";
export {
  ISSUANCE_BUCKETS,
  METRICS,
  PROCESS,
  processHandler,
  readMetrics,
  samplesBy,
  samplesOf,
  type KnownMetric,
  type MetricName,
} from "./protocol/metrics.ts";
export { ISSUER, type IssuerStatus } from "./protocol/issuer.ts";
export { PRESENCE, PRESENCE_LIMITS } from "./protocol/presence.ts";
export type { PasskeyView, PersonView } from "./protocol/people.ts";
export {
  ISSUE_REFUSAL,
  SIGNER,
  type DrillKeyRequest,
  type ExactRequest,
  type ExactSignature,
  type IssuedToken,
  type OpenedBody,
  type IssueRequest,
  type RealmKey,
  type RealmKeys,
  type RingKeyStatus,
  type RingStatus,
  type SignerMetadata,
} from "./protocol/signer.ts";
