import { ServiceError } from "@redoubt/base";
import { restorable, standbys, type Ring } from "@redoubt/keys";
import type { KeyInfo } from "@redoubt/registry";
import { span } from "../table.ts";
import { whenText } from "./key-list.ts";

/** What decides about the key that follows another. */
export interface RingView extends Ring<KeyInfo> {
  readonly nowSeconds: number;
}

/** The options among which the operator chooses where no standby is ready. */
export interface TaintChoice {
  /** The standby signs all the same; relying parties that do not know it refuse its tokens for a while. */
  readonly early?: boolean;
  /** Nothing is issued until it is ready. */
  readonly stopIssuing?: boolean;
}

/**
 * P6: where no standby is ready to follow the key that signs, a taint has a price, which the operator must choose.
 *
 * @returns for how many seconds relying parties may refuse tokens of the key that follows
 * @throws ServiceError `ERR_SIGNER_NO_STANDBY` that names the choices, and when none is needed
 */
export function checkTaint(key: KeyInfo, ring: RingView, choice: TaintChoice): number {
  const waitSeconds = secondsToStandby(key, ring);
  if (waitSeconds === 0 || choice.stopIssuing === true) return 0;
  if (choice.early === true && waitSeconds < Infinity) return waitSeconds;
  throw new ServiceError("ERR_SIGNER_NO_STANDBY", [...refusal(waitSeconds, ring)].join("; "));
}

function* refusal(waitSeconds: number, { nowSeconds }: RingView): Generator<string> {
  if (waitSeconds < Infinity) {
    yield `No standby is ready before ${whenText(nowSeconds + waitSeconds, nowSeconds)}: try again then`;
    yield `or say --early: the standby signs at once, and ${price(waitSeconds)}`;
  } else yield "No standby is published: try again when one is ready";
  yield "or say --stop-issuing: the key ends now, and its realm issues nothing until a standby is ready";
}

/** 0 where the key signs nothing, or one that is ready follows it; Infinity where none is published. */
function secondsToStandby({ state }: KeyInfo, ring: RingView): number {
  if (state !== "active" || !ring.policy) return 0;
  const [standby] = standbys(ring, ring.nowSeconds);
  return standby ? Math.max(0, standby.readyAt - ring.nowSeconds) : Infinity;
}

function price(seconds: number): string {
  return `relying parties with an older key set may refuse its tokens for up to ${span(seconds)}`;
}

/** What a taint does, for whoever is asked to confirm it. */
export function taintWarning(key: KeyInfo, ring: RingView, choice: TaintChoice): string[] {
  const { kid, realm, state } = key;
  const lines = [`Key ${kid} of realm ${realm} is ${state}`];
  if (state !== "active" || !ring.policy) return lines;
  const waitSeconds = secondsToStandby(key, ring);
  const standby = standbys(ring, ring.nowSeconds)[0]?.key.kid;
  if (waitSeconds === 0) return [...lines, `Its standby ${standby} takes over at once`];
  if (choice.early === true)
    return [...lines, `WARNING: its standby ${standby} signs at once, and ${price(waitSeconds)}`];
  const stop = `WARNING: no standby is ready: realm ${realm} will issue nothing`;
  return [...lines, stop, ...waysOut(key, ring)];
}

/** The ways in which a ring without a key that signs gets one again, as lines for a person. */
export function waysOut({ realm, record }: KeyInfo, ring: RingView): string[] {
  const { policy, nowSeconds } = ring;
  if (!policy) return [];
  const [standby] = standbys(ring, nowSeconds);
  const [replaced] = restorable(ring, nowSeconds);
  return [
    ...(standby
      ? [
          `  by itself, when the next standby is ready: ${whenText(standby.readyAt, nowSeconds)}`,
          `  at once, while some refuse its tokens: redoubt keys rotate --early --realm ${realm} --class ${record.class}`,
        ]
      : ["  by itself, once a new standby is made and every verifier can know it"]),
    ...(replaced
      ? [`  at once, if that key is above suspicion: redoubt keys rollback ${replaced.kid}`]
      : []),
  ];
}
