import { readForm, type HttpAnswer, type HttpRequest } from "@redoubt/http";
import type { Library } from "../library.ts";
import type { LoginPaths, TenantPath } from "../login-place.ts";
import type { EndedSession } from "../logout-notices.ts";
import { ROUTES } from "../routes.ts";

export interface SignOutParts {
  readonly library: Library;
  readonly paths: LoginPaths;
  readonly sessionEnded: (ended: EndedSession) => Promise<void>;
}

/** The protocol's sign-out, and who else is to hear of it: the library would tell them once, and never again. */
export class SignOutFlow {
  readonly #parts: SignOutParts;

  constructor(parts: SignOutParts) {
    this.#parts = parts;
  }

  async answer(request: HttpRequest, place: TenantPath): Promise<HttpAnswer | undefined> {
    const { library, paths, sessionEnded } = this.#parts;
    const { tenant, mount, path } = place;
    if (path !== `${ROUTES.end_session}/confirm` || request.method !== "POST") return undefined;
    const exchange = library.begin(request, tenant, { origin: paths.loginOrigin, mount, path });
    const { provider } = exchange;
    const session = await provider.Session.get(
      provider.createContext(exchange.request, exchange.response),
    );
    const answer = await library.run(exchange);
    const { accountId, authorizations = {} } = session;
    const isOver = answer.status === 303 && readForm(request).has("logout");
    if (isOver && accountId !== undefined)
      await sessionEnded({ tenant, accountId, authorizations });
    return answer;
  }
}
