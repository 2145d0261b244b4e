import { MemberReader, ServiceError, UUID } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import type { ExactClaims } from "../issue/sign-exact.ts";

const MAX_AUDIENCES = 16;
/** RFC 1123 names as Kubernetes checks them: a namespace is a label, every other object a subdomain. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const MAX_LABEL = 63;
const MAX_SUBDOMAIN = 253;
const UID = /^[A-Za-z0-9-]+$/;
const MAX_UID = 128;
/** A text without spaces, so that several of them can be told apart in the sealed body. */
const AUDIENCE = /^[^\s\p{C}]+$/u;
const LAST_SECOND = Number.MAX_SAFE_INTEGER;

/**
 * The claims of a bound service account token, exactly those that kube-apiserver writes. It is an allow-list for two
 * reasons: Go's JSON reader takes `ISS` for `iss`, and claims of a later release shall be looked at before they pass.
 *
 * @throws ServiceError `ERR_REQUEST_MEMBER` for another form, `ERR_SIGNER_CLAIMS` for parts that contradict each other
 */
export function parseKubernetesClaims(payload: JsonObject): ExactClaims {
  const reader = new MemberReader(payload, "Kubernetes claims");
  const bound = readBound(reader.object("kubernetes.io"));
  const claims: ExactClaims = {
    issuer: reader.string("iss"),
    subject: reader.string("sub"),
    audiences: readAudiences(reader),
    issuedAt: reader.integer("iat", 0, LAST_SECOND),
    notBefore: reader.integer("nbf", 0, LAST_SECOND),
    expires: reader.integer("exp", 0, LAST_SECOND),
    jti: reader.string("jti", 36, UUID),
  };
  reader.done();
  // Authorisation reads one of them, admission and audit the other.
  if (claims.subject !== `system:serviceaccount:${bound.namespace}:${bound.name}`)
    throw contradiction("sub is not the service account of kubernetes.io");
  const { warnAfter } = bound;
  if (warnAfter !== undefined && (warnAfter <= claims.issuedAt || warnAfter > claims.expires))
    throw contradiction("warnafter is not within the token's life");
  return claims;
}

function readAudiences(reader: MemberReader): readonly string[] {
  const audiences = reader.strings("aud", MAX_AUDIENCES);
  if (!audiences.every((audience) => AUDIENCE.test(audience)))
    throw new ServiceError("ERR_REQUEST_MEMBER", "Kubernetes claims: aud has a space in it");
  // kube-apiserver puts its own audiences in place of none. Twice the same is nothing that anybody means.
  if (audiences.length === 0 || new Set(audiences).size !== audiences.length)
    throw new ServiceError(
      "ERR_REQUEST_MEMBER",
      "Kubernetes claims: aud is empty or repeats itself",
    );
  return audiences;
}

interface Bound {
  readonly namespace: string;
  readonly name: string;
  readonly warnAfter: number | undefined;
}

/** The service account, and the object whose end ends the token. */
function readBound(reader: MemberReader): Bound {
  const namespace = reader.string("namespace", MAX_LABEL, LABEL);
  const name = readReference(reader.object("serviceaccount"));
  const isPod = reader.has("pod");
  const isSecret = reader.has("secret");
  if (isPod) readReference(reader.object("pod"));
  if (isSecret) readReference(reader.object("secret"));
  // The node of a pod may be gone by then: it keeps its name and loses its uid.
  if (reader.has("node")) readReference(reader.object("node"), isPod);
  const warnAfter = reader.optionalInteger("warnafter", 0, LAST_SECOND);
  reader.done();
  // TokenRequest binds a token to one object. A node may stand beside a pod, and never beside a secret.
  if (isSecret && (isPod || reader.has("node"))) throw contradiction("bound to two objects");
  return { namespace, name, warnAfter };
}

/** Name and uid: without its uid, a later object of the same name would do. */
function readReference(reader: MemberReader, isUidOptional = false): string {
  const name = reader.string("name", MAX_SUBDOMAIN, SUBDOMAIN);
  if (!isUidOptional || reader.has("uid")) reader.string("uid", MAX_UID, UID);
  reader.done();
  return name;
}

function contradiction(what: string): ServiceError {
  return new ServiceError("ERR_SIGNER_CLAIMS", `Kubernetes claims: ${what}`);
}
