import { RemoteError, SIGNER } from "@redoubt/wire";
import { allowedRequest, forge } from "./drill-key.ts";
import { attempt, control, type Outcome } from "./outcome.ts";
import {
  activeKid,
  drillSocket,
  issuerOf,
  openStaleVerifier,
  publishedKids,
  registerEnterpriseKey,
  type Scene,
} from "./scene.ts";

const THREAT = "THREAT-02";
const YEAR = 365 * 86_400;

/** A key long past its time, in the hands of a verifier that still holds it. */
export async function* threat02(scene: Scene): AsyncGenerator<Outcome> {
  const { enterprise, startedAt: now } = scene;
  const expired = await registerEnterpriseKey(scene, {
    signFrom: now - 3 * YEAR,
    signUntil: now - 2 * YEAR,
    verifyUntil: now - 2 * YEAR + 3600,
  });
  const ended = await registerEnterpriseKey(scene, {
    signFrom: now - 3600,
    signUntil: now - 60,
    verifyUntil: now + 1800,
  });
  const verifier = await openStaleVerifier(scene, [expired, ended]);
  const claims = { iss: issuerOf(scene, enterprise), tid: enterprise.tenant };
  const at = (iat: number) => ({ ...claims, iat, exp: iat + 1200 });
  const layer = "verifier";
  yield await control(
    { threat: THREAT, layer, attempt: "control: signed while the key could sign" },
    () => verifier.verify(forge(ended, at(now - 600))),
  );
  yield await attempt(
    { threat: THREAT, layer, attempt: "signed now with a key that stopped signing" },
    () => verifier.verify(forge(ended, at(now))),
  );
  yield await attempt(
    { threat: THREAT, layer, attempt: "signed now with a key that expired two years ago" },
    () => verifier.verify(forge(expired, at(now))),
  );
  yield await attempt(
    { threat: THREAT, layer, attempt: "back-dated into the life of the expired key" },
    () => verifier.verify(forge(expired, { ...claims, iat: now - 2 * YEAR - 60, exp: now + 600 })),
  );
  verifier.close();
  yield* atSource(scene, expired.kid);
}

async function* atSource(scene: Scene, kid: string): AsyncGenerator<Outcome> {
  const { operator, enterprise } = scene;
  const active = await activeKid(operator, "enterprise");
  const kids = await publishedKids(scene, enterprise, active);
  yield await attempt(
    {
      threat: THREAT,
      layer: "jwks",
      attempt: "an ordinary client finds the expired key in the JWKS",
    },
    () => {
      if (!kids.includes(kid)) throw new RemoteError("ERR_JWKS_NO_MATCHING_KEY", "Not listed");
    },
  );
  yield await attempt(
    { threat: THREAT, layer: "signer", attempt: "the signer is asked to use the expired key" },
    () =>
      drillSocket(operator, "enterprise").request({
        op: SIGNER.issue.op,
        ...SIGNER.issue.request.write(allowedRequest("enterprise", enterprise.tenant)),
        kid,
      }),
  );
}
