import { readSized, TPM_ALG } from "./algorithms.ts";
import { execute, type Authorization } from "./command.ts";
import { flushedAfter } from "./handles.ts";
import { sized, u16, u32 } from "./marshal.ts";
import { encodeSelection, type PcrSelection } from "./pcr-selection.ts";
import type { KeyTemplate } from "./templates.ts";
import { MAX_RESPONSE_BYTES, type Transport } from "./transport.ts";

/** A key that the TPM made from a template, or one that it keeps under a persistent handle (Azure's AK: 0x81000003). */
export type TpmKey = KeyTemplate | { readonly persistentHandle: number };

export interface LoadedKey {
  readonly handle: number;
  /** TPMT_PUBLIC. */
  readonly publicArea: Buffer;
}

/** An object that only its parent, in its TPM, can load. */
export interface TpmObject {
  /** TPM2B_PRIVATE without its size. */
  readonly privateArea: Uint8Array;
  /** TPMT_PUBLIC. */
  readonly publicArea: Uint8Array;
}

const NO_DATA: readonly Uint8Array[] = [];
const PASSWORD: readonly Authorization[] = ["empty password"];

/** Makes the key, or finds it, and flushes what it made. */
export async function withKey<T>(
  transport: Transport,
  key: TpmKey,
  use: (loaded: LoadedKey) => Promise<T>,
): Promise<T> {
  if ("persistentHandle" in key) {
    const handle = key.persistentHandle;
    return use({ handle, publicArea: await readPublic(transport, handle) });
  }
  const { handle, parameters } = await execute(transport, "CreatePrimary", {
    handles: [key.hierarchy],
    authorizations: PASSWORD,
    parameters: creation(key.publicArea),
  });
  return flushedAfter(transport, handle, () =>
    use({
      handle,
      publicArea: readSized(parameters, MAX_RESPONSE_BYTES, "CreatePrimary.outPublic"),
    }),
  );
}

async function readPublic(transport: Transport, handle: number): Promise<Buffer> {
  const { parameters } = await execute(transport, "ReadPublic", { handles: [handle] });
  return readSized(parameters, MAX_RESPONSE_BYTES, "ReadPublic.outPublic");
}

/** TPM2B_SENSITIVE_CREATE with an empty password, template, no outside data, no PCRs of the creation. */
function creation(publicArea: Uint8Array, data: readonly Uint8Array[] = NO_DATA): Buffer {
  const sensitive = sized(sized(), sized(...data));
  return Buffer.concat([sensitive, sized(publicArea), sized(), u32(0)]);
}

/** Create: an object under a storage key; with data, that data is sealed. */
export async function createObject(
  transport: Transport,
  parent: LoadedKey,
  publicArea: Uint8Array,
  data: Uint8Array,
): Promise<TpmObject> {
  const { parameters } = await execute(transport, "Create", {
    handles: [parent.handle],
    authorizations: PASSWORD,
    parameters: creation(publicArea, [data]),
  });
  return {
    privateArea: readSized(parameters, MAX_RESPONSE_BYTES, "Create.outPrivate"),
    publicArea: readSized(parameters, MAX_RESPONSE_BYTES, "Create.outPublic"),
  };
}

export async function withObject<T>(
  transport: Transport,
  parent: LoadedKey,
  object: TpmObject,
  use: (handle: number) => Promise<T>,
): Promise<T> {
  const { handle } = await execute(transport, "Load", {
    handles: [parent.handle],
    authorizations: PASSWORD,
    parameters: Buffer.concat([sized(object.privateArea), sized(object.publicArea)]),
  });
  return flushedAfter(transport, handle, () => use(handle));
}

export async function quoteWith(
  transport: Transport,
  ak: LoadedKey,
  selection: PcrSelection,
  qualifyingData: Uint8Array,
): Promise<{ quote: Buffer; signature: Buffer }> {
  const { parameters } = await execute(transport, "Quote", {
    handles: [ak.handle],
    authorizations: PASSWORD,
    parameters: Buffer.concat([
      sized(qualifyingData),
      u16(TPM_ALG.null),
      encodeSelection(selection),
    ]),
  });
  const quote = readSized(parameters, MAX_RESPONSE_BYTES, "Quote.quoted");
  return { quote, signature: parameters.bytes(parameters.left) };
}

export async function unsealObject(
  transport: Transport,
  handle: number,
  authorization: Authorization,
): Promise<Buffer> {
  const { parameters } = await execute(transport, "Unseal", {
    handles: [handle],
    authorizations: [authorization],
  });
  return readSized(parameters, MAX_RESPONSE_BYTES, "Unseal.outData");
}
