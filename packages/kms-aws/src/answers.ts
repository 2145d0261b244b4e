import { custodyError } from "./errors.ts";

/** One key as CreateKey and DescribeKey show it. */
export interface KeyMetadata {
  readonly id: string;
  readonly arn: string;
  readonly state: string;
  readonly keySpec: string;
  readonly keyUsage: string;
  readonly origin: string;
  readonly manager: string;
  readonly isMultiRegion: boolean;
}

export interface AliasPage {
  readonly aliases: readonly { readonly name: string; readonly keyId: string | undefined }[];
  /** Where the next page begins. */
  readonly marker: string | undefined;
}

/** A key of one region with its plain id; those of several regions bear other ids. */
export const KEY_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const KEY_ARN = /^arn:aws[a-z-]{0,20}:kms:([a-z0-9-]{1,40}):\d{12}:key\/([0-9a-f-]{36})$/;
const MAX_TEXT = 2048;
/** RSA-3072 signs 384 bytes and has a public key of 422. */
const MAX_BYTES = 1024;
const MAX_ITEMS = 1000;

export function readMetadata(answer: unknown, region: string): KeyMetadata {
  const metadata = member(answer, "KeyMetadata");
  const id = text(metadata, "KeyId");
  const arn = text(metadata, "Arn");
  const [, arnRegion, arnId] = KEY_ARN.exec(arn) ?? [];
  if (!KEY_ID.test(id) || arnId !== id || arnRegion !== region)
    throw wrong("the key's id and its ARN in this region must agree");
  return {
    id,
    arn,
    state: text(metadata, "KeyState"),
    keySpec: text(metadata, "KeySpec"),
    keyUsage: text(metadata, "KeyUsage"),
    origin: text(metadata, "Origin"),
    manager: text(metadata, "KeyManager"),
    isMultiRegion: member(metadata, "MultiRegion") === true,
  };
}

export function readTags(answer: unknown): ReadonlyMap<string, string> {
  // At most 50 tags, and they come in one page: a part of them proves nothing.
  if (member(answer, "Truncated") === true) throw wrong("Tags must come in one page");
  const tags = list(answer, "Tags").map((tag): [string, string] => [
    text(tag, "TagKey"),
    text(tag, "TagValue"),
  ]);
  return new Map(tags);
}

export function readAliases(answer: unknown): AliasPage {
  const aliases = list(answer, "Aliases").map((alias) => {
    const keyId = member(alias, "TargetKeyId");
    return { name: text(alias, "AliasName"), keyId: typeof keyId === "string" ? keyId : undefined };
  });
  const isMore = member(answer, "Truncated") === true;
  return { aliases, marker: isMore ? text(answer, "NextMarker") : undefined };
}

/** A member that must be exactly what it was asked to be. */
export function checkMember(answer: unknown, name: string, expected: string): void {
  if (member(answer, name) !== expected) throw wrong(`${name} must be what was asked for`);
}

export function readBytes(answer: unknown, name: string): Uint8Array {
  const value = member(answer, name);
  if (!(value instanceof Uint8Array) || value.length === 0 || value.length > MAX_BYTES)
    throw wrong(`${name} must be 1 to ${MAX_BYTES} bytes`);
  return value;
}

function list(answer: unknown, name: string): readonly unknown[] {
  const value = member(answer, name);
  if (!Array.isArray(value) || value.length > MAX_ITEMS)
    throw wrong(`${name} must be a list of at most ${MAX_ITEMS}`);
  const items: readonly unknown[] = value;
  return items;
}

function text(object: unknown, name: string): string {
  const value = member(object, name);
  if (typeof value !== "string" || value.length > MAX_TEXT)
    throw wrong(`${name} must be a string of at most ${MAX_TEXT} characters`);
  return value;
}

function member(object: unknown, name: string): unknown {
  if (typeof object !== "object" || object === null || !Object.hasOwn(object, name))
    return undefined;
  const value: unknown = Reflect.get(object, name);
  return value;
}

function wrong(message: string) {
  return custodyError("ERR_KEY_CUSTODY", `Answer of AWS KMS: ${message}`);
}
