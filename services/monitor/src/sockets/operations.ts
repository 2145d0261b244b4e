import {
  MONITOR,
  MONITOR_EVENT_STATES,
  route,
  routesByName,
  type Answered,
  type Asked,
  type Call,
  type Handler,
  type Route,
} from "@redoubt/wire";
import type { Alarms } from "../alarms/alarms.ts";
import type { Coverage } from "../joins/coverage/coverage.ts";
import type { Deliveries, DeliveryReport } from "../joins/deliveries/deliveries.ts";
import { RECEIVERS } from "../config.ts";
import { monitorError } from "../errors.ts";
import { alarmClosed, type MonitorEvents } from "../events.ts";
import type { RegistryCopy } from "../follow/registry-copy.ts";
import type { IssuedJoin } from "../joins/issued/issued-join.ts";
import type { WitnessRecovery } from "../witness/recovery.ts";
import type { Witness } from "../witness/witness.ts";

export interface OperationParts {
  readonly alarms: Alarms;
  readonly coverage: Coverage;
  readonly join: Pick<IssuedJoin, "realmOf">;
  readonly deliveries: Deliveries;
  readonly witness: Witness;
  readonly recovery: WitnessRecovery;
  readonly registryCopy: RegistryCopy;
  readonly status: () => Answered<typeof MONITOR.status>;
  readonly events: MonitorEvents;
  /** Copies the database to a file in the monitor's folder, and returns the file's name. */
  readonly backup: () => Promise<string>;
}

/** The head of a frame has at most 256 KiB, and one statement at most 128 KiB. */
const MAX_PAGE_BYTES = 48 * 1024;
const DIGEST_BYTES = 32;
/** What stands before the realm in the name of a caller that receives tokens. */
const RECEIVER = new RegExp(`^(?:${RECEIVERS.join("|")})-`);

/**
 * docs/spec/wire.md §5. What a caller may do depends on the socket that it came in on, and on nothing that it says.
 */
export function monitorOperations(parts: OperationParts): Handler {
  const routes = [
    [/^operator$/, routesByName(operatorRoutes(parts))],
    [RECEIVER, routesByName(receiverRoutes(parts))],
    [/^signer-/, routesByName(signerRoutes(parts))],
    [/^broker$/, routesByName([witnessedRoute(parts)])],
  ] as const;
  return (call) => {
    const [, own] = routes.find(([callers]) => callers.test(call.caller)) ?? [];
    const found = own?.get(call.op);
    if (!found) throw refusal(call);
    return found.handle(call);
  };
}

function operatorRoutes(parts: OperationParts): Route[] {
  const { alarms, coverage, join, recovery } = parts;
  return [
    route(MONITOR.alarms, ({ limit = 100, ...query }) => alarms.list({ ...query, limit })),
    route(MONITOR.close, (request, { caller }) => {
      alarms.close(request);
      alarmClosed(parts.events, { id: request.alarm, caller });
      return { presence: "none" } as const;
    }),
    route(MONITOR.status, () => parts.status()),
    route(MONITOR.coverage, (page) => coverage.tokens(page)),
    route(MONITOR.verifications, (page) => coverage.verifications(page)),
    route(MONITOR.find, ({ digests }) => ({ items: coverage.find(bufferOf(digests), join) })),
    route(MONITOR.registry, ({ from, max }) => registryPage(parts, from, max)),
    route(MONITOR.backup, async () => ({ file: await parts.backup() })),
    witnessedRoute(parts),
    route(MONITOR.forward, (order) => ({ ...recovery.forward(order), presence: "none" as const })),
  ];
}

/** The monitor's copy of the registry, for a ledger that lost it: as many statements as fit, one at least. */
function registryPage(
  { registryCopy }: OperationParts,
  from: number,
  max: number,
): Answered<typeof MONITOR.registry> {
  const items: { readonly statement: Buffer; readonly envelope: Buffer }[] = [];
  let bytes = 0;
  for (const { statement, envelope } of registryCopy.page(from, max)) {
    bytes += statement.length + envelope.length;
    if (items.length > 0 && bytes > MAX_PAGE_BYTES) break;
    items.push({ statement, envelope });
  }
  return { from, size: registryCopy.size, items };
}

function receiverRoutes(parts: OperationParts): Route[] {
  return [
    eventRoute(parts),
    route(MONITOR.delivered, async (report, { caller }) => {
      await parts.deliveries.take(deliveryOf(caller, report));
      return { seq: report.seq };
    }),
  ];
}

/** One process of a caller; no caller has a slash in its name. */
function senderOf(caller: string, replica: number | undefined): string {
  return replica === undefined ? caller : `${caller}/${replica}`;
}

/** Everything but the caller is the issuer's word. */
function deliveryOf(
  caller: string,
  {
    session,
    replica,
    seq,
    digests,
    audiences = [],
    lost = 0,
    forgotten = 0,
    ...marks
  }: Asked<typeof MONITOR.delivered>,
): DeliveryReport {
  const realm = caller.replace(RECEIVER, "");
  const { resumed: isResumed = false, closing: isClosing = false } = marks;
  const counts = { audiences, lost, forgotten, isResumed, isClosing };
  const sender = senderOf(caller, replica);
  return { caller, sender, realm, session, seq, digests: bufferOf(digests), ...counts };
}

function signerRoutes(parts: OperationParts): Route[] {
  const { alarms } = parts;
  return [
    eventRoute(parts),
    // A signer asks before its first signature (THREAT-38).
    witnessedRoute(parts),
    // THREAT-04: somebody asked a signer for what it may not have. Repeated askings are one alarm with a count.
    route(MONITOR.refusal, ({ code, caller, detail = "" }, { caller: signer }) => {
      const subject = `${signer} ${caller} ${code}`;
      alarms.raise({ kind: "signer-refusal", subject, detail: { signer, caller, code, detail } });
      return {};
    }),
  ];
}

function witnessedRoute({ witness }: OperationParts): Route {
  return route(MONITOR.witnessed, (question) => ({ note: witness.witnessed(question) }));
}

function eventRoute({ alarms }: OperationParts): Route {
  return route(MONITOR.event, ({ kind, replica, detail = "", over = false }, call) => {
    const from = senderOf(call.caller, replica);
    const subject = `${from} ${kind}`;
    if (!over) alarms.raise({ kind: "event", subject, detail: { from, event: kind, detail } });
    // THREAT-31: only a state can be over. An alarm about what somebody did stays open until a person closes it.
    else if (MONITOR_EVENT_STATES.includes(kind)) alarms.recover("event", subject);
    else throw refusal(call);
    return {};
  });
}

function bufferOf(digests: readonly string[]): Buffer {
  const bytes = Buffer.alloc(digests.length * DIGEST_BYTES);
  for (const [i, text] of digests.entries())
    bytes.write(text, i * DIGEST_BYTES, DIGEST_BYTES, "base64url");
  return bytes;
}

function refusal({ caller, op }: Call): Error {
  return monitorError("ERR_MONITOR_OP", `No such operation for ${caller}: ${op.slice(0, 40)}`);
}
