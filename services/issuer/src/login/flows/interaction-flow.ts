import { nowSeconds, type Clock } from "@redoubt/base";
import type { HttpAnswer, HttpRequest } from "@redoubt/http";
import type { PeopleStore } from "@redoubt/store";
import type { JsonObject } from "@redoubt/verify/json";
import { errors, type Provider } from "oidc-provider";
import type { Library, LibraryExchange } from "../library.ts";
import type { LoginPaths, TenantPath } from "../login-place.ts";
import { pageAnswer, scriptAnswer, seeOther } from "../page-answer.ts";
import { pages } from "../pages/index.ts";
import { SIGN_IN_OVER } from "../pages/messages.ts";
import type { AskedScope } from "../pages/sign-in-pages.ts";
import type { EndedSession } from "../logout-notices.ts";
import type { OwnSessions } from "../own-sessions.ts";
import type { PasskeySignIn } from "./passkey-sign-in.ts";
import { orRetry } from "./refused-ceremony.ts";

export interface InteractionParts {
  readonly library: Library;
  readonly paths: LoginPaths;
  readonly signIn: PasskeySignIn;
  readonly sessions: OwnSessions;
  readonly store: Pick<PeopleStore, "people">;
  /** Told when a browser changes from one person to another, which ends the first one's session. */
  readonly clock: Clock;
  readonly sessionEnded: (ended: EndedSession) => Promise<void>;
}

type Interaction = Awaited<ReturnType<Provider["interactionDetails"]>>;

const PATH = /^\/interaction\/([\w-]{16,64})(\/passkey|\/consent|\/cancel)?$/;

/** The pages between an application's request and the code that it gets: who the person is, and what she allows. */
export class InteractionFlow {
  readonly #parts: InteractionParts;

  constructor(parts: InteractionParts) {
    this.#parts = parts;
  }

  /** Undefined for a path of somebody else. */
  async answer(
    request: HttpRequest,
    place: TenantPath,
    body: () => JsonObject,
  ): Promise<HttpAnswer | undefined> {
    const [whole, uid = "", step] = PATH.exec(place.path) ?? [];
    if (whole === undefined) return undefined;
    const exchange = this.#parts.library.begin(request, place.tenant, {
      origin: this.#parts.paths.loginOrigin,
      mount: place.mount,
      path: place.path,
    });
    const interaction = await this.#find(exchange, uid);
    // Its page says that the sign-in is over; the script can only go there.
    if (!interaction && step === "/passkey")
      return scriptAnswer({ location: `${place.mount}/interaction/${uid}` });
    if (!interaction)
      return pageAnswer(pages.failed({ ...place, text: SIGN_IN_OVER }), { status: 400 });
    const flow = { ...place, exchange, interaction, uid };
    if (request.method === "GET" && step === undefined) return this.#show(flow);
    if (request.method !== "POST") return undefined;
    if (step === "/passkey") return this.#proven(flow, body());
    if (step === "/consent") return this.#consented(flow);
    if (step === "/cancel")
      return seeOther(
        await this.#finish(flow, {
          error: "access_denied",
          error_description: "The person said no",
        }),
      );
    return undefined;
  }

  /** The library finds it by the browser's cookie; the path must say the same, or another tab is meant. */
  async #find(
    { provider, request, response }: LibraryExchange,
    uid: string,
  ): Promise<Interaction | undefined> {
    try {
      const found = await provider.interactionDetails(request, response);
      return found.uid === uid ? found : undefined;
    } catch (error) {
      if (error instanceof errors.SessionNotFound) return undefined;
      throw error;
    }
  }

  async #show(flow: Flow): Promise<HttpAnswer> {
    const { interaction, mount, uid } = flow;
    const { organisation } = this.#parts.signIn;
    const client = clientOf(interaction);
    const { origin, host } = placeOf(interaction);
    const formOrigins = [origin];
    const base = `${mount}/interaction/${uid}`;
    if (interaction.prompt.name === "login")
      return pageAnswer(
        pages.signIn({
          mount,
          client,
          organisation,
          options: await this.#parts.signIn.options(purposeOf(flow)),
          answerPath: `${base}/passkey`,
          cancelPath: `${base}/cancel`,
        }),
        { formOrigins },
      );
    const person = await this.#person(flow);
    return pageAnswer(
      pages.consent({
        mount,
        client,
        organisation,
        host,
        person: person?.displayName ?? person?.userName ?? "",
        scopes: askedScopes(interaction),
        consentPath: `${base}/consent`,
        cancelPath: `${base}/cancel`,
      }),
      { formOrigins },
    );
  }

  async #proven(flow: Flow, response: unknown): Promise<HttpAnswer> {
    const { signIn, sessions } = this.#parts;
    const { tenant, interaction, mount } = flow;
    const { person, claims } = await orRetry(signIn.verify(tenant, purposeOf(flow), response), () =>
      signIn.options(purposeOf(flow)),
    );
    // M5: nobody gets a token with one passkey, whose loss would lock the person out.
    if (person.onboardedAt === null) {
      const cookie = await sessions.begin("Account", person, "sign-in");
      return scriptAnswer({ location: `${mount}/passkeys` }, { cookies: [cookie] });
    }
    await this.#endOther(flow, person.id);
    const { acr, amr } = claims;
    // The time of the passkey, and not of a consent that comes later.
    const ts = nowSeconds(this.#parts.clock);
    const login = { accountId: person.id, acr, amr: [...amr], remember: true, ts };
    const location = await this.#finish({ ...flow, interaction }, { login });
    return scriptAnswer({ location });
  }

  /** Another person's session in this browser ends before the new one begins. */
  async #endOther({ tenant, interaction, exchange }: Flow, accountId: string): Promise<void> {
    const { session } = interaction;
    if (session === undefined || session.accountId === accountId) return;
    const { provider, request, response } = exchange;
    const other = await provider.Session.get(provider.createContext(request, response));
    if (other.uid === session.uid) {
      const { authorizations = {} } = other;
      await this.#parts.sessionEnded({ tenant, accountId: session.accountId, authorizations });
      await other.destroy();
    }
    delete interaction.session;
    await interaction.persist();
  }

  async #consented(flow: Flow): Promise<HttpAnswer> {
    const { interaction, exchange } = flow;
    const { Grant } = exchange.provider;
    const accountId = interaction.session?.accountId;
    const client = clientOf(interaction);
    if (accountId === undefined)
      return pageAnswer(pages.failed({ mount: flow.mount, text: SIGN_IN_OVER }), { status: 400 });
    const known =
      interaction.grantId === undefined ? undefined : await Grant.find(interaction.grantId);
    const grant = known ?? new Grant({ accountId, clientId: client });
    const { openid, resources } = missingOf(interaction);
    if (openid.length > 0) grant.addOIDCScope(openid.join(" "));
    for (const [resource, scopes] of resources) grant.addResourceScope(resource, scopes.join(" "));
    const grantId = await grant.save();
    return seeOther(await this.#finish(flow, { consent: { grantId } }));
  }

  #finish(
    { exchange }: Flow,
    result: Parameters<Provider["interactionResult"]>[2],
  ): Promise<string> {
    const { provider, request, response } = exchange;
    return provider.interactionResult(request, response, result);
  }

  async #person({ tenant, interaction }: Flow) {
    const id = interaction.session?.accountId;
    return id === undefined ? undefined : this.#parts.store.people.find(tenant, { id });
  }
}

interface Flow extends TenantPath {
  readonly exchange: LibraryExchange;
  readonly interaction: Interaction;
  readonly uid: string;
}

/** A passkey's answer is good for this sign-in alone. */
function purposeOf({ tenant, uid }: Flow): string {
  return `${tenant}/interaction/${uid}`;
}

function clientOf({ params }: Interaction): string {
  const { client_id: client } = params;
  return typeof client === "string" ? client : "";
}

/**
 * Where the person goes on to. Chromium holds the redirect after a form against `form-action`, too; and an application
 * on this machine chooses its port (RFC 8252 §7.3), so what it asked for says more than what is registered.
 */
function placeOf({ params }: Interaction): URL {
  const { redirect_uri: uri } = params;
  if (typeof uri !== "string") throw new TypeError("An interaction without a redirect URI");
  return new URL(uri);
}

interface Missing {
  readonly openid: readonly string[];
  readonly resources: readonly (readonly [string, readonly string[]])[];
}

/** What the library found missing in the grant. */
function missingOf({ prompt }: Interaction): Missing {
  const { missingOIDCScope, missingResourceScopes } = prompt.details;
  const resources = Object.entries(Object(missingResourceScopes));
  return {
    openid: texts(missingOIDCScope),
    resources: resources.map(([resource, scopes]) => [resource, texts(scopes)]),
  };
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function askedScopes(interaction: Interaction): readonly AskedScope[] {
  const { openid, resources } = missingOf(interaction);
  return [
    ...openid.map((scope) => ({ scope })),
    ...resources.flatMap(([resource, scopes]) => scopes.map((scope) => ({ scope, resource }))),
  ];
}
