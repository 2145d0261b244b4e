import type { Answer, Call, Handler } from "@redoubt/wire";
import type { Alarms } from "../alarms/alarms.ts";
import { EVENT_STATES } from "../alarms/kinds.ts";
import type { Deliveries } from "../deliveries/deliveries.ts";
import { monitorError } from "../errors.ts";
import { alarmClosed, type MonitorLog } from "../events.ts";
import {
  parseAlarmQuery,
  parseClose,
  parseDelivered,
  parseEvent,
  parseRefusal,
} from "./requests.ts";

export interface OperationParts {
  readonly alarms: Alarms;
  readonly deliveries: Deliveries;
  readonly status: () => Readonly<Record<string, unknown>>;
  readonly log: MonitorLog;
}

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

function operatorCall(parts: OperationParts, call: Call): Answer {
  const { alarms, status, log } = parts;
  switch (call.op) {
    case "alarms":
      return { head: alarms.list(parseAlarmQuery(call.head)) };
    case "status":
      return { head: status() };
    case "close": {
      const request = parseClose(call.head);
      alarms.close(request);
      alarmClosed(log, { id: request.alarm, caller: call.caller });
      return { head: { presence: "none" } };
    }
    default:
      throw refuse(call);
  }
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
