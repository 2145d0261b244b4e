import { readDemo } from "@redoubt/cli";
import { Machine } from "../soak/machine.ts";
import { httpLoad, tokenRequest, type LoadTarget } from "./http-load.ts";
import { median, medianRatio, percentile, round, type Measure } from "./measure.ts";

const IN_FLIGHT = 16;
const ROUNDS = 7;
/** A renewal every five seconds falls into each round. */
const ROUND_SECONDS = 6;
const SIDES = { none: undefined, steady: 900, renewing: 10 } as const;
type Side = keyof typeof SIDES;

/** Issuance without leases, with one that lasts, and with one that is renewed every five seconds. */
export async function* benchLeases(): AsyncGenerator<Measure> {
  await using none = await Machine.start({ isUnbounded: true });
  await using steady = await Machine.start({ leaseSeconds: SIDES.steady, isUnbounded: true });
  await using renewing = await Machine.start({
    leaseSeconds: SIDES.renewing,
    isUnbounded: true,
  });
  const targets = { none: targetOf(none), steady: targetOf(steady), renewing: targetOf(renewing) };
  const p99: Record<Side, number[]> = { none: [], steady: [], renewing: [] };
  for (const target of Object.values(targets)) await httpLoad(target, IN_FLIGHT, 2);
  for (let i = 0; i < ROUNDS; i += 1)
    for (const side of ["none", "steady", "renewing"] as const) {
      const { latenciesMs } = await httpLoad(targets[side], IN_FLIGHT, ROUND_SECONDS);
      p99[side].push(percentile(latenciesMs, 0.99));
    }
  yield {
    name: "leases/p99, renewed every 5 s",
    value: round(median(p99.renewing)),
    unit: "ms",
    against: "a lease that lasts",
    ratio: round(medianRatio(p99.renewing, p99.steady)),
  };
  yield {
    name: "leases/p99, one that lasts",
    value: round(median(p99.steady)),
    unit: "ms",
    against: "no leases, keys in the signer",
    ratio: round(medianRatio(p99.steady, p99.none)),
  };
}

function targetOf({ system }: Machine): LoadTarget {
  const client = readDemo(system.folder).clients.find(({ realm }) => realm === "enterprise");
  if (!client) throw new Error("The enterprise demo client is missing");
  return {
    port: system.base + 2,
    request: tokenRequest(`/${client.tenant}/oauth2/v2.0/token`, client.client, client.secret, {
      grant_type: "client_credentials",
      scope: "orders.read",
    }),
  };
}
