import { randomBytes } from "node:crypto";
import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import { makeStatement, type OpenedStatement, type Said } from "@redoubt/presence";
import { ask, PRESENCE, type Answered, type Requester } from "@redoubt/wire";
import type { CommandContext } from "../command.ts";
import type { Settings } from "../settings.ts";

type Assertions = Answered<typeof PRESENCE.collect>["assertions"];

/** What is to be approved: an action with its subject, and what this system knows about it. */
export type StatementBody = Said & {
  readonly realm: string;
  readonly facts?: Readonly<Record<string, string>>;
};

export interface AskPolicy {
  /** How many persons. */
  readonly approvers: number;
  /** How long there is, in seconds. */
  readonly seconds: number;
  /** The passkeys that may approve it; left out, any may try. Whoever acts decides. */
  readonly credentials?: readonly string[];
}

export interface AskContext extends Pick<CommandContext, "terminal"> {
  readonly settings: Pick<Settings, "rpId" | "presence">;
  /** The operator's connection to the ceremony page. */
  readonly page: Requester;
  readonly clock: Pick<Clock, "now">;
}

/** What was asked, and what browsers gave: nothing of it is verified. */
export interface UnverifiedApproval {
  readonly statement: OpenedStatement;
  readonly assertions: Assertions;
}

/** Well within the time that a connection waits for an answer. */
const WAIT_MS = 5000;

/**
 * Has somebody approve a statement at the ceremony page, and shows the same text and code here: whoever looks at both
 * notices a page that shows something else. Whoever acts on it verifies the assertions.
 *
 * @throws ServiceError `ERR_PRESENCE_NOT_HERE`, `ERR_PRESENCE_DECLINED`, `ERR_PRESENCE_EXPIRED`
 * @throws PresenceError for a statement that cannot be made; RemoteError, WireError where the page does not take it
 */
export async function askPresence(
  { settings, page, terminal, clock }: AskContext,
  body: StatementBody,
  { approvers, seconds, credentials }: AskPolicy,
): Promise<UnverifiedApproval> {
  const { rpId } = settings;
  const origin = pageOf(settings);
  const issuedAt = nowSeconds(clock);
  const frame = { issuedAt, expiresAt: issuedAt + seconds, rpId, origin };
  const statement = makeStatement({ ...body, ...frame }, randomBytes(16));
  const { id, url, code } = await ask(page, PRESENCE.open, {
    statement: statement.bytes,
    approvers,
    credentials,
  });
  try {
    // The page's own word is not taken for what it is to be compared with.
    if (code !== statement.code || url !== `${origin}/${id}`)
      throw new ServiceError("ERR_PRESENCE_PAGE", "The ceremony page shows something else");
    for (const line of statement.text) terminal.notice(line);
    terminal.notice(`\nCode: ${statement.code}\nApprove it here: ${url}\n`);
    const assertions = await collect(page, { id, approvers, terminal });
    return { statement, assertions };
  } finally {
    // Also after a failure, which stays the one that is told.
    await ask(page, PRESENCE.close, { id }).catch(() => undefined);
  }
}

/**
 * The origin at which people approve.
 *
 * @throws ServiceError `ERR_PRESENCE_NOT_HERE`
 */
export function pageOf({ presence }: Pick<Settings, "presence">): string {
  if (presence !== undefined) return presence;
  throw new ServiceError(
    "ERR_PRESENCE_NOT_HERE",
    "This system was made before there was a page at which people approve: it has none",
  );
}

async function collect(
  page: Requester,
  {
    id,
    approvers,
    terminal,
  }: { readonly id: string; readonly approvers: number } & Pick<CommandContext, "terminal">,
): Promise<Assertions> {
  let shown = 0;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- one answer after the other, each of which the page holds back
    const { state, assertions } = await ask(page, PRESENCE.collect, { id, waitMs: WAIT_MS });
    if (state === "collected") return assertions;
    if (state === "declined")
      throw new ServiceError("ERR_PRESENCE_DECLINED", "Declined: nothing was done");
    if (state === "expired")
      throw new ServiceError(
        "ERR_PRESENCE_EXPIRED",
        "Nobody approved it in time: nothing was done",
      );
    if (assertions.length > shown)
      terminal.notice(`Approved by ${assertions.length} of ${approvers}`);
    shown = assertions.length;
  }
}
