import { errorCode, ServiceError, type Clock } from "@redoubt/base";
import type { Enrolments } from "@redoubt/presence";
import type { ClientInfo } from "@redoubt/registry";
import type { PeopleStore } from "@redoubt/store";
import { parseJsonObject } from "@redoubt/verify/json";
import { RemoteError, type ExactRequest, type Route } from "@redoubt/wire";
import type { ClientAuthenticator } from "../client-auth.ts";
import type { IssuerEvents } from "../events.ts";
import type { RealmRegistry } from "../realm-registry.ts";
import type { SignerPort } from "../signer-port.ts";
import type { SignerWatch } from "../signer-watch.ts";
import { OAuthError } from "../errors.ts";
import { Scim } from "../scim/scim.ts";
import { ScimUsers } from "../scim/users.ts";
import { Accounts } from "./accounts.ts";
import type { ActingKey } from "./approvals/acting-key.ts";
import { Approvals } from "./approvals/approvals.ts";
import { BackChannel } from "./back-channel.ts";
import { Ceremonies } from "./ceremonies.ts";
import { AccountFlow } from "./flows/account-flow.ts";
import { InteractionFlow } from "./flows/interaction-flow.ts";
import { PasskeyRegistration } from "./flows/passkey-registration.ts";
import { PasskeySignIn, type PasskeyPlace } from "./flows/passkey-sign-in.ts";
import { SignOutFlow } from "./flows/sign-out-flow.ts";
import { RegistrationFlow } from "./flows/registration-flow.ts";
import { Library } from "./library.ts";
import { LoginPaths } from "./login-place.ts";
import { LogoutNotices, postLogoutToken, type EndedSession } from "./logout-notices.ts";
import { MetadataFile } from "./metadata-file.ts";
import { OwnSessions } from "./own-sessions.ts";
import type { PeopleConfig } from "./people-config.ts";
import { PeopleLogin } from "./people-login.ts";
import { peopleRoutes } from "./people-operator.ts";
import { giveBack } from "./protocol-adapter.ts";
import type { SignerKeys } from "./signer-keys.ts";

export interface OpenPeopleOptions {
  readonly config: PeopleConfig;
  readonly realm: string;
  readonly tenant: string | null;
  /** Templates with `{tenantid}`. */
  readonly issuer: string;
  readonly tokenEndpoint: string;
  readonly store: PeopleStore;
  readonly registry: Pick<
    RealmRegistry,
    | "client"
    | "clientsOf"
    | "tenant"
    | "checkUsable"
    | "signerKnows"
    | "problem"
    | "hasEnrolment"
    | "enrolments"
  >;
  /** Undefined where there is no page at which people approve. */
  readonly actingKey: ActingKey | undefined;
  readonly authenticator: ClientAuthenticator;
  readonly signer: Pick<SignerPort, "signExact">;
  readonly watch: Pick<SignerWatch, "isReady">;
  readonly keys: SignerKeys;
  readonly events: IssuerEvents;
  readonly clock: Clock;
  readonly dpopSecret: Buffer;
  /** This process's own. */
  readonly folder: string;
}

export interface People {
  readonly login: Pick<PeopleLogin, "token" | "answer">;
  /** What the operator's socket does about people. */
  readonly routes: readonly Route[];
}

/** Wires what people meet, and what is said of them. */
export function openPeople(options: OpenPeopleOptions, stack: AsyncDisposableStack): People {
  const { store, registry, clock, events } = options;
  const place = placeOf(options);
  const approvals = openApprovals(options, place);
  const accounts = new Accounts({
    store,
    clock,
    approvals,
    approvers: () => ({ problem: registry.problem, hasEnrolment: registry.hasEnrolment }),
    passkeyRemoved: (fields) => events.passkeyRemoved(fields),
  });
  const hasTenant = (tenant: string): boolean => registry.tenant(tenant) !== undefined;
  return {
    login: openLogin(options, { accounts, place }, stack),
    routes: peopleRoutes({ accounts, approvals, store, hasTenant }),
  };
}

function placeOf(options: OpenPeopleOptions): PasskeyPlace {
  const { rp, loginOrigin, policy } = options.config;
  return { rp, origin: loginOrigin.origin, policy, metadata: metadataOf(options) };
}

function openApprovals(options: OpenPeopleOptions, place: PasskeyPlace): Approvals {
  const { config, realm, registry, store, clock, actingKey } = options;
  const { presence, rp } = config;
  return new Approvals({
    realm,
    store,
    clock,
    place,
    key: actingKey,
    ceremony: presence === undefined ? undefined : { rpId: rp.id, origins: [presence] },
    enrolments: (): Enrolments => {
      // A removal that was kept from us must not look like none.
      if (registry.problem !== undefined)
        throw new ServiceError(
          "ERR_ISSUER_REGISTRY",
          "The registry cannot be relied on: try again",
        );
      return registry.enrolments;
    },
  });
}

function openLogin(
  options: OpenPeopleOptions,
  { accounts, place }: { readonly accounts: Accounts; readonly place: PasskeyPlace },
  stack: AsyncDisposableStack,
): PeopleLogin {
  const { config, store, registry, clock, events, keys } = options;
  const paths = new LoginPaths({ ...options, loginOrigin: config.loginOrigin });
  const tokenOrigin = new URL(new URL(options.tokenEndpoint.replace("{tenantid}", "x")).origin);
  const isSecure = config.loginOrigin.protocol === "https:";
  const client = (tenant: string, id: string): ClientInfo | undefined =>
    registry.client(tenant, id);
  const issuing = {
    issuerOf: (tenant: string): string => options.issuer.replace("{tenantid}", tenant),
    keys: () => keys.keys,
    sign: (tenant: string, kind: "at" | "oidc", input: string): Promise<Buffer> =>
      signOf(options, { tenant, kind, input }),
  };
  const library = new Library({
    ...issuing,
    store,
    clock,
    isSecure,
    client,
    times: config,
    dpopSecret: options.dpopSecret,
    mountOf: (tenant) => paths.mountOf(tenant),
    onError: (message) => events.loginFailed(message),
  });
  const ceremonies = new Ceremonies(store, clock);
  const sessions = new OwnSessions(store, { isSecure, clock });
  const signIn = new PasskeySignIn({ store, ceremonies, place, clock });
  const required = config.passkeysRequired;
  const registration = new PasskeyRegistration({ store, ceremonies, place, required, clock });
  const notices = stack.use(
    new LogoutNotices({
      ...issuing,
      store,
      client,
      clock,
      clients: (tenant) => registry.clientsOf(tenant),
      send: postLogoutToken,
      failed: (fields) => events.logoutNoticeFailed(fields),
    }),
  );
  const sessionEnded = (ended: EndedSession): Promise<void> => notices.sessionEnded(ended);
  const passRefused = (tenant: string, why: string): void => events.passRefused(tenant, why);
  return new PeopleLogin({
    library,
    paths,
    tokenOrigin,
    backChannel: new BackChannel({
      library,
      paths,
      tokenOrigin,
      client,
      authenticator: options.authenticator,
      checkUsable: () => checkUsable(options),
      giveBack: (tenant, form) => giveBack(store.protocol, tenant, form),
    }),
    flows: [
      new InteractionFlow({ library, paths, signIn, sessions, store, clock, sessionEnded }),
      new RegistrationFlow({ registration, sessions, store, passRefused }),
      new AccountFlow({ signIn, sessions, store, required, clock }),
    ],
    signOut: new SignOutFlow({ library, paths, sessionEnded }),
    scim: new Scim({
      users: new ScimUsers({ accounts, store }),
      store,
      origin: tokenOrigin.origin,
      refused: (fields) => events.refused(fields),
    }),
    isActive: (tenant) => registry.tenant(tenant)?.status === "active",
    refused: (fields) => events.refused(fields),
  });
}

function metadataOf({
  config,
  folder,
  clock,
  events,
}: OpenPeopleOptions): PasskeyPlace["metadata"] {
  const { metadata: source } = config;
  if (!source) return () => null;
  const file = new MetadataFile({
    folder,
    source,
    clock,
    failed: (code) => events.passkeyMetadataFailed(code),
    read: (fields) => events.passkeyMetadata(fields),
  });
  return () => file.current();
}

/** Before a code or a refresh token is spent: without a signer there would be no token for it. */
function checkUsable({ registry, watch }: OpenPeopleOptions): void {
  registry.checkUsable();
  if (!watch.isReady)
    throw new OAuthError("ERR_ISSUER_SIGNER_DOWN", "temporarily_unavailable", "Try again later", {
      retryAfterSeconds: 2,
    });
}

async function signOf(
  { realm, registry, signer, keys }: OpenPeopleOptions,
  {
    tenant,
    kind,
    input,
  }: { readonly tenant: string; readonly kind: "at" | "oidc"; readonly input: string },
): Promise<Buffer> {
  const [header = "", payload = ""] = input.split(".");
  const { aud, client_id: clientId = aud } = parseJsonObject(Buffer.from(payload, "base64url"));
  if (typeof clientId !== "string" || typeof aud !== "string")
    throw new TypeError("A token for nobody, or for several");
  const client = registry.client(tenant, clientId);
  if (client) await registry.signerKnows(client);
  const handle = { realm, tenant, class: kind };
  const asked: ExactRequest = { handle, client: clientId, header, payload };
  try {
    return await signer.signExact(asked, aud);
  } catch (error) {
    // Another key signs by now: the next token is built for that one.
    if (error instanceof OAuthError && isNoKey(error.cause)) await keys.refresh();
    throw error;
  }
}

function isNoKey(cause: unknown): boolean {
  return cause instanceof RemoteError && errorCode(cause) === "ERR_SIGNER_NO_KEY";
}
