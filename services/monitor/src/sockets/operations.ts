import { MemberReader } from "@redoubt/base";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { Answer, Call, Handler } from "@redoubt/wire";
import type { Alarms } from "../alarms/alarms.ts";
import { EVENT_STATES } from "../alarms/kinds.ts";
import type { Coverage } from "../coverage/coverage.ts";
import type { Deliveries } from "../deliveries/deliveries.ts";
import { monitorError } from "../errors.ts";
import { alarmClosed, type MonitorLog } from "../events.ts";
import type { RegistryCopy } from "../follower/registry-copy.ts";
import type { IssuedJoin } from "../issued/issued-join.ts";
import type { WitnessRecovery } from "../witness/recovery.ts";
import type { Witness } from "../witness/witness.ts";
import {
  parseAlarmQuery,
  parseClose,
  parseCoverage,
  parseDelivered,
  parseEvent,
  parseFind,
  parseForward,
  parsePage,
  parseRefusal,
  parseWitnessed,
} from "./requests.ts";

export interface OperationParts {
  readonly alarms: Alarms;
  readonly coverage: Coverage;
  readonly join: Pick<IssuedJoin, "realmOf">;
  readonly deliveries: Deliveries;
  readonly witness: Witness;
  readonly recovery: WitnessRecovery;
  readonly registryCopy: RegistryCopy;
  readonly status: () => Readonly<Record<string, unknown>>;
  readonly log: MonitorLog;
  /** Copies the database; the file's name in the monitor's folder. */
  readonly backup: () => Promise<string>;
}

/** A head has 256 KiB, and one statement at most 128 KiB. */
const MAX_PAGE_CHARS = 64 * 1024;
const NOTHING: Answer = { head: {} };

/** docs/spec/wire.md §5. What a caller may do hangs on the socket it came in on, and on nothing that it says. */
export function monitorOperations(parts: OperationParts): Handler {
  return (call) => {
    if (call.caller === "operator") return operatorCall(parts, call);
    if (/^(?:issuer|drill)-/.test(call.caller)) return issuerCall(parts, call);
    if (call.caller.startsWith("signer-")) return signerCall(parts, call);
    throw refuse(call);
  };
}

async function operatorCall(parts: OperationParts, call: Call): Promise<Answer> {
  const { alarms, status, log, recovery, coverage, join } = parts;
  switch (call.op) {
    case "alarms":
      return { head: alarms.list(parseAlarmQuery(call.head)) };
    case "status":
      return { head: status() };
    case "coverage":
      return { head: coverage.tokens(parseCoverage(call.head)) };
    case "verifications":
      return { head: coverage.verifications(parseCoverage(call.head)) };
    case "find":
      return { head: { items: coverage.find(parseFind(call.head), join) } };
    case "registry":
      return { head: registryPage(parts, call) };
    case "backup":
      new MemberReader(call.head, "backup").done();
      return { head: { file: await parts.backup() } };
    case "close": {
      const request = parseClose(call.head);
      alarms.close(request);
      alarmClosed(log, { id: request.alarm, caller: call.caller });
      return { head: { presence: "none" } };
    }
    case "witnessed":
      return { head: { note: parts.witness.witnessed(parseWitnessed(call.head)) } };
    case "witness-forward": {
      const moved = recovery.forward(parseForward(call.head));
      return { head: { ...moved, presence: "none" } };
    }
    default:
      throw refuse(call);
  }
}

/** The monitor's copy of the registry, for a ledger that lost it: as many statements as fit, one at least. */
function registryPage({ registryCopy }: OperationParts, call: Call): object {
  const { from, max } = parsePage(call.head);
  const items: object[] = [];
  let chars = 0;
  for (const { statement, envelope } of registryCopy.page(from, max)) {
    const item = { statement: encodeBase64url(statement), envelope: encodeBase64url(envelope) };
    chars += item.statement.length + item.envelope.length;
    if (items.length > 0 && chars > MAX_PAGE_CHARS) break;
    items.push(item);
  }
  return { from, size: registryCopy.size, items };
}

async function issuerCall(parts: OperationParts, call: Call): Promise<Answer> {
  if (call.op === "event") return eventCall(parts, call);
  if (call.op !== "delivered") throw refuse(call);
  const report = parseDelivered(call.caller, call.head);
  await parts.deliveries.take(report);
  return { head: { seq: report.seq } };
}

function signerCall(parts: OperationParts, call: Call): Answer {
  if (call.op === "event") return eventCall(parts, call);
  // A signer asks before its first signature (THREAT-38).
  if (call.op === "witnessed")
    return { head: { note: parts.witness.witnessed(parseWitnessed(call.head)) } };
  if (call.op !== "refusal") throw refuse(call);
  const { code, caller, detail } = parseRefusal(call.head);
  // THREAT-04: somebody asked a signer for what it may not have. Repeated askings are one alarm with a count.
  parts.alarms.raise({
    kind: "signer-refusal",
    subject: `${call.caller} ${caller} ${code}`,
    detail: { signer: call.caller, caller, code, detail },
  });
  return NOTHING;
}

function eventCall({ alarms }: OperationParts, call: Call): Answer {
  const { kind, detail, isOver } = parseEvent(call.head);
  const subject = `${call.caller} ${kind}`;
  if (isOver) {
    // THREAT-31: what somebody did stays open until a person closes it, whoever wants to take it back.
    if (!EVENT_STATES.includes(kind)) throw refuse(call);
    alarms.recover("event", subject);
    return NOTHING;
  }
  alarms.raise({ kind: "event", subject, detail: { from: call.caller, event: kind, detail } });
  return NOTHING;
}

function refuse({ caller, op }: Call): Error {
  return monitorError("ERR_MONITOR_OP", `No such operation for ${caller}: ${op.slice(0, 40)}`);
}
