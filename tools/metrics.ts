// Writes docs/reference/metrics.md from the one declaration of all metrics. With --check it writes nothing and fails
// where the page is not what the declaration says.
import { readFileSync, writeFileSync } from "node:fs";
import { METRICS } from "@redoubt/wire";

const PAGE = "docs/reference/metrics.md";
const HEADING = `# Metrics

Written by \`npm run fix\` from packages/wire/src/protocol/metrics.ts. \`redoubt up\` serves them at \`/metrics\` of its status address (docs/guide/monitoring.md).

Each sample has the label \`process\`; those of a signer or an issuer have \`realm\`, too. What else is named under labels is a word of the code or the name of a log: never a tenant, a client, a subject or an address.
`;

const cells = [...METRICS].map(([name, { type, help, label, buckets, of }]) => [
  `\`${name}\``,
  buckets ? `${type} (${buckets.join(", ")})` : type,
  label ? `\`${label}\`` : "",
  (of ?? ["every"]).join(", "),
  help,
]);
const rows = [["name", "type", "label", "from", "what it says"], ...cells];
const widths = ["", "", "", "", ""].map((_, i) =>
  Math.max(...rows.map((row) => row[i]?.length ?? 0)),
);
// As wide as their column: so the formatter leaves the table as it is.
const lines = [rows[0] ?? [], widths.map((width) => "-".repeat(width)), ...rows.slice(1)].map(
  (row) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`,
);
const page = `${HEADING}\n${lines.join("\n")}\n`;

if (!process.argv.includes("--check")) writeFileSync(PAGE, page);
else if (readFileSync(PAGE, "utf8") !== page) {
  console.log(`${PAGE} is not what the declaration says: npm run fix`);
  process.exitCode = 1;
}
