import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import type { PolicyReader } from "./policy-reader.ts";

/** One `lifetimeActions` item: when something happens, counted from one end of a key's life. Seconds. */
export type Trigger = { readonly afterCreate: number } | { readonly beforeExpiry: number };

/** What an Azure Key Vault key rotation policy says, and our extension, in seconds; nothing is derived from it yet. */
export interface RotationDocument {
  readonly rotate: Trigger | undefined;
  readonly notifyBeforeExpiry: number | undefined;
  readonly expiry: number | undefined;
  readonly extension: RotationExtension;
}

export interface RotationExtension {
  readonly shortDurations: boolean;
  readonly unsafeLongLived: boolean;
  readonly metadataCache: number | undefined;
  readonly prepublish: number | undefined;
  readonly verifyOnly: number | undefined;
  readonly standby: number | undefined;
  readonly alarmAtPercent: number | undefined;
}

const MAX_ACTIONS = 2;
const MAX_ID = 2048;
const MAX_SECONDS = 2 ** 40;

/**
 * The document as Azure's REST API takes and returns it (`GET …/keys/{name}/rotationpolicy`): `id` and the times of
 * its making are read and say nothing to us.
 */
export function readRotationDocument(read: PolicyReader, json: JsonObject): RotationDocument {
  const members = read.object(json, "policy", ["id", "lifetimeActions", "attributes", "redoubt"]);
  const { id } = members;
  const isId = typeof id === "string" && id.length > 0 && id.length <= MAX_ID;
  read.check(id === undefined || id === null || isId, "policy.id must be a string");
  const attributes = readAttributes(read, members["attributes"]);
  return {
    ...readActions(read, members["lifetimeActions"]),
    expiry: read.duration(attributes, "expiryTime", "attributes"),
    extension: readExtension(read, members["redoubt"]),
  };
}

function readAttributes(read: PolicyReader, value: JsonValue | undefined): JsonObject {
  if (value === undefined || value === null) return {};
  const attributes = read.object(value, "attributes", ["expiryTime", "created", "updated"]);
  for (const name of ["created", "updated"])
    if (attributes[name] !== null)
      read.integer(attributes, name, { where: "attributes", min: 0, max: MAX_SECONDS });
  return attributes;
}

function readActions(
  read: PolicyReader,
  value: JsonValue | undefined,
): Pick<RotationDocument, "rotate" | "notifyBeforeExpiry"> {
  // As with an empty list, which in Azure restores the defaults.
  if (value === undefined || value === null)
    return { rotate: undefined, notifyBeforeExpiry: undefined };
  if (!Array.isArray(value) || value.length > MAX_ACTIONS) {
    read.add("lifetimeActions must be one Rotate and one Notify at most");
    return { rotate: undefined, notifyBeforeExpiry: undefined };
  }
  const actions = value.map((item, i) => readAction(read, item, `lifetimeActions[${i}]`));
  const [rotates, notifies] = ["rotate", "notify"].map((type) =>
    actions.filter((action) => action?.type === type),
  );
  if ((rotates?.length ?? 0) > 1) read.add("lifetimeActions: Rotate stands twice");
  if ((notifies?.length ?? 0) > 1) read.add("lifetimeActions: Notify stands twice");
  const notify = notifies?.[0]?.trigger;
  return {
    rotate: rotates?.[0]?.trigger,
    notifyBeforeExpiry: notify && "beforeExpiry" in notify ? notify.beforeExpiry : undefined,
  };
}

interface Action {
  readonly type: string;
  readonly trigger: Trigger | undefined;
}

function readAction(read: PolicyReader, value: JsonValue, where: string): Action | undefined {
  const item = read.object(value, where, ["trigger", "action"]);
  const action = read.object(item["action"], `${where}.action`, ["type"]);
  const trigger = readTrigger(read, item["trigger"], `${where}.trigger`);
  const written = action["type"];
  // Azure compares it without regard to case: its REST API says Rotate, its templates rotate.
  const type = typeof written === "string" ? written.toLowerCase() : "";
  if (type !== "rotate" && type !== "notify") {
    if (isJsonObject(item["action"])) read.add(`${where}.action.type must be Rotate or Notify`);
    return undefined;
  }
  if (type === "notify" && trigger && "afterCreate" in trigger)
    read.add(`${where}: timeAfterCreate is for Rotate only`);
  return { type, trigger };
}

function readTrigger(
  read: PolicyReader,
  value: JsonValue | undefined,
  where: string,
): Trigger | undefined {
  const trigger = read.object(value, where, ["timeAfterCreate", "timeBeforeExpiry"]);
  const isSet = (name: string): boolean => trigger[name] !== undefined && trigger[name] !== null;
  const afterCreate = read.duration(trigger, "timeAfterCreate", where);
  const beforeExpiry = read.duration(trigger, "timeBeforeExpiry", where);
  if (isSet("timeAfterCreate") === isSet("timeBeforeExpiry")) {
    if (isJsonObject(value))
      read.add(`${where} must hold one of timeAfterCreate and timeBeforeExpiry`);
    return undefined;
  }
  if (afterCreate !== undefined) return { afterCreate };
  return beforeExpiry === undefined ? undefined : { beforeExpiry };
}

function readExtension(read: PolicyReader, value: JsonValue | undefined): RotationExtension {
  const where = "redoubt";
  const extension = value === undefined ? {} : read.object(value, where, EXTENSION_MEMBERS);
  return {
    shortDurations: read.boolean(extension, "shortDurations", where),
    unsafeLongLived: read.boolean(extension, "unsafeLongLived", where),
    metadataCache: read.duration(extension, "metadataCache", where),
    prepublish: read.duration(extension, "prepublish", where),
    verifyOnly: read.duration(extension, "verifyOnly", where),
    standby: read.integer(extension, "standby", { where, min: 1, max: 3 }),
    alarmAtPercent: read.integer(extension, "alarmAtPercent", { where, min: 50, max: 95 }),
  };
}

const EXTENSION_MEMBERS = [
  "shortDurations",
  "unsafeLongLived",
  "metadataCache",
  "prepublish",
  "verifyOnly",
  "standby",
  "alarmAtPercent",
] as const;
