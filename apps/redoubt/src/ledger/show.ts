import { errorCode, nowSeconds, ServiceError, SHA256, systemClock } from "@redoubt/base";
import type { Registry } from "@redoubt/registry";
import type { JsonObject } from "@redoubt/verify/json";
import {
  ask,
  askForBytes,
  BodyCommitments,
  LEDGER,
  SIGNER,
  splitBlobs,
  type Requester,
} from "@redoubt/wire";
import { EXIT, type CommandContext } from "../command.ts";
import { DEFAULT_REALM } from "../layout.ts";
import { withOperator, type Operator } from "../operator.ts";
import { asciiJson, instant, table } from "../table.ts";
import { finding, isFinding } from "./finding.ts";
import { tokenKeys, type LogKeys } from "./log-keys.ts";
import { digestOf, proveDigest, type LoggedToken } from "./prove.ts";

export interface LedgerShowOptions {
  readonly reason: string;
  readonly realm?: string;
  /** How many days back a `jti` is looked for. */
  readonly days?: number;
}

/** What the log holds of one token, with the proof that it holds it. */
export interface ShownToken extends LoggedToken {
  /** `aud caller client context exp iat jti kid scope sub tenant`, as docs/spec/logs.md §2 has them. */
  readonly body: JsonObject;
  readonly realm: string;
  /** Index of the registry's entry that says that this was read. */
  readonly reading: number;
}

/** What is read: by the digest of the entry, or by a `jti`, which stands in no entry. */
interface Subject {
  readonly by: "digest" | "jti";
  readonly token: string;
}

const JTI = /^[\w-]{16,42}$/;
const DAYS = 7;
const DAY_SECONDS = 86_400;
const ENTRY_BYTES = 65;
/** A bundle has two bytes of length before each entry (C2SP tlog-tiles). */
const BUNDLED_BYTES = ENTRY_BYTES + 2;
const DAY_OFFSET = 17;
const PROGRESS_MS = 3000;

export function ledgerShow(
  context: CommandContext,
  named: string,
  options: LedgerShowOptions,
): Promise<number> {
  const subject = subjectOf(named);
  return withOperator(context, async (operator, { settings }) => {
    const registry = await operator.readRegistry();
    const keys = tokenKeys(settings, registry);
    try {
      const search = { context, operator, registry, keys, subject, options };
      const shown = subject.by === "digest" ? await showDigest(search) : await showJti(search);
      context.terminal.result({ json: shown, text: shownText(shown) });
      return EXIT.ok;
    } catch (error) {
      if (!isFinding(error)) throw error;
      const { message } = error;
      const code = errorCode(error);
      context.terminal.result({ json: { ...subject, code, message }, text: `${code}: ${message}` });
      return EXIT.refused;
    }
  });
}

function subjectOf(named: string): Subject {
  if (JTI.test(named) && !SHA256.test(named)) return { by: "jti", token: named };
  return { by: "digest", token: digestOf(named) };
}

interface Search {
  readonly context: CommandContext;
  readonly operator: Operator;
  readonly registry: Registry;
  readonly keys: ReadonlyMap<string, LogKeys>;
  readonly subject: Subject;
  readonly options: LedgerShowOptions;
}

async function showDigest(search: Search): Promise<ShownToken> {
  const { operator, keys, subject } = search;
  // First, so that what nobody issued is no reading.
  const proven = await proveDigest(
    operator.client("ledger"),
    keys,
    subject.token,
    nowSeconds(systemClock),
  );
  const realm = realmOf(search, proven.log);
  const reading = await sayReading(search, realm);
  const batch = await readBatch(operator.client("ledger"), proven.log, proven.index);
  const entry = Buffer.from(proven.entry, "base64url");
  const { blob, position } = bodyOf(batch, entry);
  const signer = operator.client(`signer-${realm}`);
  const asked = { log: proven.log, ...subject, entry, position };
  const { body } = await ask(signer, SIGNER.openBody, asked, blob);
  if (!body) throw finding("ERR_LOG_BODY", "The signer opens no body for this entry");
  return { ...proven, body, realm, reading };
}

/** From the newest batch back: a `jti` stands in the sealed bodies alone. */
async function showJti(search: Search): Promise<ShownToken> {
  const { operator, registry, keys, options } = search;
  const realm = options.realm ?? DEFAULT_REALM;
  if (!operator.realms.includes(realm))
    throw new ServiceError("ERR_OPTION", `Realms here are ${operator.realms.join(", ")}`);
  const reading = await sayReading(search, realm);
  const since = Math.floor(nowSeconds(systemClock) / DAY_SECONDS) - (options.days ?? DAYS);
  const logs = [...registry.writers.values()].filter((one) => one.realm === realm);
  for (const { log } of logs.toReversed()) {
    const found = await findJti(search, { log, realm, since });
    if (!found) continue;
    const digest = found.entry.toString("base64url", 1, 33);
    const now = nowSeconds(systemClock);
    const proven = await proveDigest(operator.client("ledger"), keys, digest, now);
    return { ...proven, body: found.body, realm, reading };
  }
  throw finding(
    "ERR_LOG_MISSING",
    `No body of realm ${realm} since ${instant(since * DAY_SECONDS)} has this jti: name another --realm, or more --days`,
  );
}

interface Place {
  readonly log: string;
  readonly realm: string;
  /** Days since 1970-01-01; bodies of days before are not opened. */
  readonly since: number;
}

async function findJti(
  { context, operator, subject }: Search,
  { log, realm, since }: Place,
): Promise<{ readonly entry: Buffer; readonly body: JsonObject } | undefined> {
  const signer = operator.client(`signer-${realm}`);
  const { size } = await ask(operator.client("ledger"), LEDGER.state, { log });
  let toldAt = performance.now();
  for (let end = size; end > 0;) {
    // oxlint-disable-next-line no-await-in-loop -- from the newest back, and most searches end soon
    const batch = await readBatch(operator.client("ledger"), log, end - 1);
    const recent = batch.blobs.filter((blob) => blob.readUInt16BE(DAY_OFFSET) >= since);
    if (recent.length === 0) return undefined;
    for (const blob of recent) {
      // oxlint-disable-next-line no-await-in-loop -- the signer opens one at a time
      const opened = await ask(signer, SIGNER.openBody, { log, ...subject }, blob);
      if (!opened.body || opened.position === null) continue;
      const commitment = new BodyCommitments(blob).of(opened.position);
      const entry = batch.entries.find((one) => one.subarray(33).equals(commitment));
      if (!entry) throw finding("ERR_LOG_BODY", "No entry of the batch commits to this body");
      return { entry, body: opened.body };
    }
    end = batch.first;
    if (performance.now() - toldAt > PROGRESS_MS) {
      toldAt = performance.now();
      context.terminal.notice(`Looked at ${size - end} of ${size} entries of ${log}`);
    }
  }
  return undefined;
}

/** The registry is told before anything is opened, and the signer has read it (docs/spec/logs.md §4). */
async function sayReading({ operator, subject, options }: Search, realm: string): Promise<number> {
  const { reason } = options;
  const index = await operator.state({ type: "body-read", realm, ...subject, reason });
  await operator.realmCaughtUp(realm);
  return index;
}

function realmOf({ operator, registry }: Search, log: string): string {
  const realm = registry.writers.get(log)?.realm;
  if (realm === undefined || !operator.realms.includes(realm))
    throw new ServiceError("ERR_OPTION", `Log ${log} is of no realm of this system`);
  return realm;
}

interface Batch {
  readonly first: number;
  readonly entries: readonly Buffer[];
  readonly blobs: readonly Buffer[];
}

/** @throws ServiceError `ERR_LOG_BODY` */
export async function readBatch(ledger: Requester, log: string, index: number): Promise<Batch> {
  const { answer, attachment } = await askForBytes(ledger, LEDGER.batch, { log, index });
  const { first, count, entriesBytes } = answer;
  const isOfIndex = first <= index && index < first + count;
  if (!isOfIndex || entriesBytes !== count * BUNDLED_BYTES || attachment.length < entriesBytes)
    throw finding("ERR_LOG_BODY", "Ledger answers with another batch than the one asked for");
  return {
    first,
    entries: Array.from({ length: count }, (_, i) =>
      attachment.subarray(i * BUNDLED_BYTES + 2, (i + 1) * BUNDLED_BYTES),
    ),
    blobs: splitBlobs(attachment.subarray(entriesBytes), count),
  };
}

/** The blob and the place in it that an entry commits to: the ledger is not believed. */
export function bodyOf(
  { entries, blobs }: Batch,
  entry: Buffer,
): { readonly blob: Buffer; readonly position: number } {
  const wanted = entry.subarray(33);
  for (const blob of blobs) {
    const commitments = new BodyCommitments(blob);
    for (let position = 0; position < entries.length; position += 1)
      if (commitments.of(position).equals(wanted)) return { blob, position };
  }
  throw finding("ERR_LOG_BODY", "The ledger has no body that the entry commits to");
}

function shownText({ body, log, index, cosigned, digest, reading, realm }: ShownToken): string {
  const member = (name: string): string => {
    const value = body[name];
    if (value === undefined || value === null) return "-";
    return typeof value === "object" ? asciiJson(value).replaceAll(/\s+/g, " ") : `${value}`;
  };
  const time = (name: string): string => {
    const value = body[name];
    return typeof value === "number" ? instant(value) : "-";
  };
  return [
    table([
      ["client", member("client")],
      ["tenant", `${member("tenant")}, realm ${realm}`],
      ["subject", member("sub")],
      ["audience", member("aud")],
      ["scope", member("scope")],
      ["issued", `${time("iat")}, until ${time("exp")}`],
      ["asked by", `${member("caller")}; context ${member("context")}`],
      ["jti", member("jti")],
      ["key", member("kid")],
      ["digest", digest],
      ["log", `${log}, entry ${index}${cosigned ? ", cosigned" : ", NOT COSIGNED"}`],
    ]),
    "",
    `Proof: redoubt ledger prove ${digest}`,
    `This reading is entry ${reading} of the registry.`,
  ].join("\n");
}
