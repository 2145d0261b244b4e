export { isJsonObject } from "@redoubt/verify/json";
export { backOffMs } from "./back-off.ts";
export { canonicalBytes, encodeCanonical } from "./canonical.ts";
export { nowSeconds, systemClock, type Clock } from "./clock.ts";
export { ConfigReader, configError } from "./config-reader.ts";
export { dropAddons } from "./drop-addons.ts";
export { isOutOfSpace, readSpace, spaceOf, type ReadSpace, type Space } from "./disk-space.ts";
export {
  checkPrivateFolder,
  privateFileExists,
  readPrivateFile,
  writeDurable,
} from "./durable-file.ts";
export { errorCode, errorLine, ServiceError } from "./errors.ts";
export { EventLines, FULL_LINES } from "./events.ts";
export type { EventClass, EventClasses, EventSink } from "./events.ts";
export { callerPattern, CLIENT_ID, REALM, SHA256, UUID } from "./ids.ts";
export { fileBytes, Histogram, PROCESS_METRICS, type Metric, type Sample } from "./metrics.ts";
export { MemberReader, type MemberErrorCode } from "./members.ts";
export { Secret } from "./secret.ts";
export { TokenBucket, type BucketLimit } from "./token-bucket.ts";
export { writeFully } from "./write-fully.ts";
export { runService, type Service, type ServiceContext } from "./service.ts";
