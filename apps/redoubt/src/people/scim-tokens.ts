import { ask, ISSUER } from "@redoubt/wire";
import { EXIT, optionError, type CommandContext } from "../command.ts";
import { atTenant } from "../layout.ts";
import { withOperator } from "../operator.ts";
import { instant, table } from "../table.ts";
import { peopleOf, type PeoplePlace } from "./names.ts";

/** Makes a token with which a directory provisions one tenant's people. */
export function scimTokensAdd(
  context: CommandContext,
  name: string,
  { days, ...options }: PeoplePlace & { readonly days: number },
): Promise<number> {
  return withOperator(context, async (operator, { settings }) => {
    const { issuer, realm, tenant } = await peopleOf(operator, options);
    const added = await ask(issuer, ISSUER.addScimToken, { tenant, name, days });
    const url = atTenant(settings.realms[realm].tokenEndpoint, tenant).replace(
      /\/token$/,
      "/scim/v2",
    );
    context.terminal.result({
      json: { name, url, ...added },
      text: [
        `tenant URL:   ${url}`,
        `secret token: ${added.token}`,
        `It ends at ${instant(added.expires)}, and is shown this once; Redoubt keeps only its hash.`,
      ].join("\n"),
    });
    return EXIT.ok;
  });
}

export function scimTokensList(context: CommandContext, options: PeoplePlace): Promise<number> {
  return withOperator(context, async (operator) => {
    const { issuer, tenant } = await peopleOf(operator, options);
    const { items } = await ask(issuer, ISSUER.listScimTokens, { tenant });
    const rows = items.map((one) => [one.name, instant(one.created), instant(one.expires), one.id]);
    const text =
      items.length === 0
        ? "No token: redoubt people scim add makes one"
        : table([["NAME", "SINCE", "UNTIL", "ID"], ...rows]);
    context.terminal.result({ json: items, text });
    return EXIT.ok;
  });
}

export function scimTokensRemove(
  context: CommandContext,
  name: string,
  options: PeoplePlace,
): Promise<number> {
  return withOperator(context, async (operator) => {
    const { issuer, tenant } = await peopleOf(operator, options);
    const { items } = await ask(issuer, ISSUER.listScimTokens, { tenant });
    const found = items.filter((one) => one.name === name || one.id === name);
    if (found.length === 0)
      throw optionError(`No token ${name}: redoubt people scim list shows them`);
    if (found.length > 1)
      throw optionError(`Several tokens are called ${name}: name one by its id`);
    for (const { id } of found) await ask(issuer, ISSUER.removeScimToken, { tenant, id });
    context.terminal.result({ json: { name, removed: true }, text: `Removed ${name}.` });
    return EXIT.ok;
  });
}
