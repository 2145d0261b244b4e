import { ServiceError } from "@redoubt/base";
import { restorable, standbys, type Ring } from "@redoubt/keys";
import type { KeyInfo } from "@redoubt/registry";
import { span } from "../table.ts";
import { whenText } from "./key-list.ts";

/** What decides about the key that follows another. */
export interface RingView extends Ring<KeyInfo> {
  readonly nowSeconds: number;
}

/** What an operator says aloud where no standby is ready. */
export interface TaintChoice {
  /** The standby signs all the same, and some refuse its tokens. */
  readonly early?: boolean;
  /** Nothing is issued until it is ready. */
  readonly stopIssuing?: boolean;
}

/**
 * P6: a taint of the key that signs, which no standby can follow at once, has a price that is said aloud.
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
    yield `No standby was published for long enough: possible without either from ${whenText(nowSeconds + waitSeconds, nowSeconds)}`;
    yield `--early: the standby signs at once, and ${price(waitSeconds)}`;
  } else yield "No standby is published";
  yield "--stop-issuing: the key ends now, and its realm issues nothing until then";
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

/** How a ring without a key that signs gets one again. */
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
      : ["  by itself, when the next standby is ready: one is made and known"]),
    ...(replaced
      ? [`  at once, if that key is above suspicion: redoubt keys rollback ${replaced.kid}`]
      : []),
  ];
}
