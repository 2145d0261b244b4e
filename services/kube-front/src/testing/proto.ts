import protobuf, { type Type } from "protobufjs";

/** The published interface (KEP-740, version v1): its package, its messages, their fields and numbers. */
const PROTO = `
syntax = "proto3";
package v1;
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message SignJWTRequest { string claims = 1; }
message SignJWTResponse { string header = 1; string signature = 2; }
message FetchKeysRequest {}
message Key { string key_id = 1; bytes key = 2; bool exclude_from_oidc_discovery = 3; }
message FetchKeysResponse {
  repeated Key keys = 1;
  Timestamp data_timestamp = 2;
  int64 refresh_hint_seconds = 3;
}
message MetadataRequest {}
message MetadataResponse { int64 max_token_expiration_seconds = 1; }
`;

const { root } = protobuf.parse(PROTO, { keepCase: true });

export function messageType(name: string): Type {
  return root.lookupType(`v1.${name}`);
}

/** A message as another implementation writes it. */
export function encodeMessage(name: string, fields: object = {}): Buffer {
  return Buffer.from(messageType(name).encode(fields).finish());
}

/** A message as another implementation reads it, zero values filled in. */
export function decodeMessage(name: string, bytes: Buffer): Record<string, unknown> {
  const type = messageType(name);
  return type.toObject(type.decode(bytes), { defaults: true, longs: Number, bytes: Buffer });
}
