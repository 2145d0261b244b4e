import { generateKeyPairSync } from "node:crypto";
import { publicJwk } from "@redoubt/keys";
import type { JsonObject } from "@redoubt/verify/json";
import { ask, SIGNER, type DrillKeyRequest } from "@redoubt/wire";
import { lookUntil } from "../wait.ts";
import { countRefusals } from "./alarms.ts";
import { allowedRequest } from "./drill-key.ts";
import { attempt, control, type Outcome } from "./outcome.ts";
import { sendRawHead } from "./raw-socket.ts";
import { drillPlace, drillSocket, issueLegitimate, type Scene } from "./scene.ts";

const THREAT = "THREAT-04";
const ALARM_LIMIT_MS = 20_000;

interface Case {
  readonly attempt: string;
  readonly change: JsonObject;
}

/** What a compromised issuer might ask, each one step away from what it may. */
function cases(tenant: string): readonly Case[] {
  const handle = { realm: "enterprise", tenant, class: "at" };
  const reserved = ["kid", "iss", "tid", "iat", "nbf", "exp", "jti", "ver", "typ", "alg", "aud"];
  return [
    ...reserved.map((name) => ({ attempt: `sets ${name} itself`, change: { [name]: "x" } })),
    { attempt: "names another realm", change: { handle: { ...handle, realm: "consumer" } } },
    { attempt: "names another class", change: { handle: { ...handle, class: "oidc" } } },
    { attempt: "names a kid in its handle", change: { handle: { ...handle, kid: "x" } } },
    { attempt: "asks for one second more than the key allows", change: { ttl: 3601 } },
    { attempt: "names another client", change: { client: "demo-enterprise" } },
    {
      attempt: "names an audience that is not its own",
      change: { audience: "api://demo-enterprise" },
    },
    { attempt: "asks for a digest to be signed", change: { op: "sign", digest: "x" } },
  ];
}

export async function* threat04(scene: Scene): AsyncGenerator<Outcome> {
  const { operator, enterprise } = scene;
  const signer = drillSocket(operator, "enterprise");
  const wanted: JsonObject = {
    op: SIGNER.issue.op,
    ...SIGNER.issue.request.write(allowedRequest("enterprise", enterprise.tenant)),
  };
  const layer = "signer";
  yield await control(
    { threat: THREAT, layer, attempt: "control: asks for what it may have" },
    () => issueLegitimate(scene, "enterprise"),
  );
  for (const { attempt: name, change } of cases(enterprise.tenant))
    yield await attempt({ threat: THREAT, layer, attempt: name }, () =>
      signer.request({ ...wanted, ...change }),
    );
  yield await attempt({ threat: THREAT, layer, attempt: "says one member twice" }, () =>
    sendRawHead(drillPlace(operator, "enterprise"), duplicateMember(wanted)),
  );
  yield await attempt({ threat: THREAT, layer, attempt: "registers a key for a year" }, () =>
    ask(signer, SIGNER.drillKey, yearLongKey(scene)),
  );
  yield* refusalsAlarmed(scene);
}

/** The refusals above must also have been noticed by the monitor. */
async function* refusalsAlarmed({ operator, refusalsBefore }: Scene): AsyncGenerator<Outcome> {
  const seen = await lookUntil(
    () => countRefusals(operator),
    (refusals) => refusals > refusalsBefore,
    { timeoutMs: ALARM_LIMIT_MS, pollMs: 250 },
  );
  const isNoticed = seen > refusalsBefore;
  yield {
    threat: THREAT,
    attempt: "the refusals go unnoticed",
    layer: "audit",
    stopped: isNoticed,
    alarmed: isNoticed,
    code: isNoticed ? "signer-refusal" : "no alarm",
  };
}

function duplicateMember(wanted: JsonObject): string {
  const text = JSON.stringify(wanted);
  return `${text.slice(0, -1)},"ttl":900}`;
}

function yearLongKey({ enterprise, startedAt }: Scene): DrillKeyRequest {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    publicKey: publicJwk(publicKey),
    tenant: enterprise.tenant,
    signFrom: startedAt,
    signUntil: startedAt + 365 * 86_400,
    verifyUntil: startedAt + 366 * 86_400,
  };
}
