import { readAlarms, waitForAlarm } from "./alarms.ts";
import { forge } from "./drill-key.ts";
import type { Outcome } from "./outcome.ts";
import { issueLegitimate, issuerOf, openVerifier, textOf, type Scene } from "./scene.ts";

const THREAT = "THREAT-03";
/** P4: from validation to alarm. */
const LIMIT_MS = 60_000;

/** A real key used outside the service: the token is valid in every respect, but nobody issued it. */
export async function* threat03(scene: Scene): AsyncGenerator<Outcome> {
  const { operator, enterprise, stolen, startedAt, reports } = scene;
  const verifier = await openVerifier(scene, "enterprise", "audit");
  const started = performance.now();
  const issued = verifier.verify(await issueLegitimate(scene, "enterprise"));
  const forged = verifier.verify(
    forge(stolen.enterprise, {
      iss: issuerOf(scene, enterprise),
      tid: enterprise.tenant,
      iat: startedAt,
      exp: startedAt + 900,
    }),
  );
  await reports.flush();
  const { digest } = forged;
  const alarm = await waitForAlarm(operator, { digest }, isForgery, LIMIT_MS);
  yield {
    threat: THREAT,
    attempt: "valid token, signed with a stolen key, never issued",
    layer: "audit",
    stopped: alarm !== undefined,
    alarmed: alarm !== undefined,
    code: textOf(alarm?.["kind"]) || "no alarm",
    seconds: Math.round((performance.now() - started) / 100) / 10,
  };
  const falseAlarms = await readAlarms(operator, { digest: issued.digest });
  yield {
    threat: THREAT,
    attempt: "control: an issued token, reported by the same verifier",
    layer: "audit",
    control: true,
    stopped: falseAlarms.length > 0,
    code: textOf(falseAlarms[0]?.["kind"]) || "accepted",
  };
  verifier.close();
}

function isForgery(alarm: { readonly kind?: unknown }): boolean {
  return alarm.kind === "forged";
}
