import { ServiceError } from "@redoubt/base";

/** gRPC over HTTP/2, "Length-Prefixed-Message": one byte that says whether it is compressed, four of length. */
const PREFIX_BYTES = 5;

/** Takes the one message of a unary call as it arrives, in pieces of any size, and keeps no more than its bound. */
export class UnaryMessage {
  readonly #maxBytes: number;
  readonly #chunks: Buffer[] = [];
  #size = 0;
  #prefix = Buffer.alloc(0);
  /** Of the message, once its prefix is whole. */
  #length: number | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws ServiceError `ERR_WIRE_FRAME`, `ERR_WIRE_TOO_LARGE`, `ERR_GRPC_COMPRESSED`, `ERR_GRPC_CARDINALITY` */
  push(chunk: Buffer): void {
    let rest = chunk;
    if (this.#length === undefined) {
      const missing = PREFIX_BYTES - this.#prefix.length;
      this.#prefix = Buffer.concat([this.#prefix, chunk.subarray(0, missing)]);
      rest = chunk.subarray(missing);
      this.#length = readPrefix(this.#prefix, this.#maxBytes);
    }
    if (rest.length === 0) return;
    this.#size += rest.length;
    if (this.#length !== undefined && this.#size > this.#length)
      throw new ServiceError("ERR_GRPC_CARDINALITY", "More than one message in a unary call");
    this.#chunks.push(rest);
  }

  /** @throws ServiceError `ERR_WIRE_FRAME`, `ERR_GRPC_CARDINALITY` when it ends too early */
  end(): Buffer {
    if (this.#prefix.length === 0)
      throw new ServiceError("ERR_GRPC_CARDINALITY", "No message in a unary call");
    if (this.#size !== this.#length)
      throw new ServiceError("ERR_WIRE_FRAME", "gRPC message ends early");
    return Buffer.concat(this.#chunks);
  }
}

function readPrefix(prefix: Buffer, maxBytes: number): number | undefined {
  const [flag = 0] = prefix;
  // THREAT-26: no compression is offered, so nothing can grow here.
  if (flag === 1) throw new ServiceError("ERR_GRPC_COMPRESSED", "Compression is not offered");
  if (flag !== 0) throw new ServiceError("ERR_WIRE_FRAME", "gRPC message has an unknown flag");
  if (prefix.length < PREFIX_BYTES) return undefined;
  const length = prefix.readUInt32BE(1);
  if (length > maxBytes)
    throw new ServiceError("ERR_WIRE_TOO_LARGE", `gRPC message is over ${maxBytes} bytes`);
  return length;
}

export function frameMessage(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
