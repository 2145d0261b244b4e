import { existsSync } from "node:fs";
import { errorCode, ServiceError } from "@redoubt/base";
import { byteLength, credentialsHash, parseStatement, registryEntry } from "@redoubt/registry";
import { readRegistryCopy } from "@redoubt/ledger/registry-copy";
import { buildConsistencyProof, CompactRange } from "@redoubt/tlog";
import {
  ask,
  ISSUER,
  LEDGER,
  MONITOR,
  MONITOR_LIMITS,
  RemoteError,
  type Answered,
  type Asked,
} from "@redoubt/wire";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import { REALMS, REGISTRY_LOG, type Realm } from "../layout.ts";
import { withOperator, type Operator } from "../operator.ts";
import { restartServices } from "./restart.ts";
import { lookAtLogs, type CosignedNote } from "./log-state.ts";

export interface RegistryOptions {
  readonly from?: readonly string[];
  readonly yes?: boolean;
}

/** Gives the ledger back the registry that the witness cosigned, from the first copy that hashes to its root. */
export function recoverRegistry(
  context: CommandContext,
  options: RegistryOptions,
): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator, place) => {
    const states = await lookAtLogs(operator, place);
    const state = states.find(({ log }) => log === REGISTRY_LOG);
    const target = state?.newest;
    if (!state || !target)
      throw new ServiceError("ERR_RECOVER", "No cosigned checkpoint of the registry was found");
    if (state.ledgerSize !== undefined && state.ledgerSize >= target.size) {
      terminal.result({ json: { restored: 0 }, text: "The registry is whole" });
      return EXIT.ok;
    }
    const files = (options.from ?? []).map((name) => fileArgument(context, name));
    const copy = await findCopy(operator, target, files);
    const { source, lost } = await withCredentials(operator, copy);
    terminal.notice(
      `The registry is restored to the ${target.size} statements that the witness cosigned, from ${source.name}; what the ledger cannot read of it is set aside. The ledger is restarted.`,
    );
    if (lost > 0)
      terminal.notice(
        `Nobody has what ${lost} clients prove themselves with: an old ledger.db may (--from), or redoubt clients rotate gives them something new.`,
      );
    await confirm(context, "Restoring the registry", options.yes);
    const restored = await restoreFrom(operator, source, target);
    await restartServices(place, ["ledger"]);
    const text = `${restored} statements restored. Now the other logs: redoubt recover check`;
    terminal.result({ json: { restored, size: target.size, from: source.name, lost }, text });
    return EXIT.ok;
  });
}

interface Said {
  readonly statement: Buffer;
  readonly envelope: Buffer;
  readonly credentials?: Buffer | undefined;
}

/** A copy of the registry that gives the cosigned root. */
interface RegistrySource {
  readonly name: string;
  readonly items: readonly Said[];
}

const PAGE = 64;
const NO_ENTRY = Buffer.alloc(0);
/** The head of a request to the ledger has at most 256 KiB, a statement at most 128 KiB. */
const MAX_PAGE_CHARS = 160 * 1024;

/**
 * The first of the copies whose first entries give the root that the witness cosigned.
 *
 * @throws ServiceError `ERR_RECOVER` where none does, with what each has
 */
async function findCopy(
  operator: Operator,
  { size, root }: CosignedNote,
  files: readonly string[],
): Promise<RegistrySource> {
  const names = ["the monitor's copy", ...files];
  const found: string[] = [];
  for (const [i, name] of names.entries()) {
    const items = i === 0 ? await monitorCopy(operator) : fileCopy(name);
    const range = CompactRange.empty();
    range.appendEntries(entriesOf(items.slice(0, size)));
    if (range.size === size && range.root().equals(root))
      return { name, items: items.slice(0, size) };
    found.push(`${name} has ${items.length}${items.length >= size ? " others" : ""}`);
  }
  throw new ServiceError(
    "ERR_RECOVER",
    `No copy gives the ${size} statements that the witness cosigned: ${found.join(", ")}. Name a copy of ledger.db with --from`,
  );
}

/**
 * Adds the credentials that the statements name, as far as the copy or the issuers have them; the monitor keeps none.
 * `lost` is how many clients have none left.
 */
async function withCredentials(
  operator: Operator,
  { name, items }: RegistrySource,
): Promise<{ readonly source: RegistrySource; readonly lost: number }> {
  const known = new Map<string, Buffer>();
  for (const realm of REALMS)
    for (const document of await issuerCredentials(operator, realm))
      known.set(credentialsHash(document), document);
  const missing = new Set<string>();
  const whole = items.map((item) => {
    const statement = parseStatement(item.statement);
    if (statement.type !== "client") return item;
    const who = [statement.realm, statement.tenant, statement.client].join("/");
    missing.delete(who);
    const { credentialsHash: named } = statement;
    if (named === undefined) return item;
    const credentials = item.credentials ?? known.get(named);
    if (!credentials) missing.add(who);
    return { ...item, credentials };
  });
  return { source: { name, items: whole }, lost: missing.size };
}

/** What a realm's issuer keeps of credentials; nothing if it does not answer, and then it counts as lost. */
async function issuerCredentials(operator: Operator, realm: Realm): Promise<readonly Buffer[]> {
  const issuer = operator.client(`issuer-${realm}`);
  const documents: Buffer[] = [];
  try {
    for (let from: number | undefined = 0; from !== undefined;) {
      const page: Answered<typeof ISSUER.credentials> = await ask(issuer, ISSUER.credentials, {
        from,
      });
      documents.push(...page.items.map(({ credentials }) => credentials));
      from = page.next !== undefined && page.next > from ? page.next : undefined;
    }
  } catch (error) {
    if (!errorCode(error).startsWith("ERR_WIRE")) throw error;
  }
  return documents;
}

function entriesOf(items: readonly Said[]): Buffer[] {
  return items.map(({ statement, envelope }) => registryEntry(statement, envelope));
}

async function monitorCopy(operator: Operator): Promise<Said[]> {
  const items: Said[] = [];
  for (;;) {
    const asked = { from: items.length, max: MONITOR_LIMITS.registryItems };
    const page = await ask(operator.client("monitor"), MONITOR.registry, asked);
    if (page.items.length === 0) return items;
    items.push(...page.items);
  }
}

function fileCopy(path: string): Said[] {
  if (!existsSync(path)) throw new ServiceError("ERR_RECOVER", `There is no ${path}`);
  return readRegistryCopy(path, REGISTRY_LOG);
}

/** Gives the ledger what it lost, page by page; each is proven to be part of the cosigned tree. */
async function restoreFrom(
  operator: Operator,
  { items }: RegistrySource,
  { note, size }: CosignedNote,
): Promise<number> {
  const entries = entriesOf(items);
  const prove = prover(entries);
  let from = await heldByLedger(operator, note);
  const first = from;
  while (from < size) {
    const page: Said[] = [];
    for (let chars = 0; from + page.length < size && page.length < PAGE;) {
      const item = items[from + page.length] ?? fail();
      chars += byteLength({ entry: NO_ENTRY, ...item }) * 1.4;
      if (page.length > 0 && chars > MAX_PAGE_CHARS) break;
      page.push(item);
    }
    const end = from + page.length;
    await restorePage(operator, { note, from, items: page, proof: prove(end) });
    from = end;
  }
  return from - first;
}

function restorePage(
  operator: Operator,
  page: Omit<Asked<typeof LEDGER.restore>, "log">,
): Promise<unknown> {
  return ask(operator.client("ledger"), LEDGER.restore, { log: REGISTRY_LOG, ...page });
}

/** How many entries the ledger can still read: its refusal of a page that begins elsewhere says so. */
async function heldByLedger(operator: Operator, note: string): Promise<number> {
  const from = Number.MAX_SAFE_INTEGER;
  try {
    await restorePage(operator, { note, from, items: [], proof: [] });
  } catch (error) {
    if (error instanceof RemoteError && error.code === "ERR_LEDGER_SIZE") {
      const { size } = error.details;
      if (typeof size === "number") return size;
    }
    throw error;
  }
  throw new ServiceError("ERR_RECOVER", "The ledger does not say what it holds of the registry");
}

function prover(entries: readonly Buffer[]): (size: number) => Buffer[] {
  const nodes = new Map<string, Buffer>();
  CompactRange.empty().appendEntries(entries, (level, index, node) =>
    nodes.set(`${level}/${index}`, node),
  );
  const read = (level: number, index: number): Buffer => nodes.get(`${level}/${index}`) ?? fail();
  return (size) =>
    size === entries.length ? [] : buildConsistencyProof(read, size, entries.length);
}

function fail(): never {
  throw new RangeError("A copy is as long as the tree that it gives");
}
