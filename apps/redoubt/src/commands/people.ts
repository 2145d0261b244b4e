import type { Command } from "commander";
import type { Run } from "../command.ts";
import type { ApprovalsOptions } from "../people/approvals.ts";
import type { EnrolOptions } from "../people/enrol.ts";
import type { PeoplePlace } from "../people/names.ts";
import type { AddOptions, PassOptions } from "../people/people.ts";
import { realmOption, reasonOption, tenantOption, wholeNumber } from "./options.ts";

const HELP = `
Examples:
  redoubt people list --tenant <uuid>
  redoubt people add --tenant <uuid> --user-name ada@example.org --name "Ada Lovelace"
  redoubt people add --tenant <uuid> --user-name root@example.org --administrator   the first one gets a pass at once
  redoubt people pass ada@example.org --tenant <uuid>       a link with which she registers passkeys, once
  redoubt people enrol root@example.org --tenant <uuid>     what she approves with her passkey counts
  redoubt people approvals --export approvals               what was approved, to be verified
  redoubt people import people.csv --tenant <uuid>          what it would change; --apply does it
  redoubt people disable ada@example.org --tenant <uuid>    ends all her sessions
  redoubt people scim add entra --tenant <uuid>             a token for a directory that provisions people

Exit codes: 0 done, 1 could not be done, 2 an import did not do every line.`;

const MINUTES = 60;
const parseMinutes = wholeNumber(1, MINUTES, "Expected a number from 1 to 60.");
const DAYS = 365;
const parseDays = wholeNumber(1, 730, "Expected a number from 1 to 730.");

export function register(cli: Command, run: Run): void {
  const people = cli
    .command("people")
    .description("people: who may sign in, with passkeys")
    .addHelpText("after", HELP);
  placed(people.command("list", { isDefault: true }), "people list")
    .description("list a tenant's people")
    .action(
      run(async (context, place: PeoplePlace) =>
        (await import("../people/people.ts")).peopleList(context, place),
      ),
    );
  registerAdd(people, run);
  ofOne(people, "show", "one person, and the passkeys that the person has").action(
    run(async (context, userName: string, place: PeoplePlace) =>
      (await import("../people/people.ts")).peopleShow(context, userName, place),
    ),
  );
  for (const [name, status, description] of STATUSES)
    ofOne(people, name, description).action(
      run(async (context, userName: string, place: PeoplePlace) => {
        const { peopleSetStatus } = await import("../people/people.ts");
        return peopleSetStatus(context, userName, { ...place, status });
      }),
    );
  registerPass(people, run);
  registerRemovePasskey(people, run);
  registerApprovals(people, run);
  registerImport(people, run);
  registerScim(people, run);
}

const STATUSES = [
  ["disable", "disabled", "end a person's sessions, and let the person in no more"],
  ["enable", "active", "let a person who was disabled sign in again"],
] as const;

function placed(command: Command, example: string): Command {
  return command
    .addOption(realmOption("default: the tenant's"))
    .addOption(tenantOption("tenant of the people"))
    .addHelpText("after", `\nExample:\n  redoubt ${example} --tenant <uuid>`);
}

function ofOne(people: Command, name: string, description: string): Command {
  const command = people.command(name).description(description);
  command.argument("<user-name>", "as redoubt people list has it");
  return placed(command, `people ${name} ada@example.org`);
}

function registerAdd(people: Command, run: Run): void {
  placed(people.command("add"), "people add --user-name ada@example.org")
    .description("add a person; may be repeated")
    .requiredOption("--user-name <name>", "unique in the tenant, usually an address")
    .option("--name <text>", "as pages and applications show it")
    .option("--email <address>", "for applications; nobody proves it here")
    .option("--administrator", "the first one of a realm gets a pass at once")
    .action(
      run(async (context, options: AddOptions) =>
        (await import("../people/people.ts")).peopleAdd(context, options),
      ),
    );
}

function registerPass(people: Command, run: Run): void {
  ofOne(people, "pass", "a pass with which a person registers passkeys, once")
    .option("--minutes <count>", "how long it works, 1 to 60", parseMinutes, MINUTES)
    .option("--recovery", "the person has lost every passkey")
    .action(
      run(async (context, userName: string, options: PassOptions) =>
        (await import("../people/people.ts")).peoplePass(context, userName, options),
      ),
    );
}

function registerRemovePasskey(people: Command, run: Run): void {
  const command = people
    .command("remove-passkey")
    .description("take a passkey away that was lost or stolen, and end the person's sessions")
    .argument("<user-name>", "as redoubt people list has it")
    .argument("<id>", "of the passkey, as redoubt people show has it")
    .addOption(reasonOption({ what: "why; stands in the issuer's log" }));
  placed(command, "people remove-passkey ada@example.org <id> --reason stolen").action(
    run(
      async (
        context,
        userName: string,
        id: string,
        options: PeoplePlace & { readonly reason: string },
      ) => {
        const { peopleRemovePasskey } = await import("../people/people.ts");
        return peopleRemovePasskey(context, [userName, id], options);
      },
    ),
  );
}

function registerApprovals(people: Command, run: Run): void {
  ofOne(people, "enrol", "let an administrator's passkey approve what only people may approve")
    .option(
      "--passkey <id>",
      "which, as redoubt people show has it; needed where there are several",
    )
    .action(
      run(async (context, userName: string, options: EnrolOptions) =>
        (await import("../people/enrol.ts")).peopleEnrol(context, userName, options),
      ),
    );
  ofOne(people, "unenrol", "take a passkey's approvals away, for good")
    .option("--passkey <id>", "which, as redoubt presence enrolments has it")
    .action(
      run(async (context, userName: string, options: EnrolOptions) =>
        (await import("../people/enrol.ts")).peopleUnenrol(context, userName, options),
      ),
    );
  people
    .command("approvals")
    .description(
      "what people approved and the issuer acted on; redoubt presence verify verifies it",
    )
    .addOption(realmOption("default: enterprise").default("enterprise"))
    .option("--export <folder>", "write each to a file there")
    .action(
      run(async (context, options: ApprovalsOptions) =>
        (await import("../people/approvals.ts")).peopleApprovals(context, options),
      ),
    );
}

function registerImport(people: Command, run: Run): void {
  const command = people
    .command("import")
    .description("add the people of a file, and disable or enable those whose `active` says so")
    .argument("<file>", "CSV with a heading, or JSON lines")
    .option("--apply", "do it; without it, only say what would change");
  placed(command, "people import people.csv").action(
    run(async (context, file: string, options: PeoplePlace & { readonly apply?: boolean }) =>
      (await import("../people/import.ts")).peopleImport(context, file, options),
    ),
  );
}

function registerScim(people: Command, run: Run): void {
  const scim = people
    .command("scim")
    .description("tokens with which a directory provisions a tenant's people (SCIM 2.0)");
  const add = scim
    .command("add")
    .description("make a token; it is shown once")
    .argument("<name>", "of the directory")
    .option("--days <count>", "how long it works, 1 to 730", parseDays, DAYS);
  placed(add, "people scim add entra").action(
    run(async (context, name: string, options: PeoplePlace & { readonly days: number }) =>
      (await import("../people/scim-tokens.ts")).scimTokensAdd(context, name, options),
    ),
  );
  placed(scim.command("list", { isDefault: true }), "people scim list")
    .description("list tokens, never their secrets")
    .action(
      run(async (context, place: PeoplePlace) =>
        (await import("../people/scim-tokens.ts")).scimTokensList(context, place),
      ),
    );
  const remove = scim.command("remove").description("end a token at once");
  remove.argument("<name>", "name or id of the token");
  placed(remove, "people scim remove entra").action(
    run(async (context, name: string, place: PeoplePlace) =>
      (await import("../people/scim-tokens.ts")).scimTokensRemove(context, name, place),
    ),
  );
}
