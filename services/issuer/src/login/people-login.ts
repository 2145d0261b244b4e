import { readFileSync } from "node:fs";
import { errorCode } from "@redoubt/base";
import {
  HttpError,
  LOOK,
  readForm,
  readJson,
  singleHeader,
  type HttpAnswer,
  type HttpRequest,
} from "@redoubt/http";
import { StoreError } from "@redoubt/store";
import { OAuthError } from "../errors.ts";
import type { Scim } from "../scim/scim.ts";
import type { BackChannel } from "./back-channel.ts";
import type { AccountFlow } from "./flows/account-flow.ts";
import type { InteractionFlow } from "./flows/interaction-flow.ts";
import type { SignOutFlow } from "./flows/sign-out-flow.ts";
import { RefusedCeremony } from "./flows/refused-ceremony.ts";
import type { RegistrationFlow } from "./flows/registration-flow.ts";
import type { Library } from "./library.ts";
import type { LoginPaths, TenantPath } from "./login-place.ts";
import { PAGE_HEADERS, pageAnswer, scriptAnswer, seeOther } from "./page-answer.ts";
import { pages } from "./pages/index.ts";
import { isPage } from "./pages/layout.ts";
import { failureOf, NOT_NOW } from "./pages/messages.ts";
import { ROUTES } from "./routes.ts";

export interface PeopleLoginParts {
  readonly library: Pick<Library, "answer">;
  readonly paths: LoginPaths;
  /** Of the token endpoint: there the library is asked by clients and not by browsers. */
  readonly tokenOrigin: URL;
  readonly backChannel: Pick<BackChannel, "answer">;
  readonly flows: readonly Pick<AccountFlow | InteractionFlow | RegistrationFlow, "answer">[];
  readonly signOut: Pick<SignOutFlow, "answer">;
  readonly scim: Pick<Scim, "answer">;
  /** Whether the tenant is there and active. */
  readonly isActive: (tenant: string) => boolean;
  /** Somebody was refused; the code is for the log. */
  readonly refused: (fields: {
    readonly requestId: string;
    readonly tenant: string;
    readonly code: string;
    readonly cause?: string;
  }) => void;
}

type Form = ReadonlyMap<string, string>;

const ASSETS: Readonly<Record<string, { readonly type: string; readonly file: URL }>> = {
  ...LOOK,
  "/passkey.js": {
    type: "text/javascript; charset=utf-8",
    file: new URL("./pages/passkey.js", import.meta.url),
  },
};

/** All that people and their browsers meet, and the clients through which they sign in. */
export class PeopleLogin {
  readonly #parts: PeopleLoginParts;
  readonly #assets = new Map<string, HttpAnswer>();

  constructor(parts: PeopleLoginParts) {
    this.#parts = parts;
    for (const [path, { type, file }] of Object.entries(ASSETS))
      this.#assets.set(path, {
        status: 200,
        headers: ["content-type", type, "cache-control", "max-age=3600", ...PAGE_HEADERS.slice(2)],
        body: readFileSync(file, "utf8"),
      });
  }

  /** Tokens for a code or a refresh token. @throws OAuthError */
  async token(request: HttpRequest, tenant: string, form: Form): Promise<HttpAnswer> {
    return this.#parts.backChannel.answer(request, form, { tenant, path: ROUTES.token });
  }

  /** Undefined for what is nothing of the people's. */
  async answer(request: HttpRequest): Promise<HttpAnswer | undefined> {
    const place = this.#parts.paths.find(request);
    if (!place || place.path === ROUTES.token) return undefined;
    const asset = request.method === "GET" ? this.#assets.get(place.path) : undefined;
    if (asset) return asset;
    if (!this.#parts.isActive(place.tenant)) return undefined;
    try {
      return await this.#route(request, place);
    } catch (error) {
      return this.#failed(request, place, error);
    }
  }

  async #route(request: HttpRequest, place: TenantPath): Promise<HttpAnswer | undefined> {
    const { backChannel, library, paths, tokenOrigin, flows, signOut, scim } = this.#parts;
    const { tenant, mount, path } = place;
    if (BACK_CHANNEL.includes(path) && request.method === "POST")
      return backChannel.answer(request, readForm(request), { tenant, path });
    if (path === ROUTES.userinfo || (BACK_CHANNEL.includes(path) && request.method === "OPTIONS"))
      return library.answer(request, tenant, { origin: tokenOrigin, mount, path });
    if (POSTED_TOO.includes(path) && request.method === "POST")
      return seeOther(
        `${paths.url(tenant, path)}?${String(new URLSearchParams([...readForm(request)]))}`,
      );
    if (FRONT_CHANNEL.test(path))
      return framed(
        request,
        (await signOut.answer(request, place)) ??
          (await library.answer(request, tenant, { origin: paths.loginOrigin, mount, path })),
      );
    const provisioned = await scim.answer(request, place);
    if (provisioned) return provisioned;
    this.#checkOrigin(request);
    for (const flow of flows) {
      // eslint-disable-next-line no-await-in-loop -- each looks at the path only, until one answers
      const answer = await flow.answer(request, place, () => readJson(request, { maxDepth: 8 }));
      if (answer) return answer;
    }
    return undefined;
  }

  /** Pages of others must not act in a person's name, whatever cookies the browser sends along. */
  #checkOrigin(request: HttpRequest): void {
    if (request.method === "GET" || request.method === "HEAD") return;
    const origin = singleHeader(request, "origin");
    if (origin !== this.#parts.paths.loginOrigin.origin)
      throw new HttpError("ERR_HTTP_ORIGIN", "Not asked by a page of this origin");
  }

  #failed(request: HttpRequest, { tenant, mount }: TenantPath, error: unknown): HttpAnswer {
    const isScript = request.headers["content-type"]?.startsWith("application/json") === true;
    const refused = { requestId: request.id, tenant, code: errorCode(error) };
    if (error instanceof RefusedCeremony) {
      const { options, cause } = error;
      this.#parts.refused({ ...refused, code: cause.code });
      const isDeleted = cause.code === "ERR_PASSKEY_DELETED";
      const failure = failureOf(cause.code);
      return scriptAnswer({ code: cause.code, failure, options, isDeleted }, { status: 403 });
    }
    if (error instanceof OAuthError) {
      this.#parts.refused({ ...refused, cause: errorCode(error.cause) });
      if (BACK_CHANNEL_ERRORS.test(request.path)) return error.answer();
      return unavailable(mount, isScript);
    }
    if (error instanceof StoreError) {
      this.#parts.refused(refused);
      return unavailable(mount, isScript);
    }
    throw error;
  }
}

const BACK_CHANNEL: readonly string[] = [ROUTES.pushed_authorization_request, ROUTES.revocation];
const BACK_CHANNEL_ERRORS = new RegExp(`(?:${[...BACK_CHANNEL, ROUTES.userinfo].join("|")})$`);
/** Where a browser is sent to by an application, and comes back to from our pages. */
const FRONT_CHANNEL = new RegExp(
  `^(?:${ROUTES.authorization}(?:/[\\w-]{16,64})?|${ROUTES.end_session}(?:/confirm|/success)?)$`,
);

/**
 * What applications may send as a form, too (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §2). With a form that
 * another site posts, browsers send no cookie of ours (`SameSite=Lax`); with the GET to which it leads, they do.
 */
const POSTED_TOO: readonly string[] = [ROUTES.authorization, ROUTES.end_session];

/** Pages of ours that the library sends get the headers of all others. */
function framed(request: HttpRequest, answer: HttpAnswer): HttpAnswer {
  if (!isPage(answer.body)) return answer;
  const cookies = answer.headers.filter((_, i, all) => i % 2 === 1 && all[i - 1] === "set-cookie");
  const formOrigins = answer.status === 200 ? onwardOrigins(request) : [];
  return pageAnswer(Buffer.from(answer.body).toString(), {
    status: answer.status,
    formOrigins,
    cookies,
  });
}

/** Where the form of the sign-out page leads in the end. The library refuses what is not the client's. */
function onwardOrigins(request: HttpRequest): readonly string[] {
  const form = request.method === "POST" ? readForm(request) : new URLSearchParams(request.query);
  const url = URL.parse(form.get(AFTER) ?? "");
  return url && /^https?:$/.test(url.protocol) ? [url.origin] : [];
}

const AFTER = "post_logout_redirect_uri";

function unavailable(mount: string, isScript: boolean): HttpAnswer {
  return isScript
    ? scriptAnswer({ code: "ERR_UNAVAILABLE", failure: NOT_NOW }, { status: 503 })
    : pageAnswer(pages.failed({ mount, text: NOT_NOW }), { status: 503 });
}
