import { ServiceError } from "@redoubt/base";
import { ProtobufReader, ProtobufWriter } from "./protobuf.ts";

/** Package `v1`, service `ExternalJWTSigner` (KEP-740): the paths of its three calls. */
export const EXTERNAL_JWT_PATHS = {
  sign: "/v1.ExternalJWTSigner/Sign",
  fetchKeys: "/v1.ExternalJWTSigner/FetchKeys",
  metadata: "/v1.ExternalJWTSigner/Metadata",
} as const;

export interface PublishedKey {
  /** At most 1024 characters. */
  readonly keyId: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly key: Buffer;
}

export interface PublishedKeys {
  readonly keys: readonly PublishedKey[];
  readonly dataTimestampSeconds: number;
  /** More than 0. */
  readonly refreshHintSeconds: number;
}

/**
 * SignJWTRequest: the payload's segment, exactly as it stands in the token.
 *
 * @throws ServiceError `ERR_WIRE_FRAME`
 */
export function decodeSignRequest(bytes: Buffer): string {
  const reader = new ProtobufReader(bytes);
  let claims: string | undefined;
  for (let field = reader.next(); field; field = reader.next()) {
    if (field.number !== 1) reader.skip(field);
    // proto3 takes the last of several values; which of them others looked at would be open.
    else if (claims === undefined) claims = reader.string(field);
    else throw new ServiceError("ERR_WIRE_FRAME", "Protocol buffer: claims given twice");
  }
  return claims ?? "";
}

/**
 * FetchKeysRequest and MetadataRequest, which have no fields yet.
 *
 * @throws ServiceError `ERR_WIRE_FRAME`
 */
export function decodeEmptyRequest(bytes: Buffer): void {
  const reader = new ProtobufReader(bytes);
  for (let field = reader.next(); field; field = reader.next()) reader.skip(field);
}

/** SignJWTResponse. */
export function encodeSignResponse(header: string, signature: string): Buffer {
  return new ProtobufWriter().string(1, header).string(2, signature).finish();
}

/** FetchKeysResponse. No key here is excluded from discovery: each may sign, or has signed, bound tokens. */
export function encodeFetchKeysResponse(published: PublishedKeys): Buffer {
  const writer = new ProtobufWriter();
  for (const { keyId, key } of published.keys)
    writer.message(1, new ProtobufWriter().string(1, keyId).bytes(2, key).finish());
  return writer
    .message(2, new ProtobufWriter().integer(1, published.dataTimestampSeconds).finish())
    .integer(3, published.refreshHintSeconds)
    .finish();
}

/** MetadataResponse. */
export function encodeMetadataResponse(maxTokenExpirationSeconds: number): Buffer {
  return new ProtobufWriter().integer(1, maxTokenExpirationSeconds).finish();
}
