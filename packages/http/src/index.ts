export { parseBasic, type BasicCredentials } from "./basic.ts";
export { addressBlock, isAddressRange, type Proxies } from "./client-address.ts";
export { HTTP_EVENTS, type HttpEvent } from "./events.ts";
export { HttpError, type HttpErrorCode } from "./errors.ts";
export { decodeFormText, readForm, requireContentType, type FormLimits } from "./form.ts";
export { html, Html, jsonText } from "./html.ts";
export { readJson } from "./json-body.ts";
export { LOOK } from "./look.ts";
export {
  jsonAnswer,
  problemAnswer,
  singleHeader,
  type HttpAnswer,
  type HttpRequest,
  type RequestHead,
} from "./message.ts";
export { pagePolicy } from "./page-policy.ts";
export type { PlaceCounts, PlaceLimits } from "./places.ts";
export { checkCertificate } from "./certificate.ts";
export {
  readHttpPlaces,
  serveEverywhere,
  type HttpListeners,
  type HttpPlaces,
} from "./public-listener.ts";
export {
  DEFAULT_LIMITS,
  HttpServer,
  serveHttp,
  type Admission,
  type HttpCounts,
  type HttpLimits,
  type HttpOptions,
} from "./server.ts";
