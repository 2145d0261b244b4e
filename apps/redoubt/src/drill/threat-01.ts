import { ask, RemoteError, SIGNER } from "@redoubt/wire";
import type { Realm } from "../layout.ts";
import { allowedRequest, forge, registerDrillKey } from "./drill-key.ts";
import { attempt, control, type Outcome } from "./outcome.ts";
import {
  activeKid,
  drillSocket,
  issueLegitimate,
  issuerOf,
  openVerifier,
  publishedKids,
  type Scene,
} from "./scene.ts";

const THREAT = "THREAT-01";

/** Storm-0558: the consumer realm's key signs for an enterprise tenant. */
export async function* threat01(scene: Scene): AsyncGenerator<Outcome> {
  yield* atVerifier(scene);
  yield* atJwks(scene);
  yield* atSigner(scene);
}

async function* atVerifier(scene: Scene): AsyncGenerator<Outcome> {
  const { consumer, enterprise, stolen, startedAt } = scene;
  const times = { iat: startedAt, exp: startedAt + 600 };
  const layer = "verifier";
  using forConsumer = await closing(openVerifier(scene, "consumer", "off"));
  using forEnterprise = await closing(openVerifier(scene, "enterprise", "off"));
  const own = { iss: issuerOf(scene, consumer), tid: consumer.tenant, ...times };
  const crossed = { iss: issuerOf(scene, enterprise), tid: enterprise.tenant, ...times };
  yield await control(
    { threat: THREAT, layer, attempt: "control: the consumer key signs for its own issuer" },
    () => forConsumer.verifier.verify(forge(stolen.consumer, own)),
  );
  yield await control(
    { threat: THREAT, layer, attempt: "control: the enterprise realm issues a token" },
    async () => forEnterprise.verifier.verify(await issueLegitimate(scene, "enterprise")),
  );
  yield await attempt(
    { threat: THREAT, layer, attempt: "consumer key, enterprise issuer and tenant" },
    () => forEnterprise.verifier.verify(forge(stolen.consumer, crossed)),
  );
  yield await attempt(
    { threat: THREAT, layer, attempt: "consumer key and issuer, shown to an enterprise service" },
    () => forEnterprise.verifier.verify(forge(stolen.consumer, own)),
  );
  yield await attempt(
    { threat: THREAT, layer, attempt: "consumer key, consumer issuer, enterprise tenant" },
    () => forConsumer.verifier.verify(forge(stolen.consumer, { ...own, tid: enterprise.tenant })),
  );
}

async function* atJwks(scene: Scene): AsyncGenerator<Outcome> {
  const { operator, consumer, enterprise } = scene;
  const kid = await activeKid(operator, "consumer");
  const ownKids = await publishedKids(scene, consumer, kid);
  const otherKids = await publishedKids(scene, enterprise, await activeKid(operator, "enterprise"));
  const find = (kids: readonly string[]) => () => {
    if (!kids.includes(kid)) throw new RemoteError("ERR_JWKS_NO_MATCHING_KEY", "Not listed");
  };
  yield await control(
    { threat: THREAT, layer: "jwks", attempt: "control: the consumer JWKS lists the consumer key" },
    find(ownKids),
  );
  yield await attempt(
    {
      threat: THREAT,
      layer: "jwks",
      attempt: "an ordinary client finds the consumer key in the enterprise JWKS",
    },
    find(otherKids),
  );
}

async function* atSigner(scene: Scene): AsyncGenerator<Outcome> {
  const { operator, enterprise, startedAt } = scene;
  const signer = drillSocket(operator, "consumer");
  const issue = (realm: Realm, tenant: string) => () =>
    ask(signer, SIGNER.issue, allowedRequest(realm, tenant));
  const layer = "signer";
  yield await control(
    { threat: THREAT, layer, attempt: "control: the consumer signer issues for its own tenant" },
    () => issueLegitimate(scene, "consumer"),
  );
  yield await attempt(
    { threat: THREAT, layer, attempt: "the consumer signer is asked for an enterprise handle" },
    issue("enterprise", enterprise.tenant),
  );
  yield await attempt(
    { threat: THREAT, layer, attempt: "the consumer signer is asked for an enterprise tenant" },
    issue("consumer", enterprise.tenant),
  );
  const window = { signFrom: startedAt, signUntil: startedAt + 60, verifyUntil: startedAt + 120 };
  yield await attempt(
    {
      threat: THREAT,
      layer: "registry",
      attempt: "a consumer key record is asked for an enterprise tenant",
    },
    () => registerDrillKey(signer, enterprise.tenant, window),
  );
}

async function closing<V extends { close(): void | Promise<void> }>(opening: Promise<V>) {
  const verifier = await opening;
  return { verifier, [Symbol.dispose]: () => void verifier.close() };
}
