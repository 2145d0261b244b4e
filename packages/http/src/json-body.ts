import { JsonError, parseJsonObject, type JsonLimits, type JsonObject } from "@redoubt/verify/json";
import { HttpError } from "./errors.ts";
import { requireContentType } from "./form.ts";
import type { HttpRequest } from "./message.ts";

/**
 * Reads a body that must be one strict JSON object.
 *
 * @throws HttpError `ERR_HTTP_CONTENT_TYPE`, `ERR_HTTP_JSON`
 */
export function readJson(
  request: Pick<HttpRequest, "rawHeaders" | "body">,
  limits: JsonLimits = {},
): JsonObject {
  requireContentType(request, "application/json");
  try {
    return parseJsonObject(request.body, limits);
  } catch (cause) {
    if (cause instanceof JsonError)
      throw new HttpError("ERR_HTTP_JSON", `Body is refused: ${cause.message}`, { cause });
    throw cause;
  }
}
