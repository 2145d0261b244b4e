import { html, type Html } from "@redoubt/http";

type Cell = Html | string;

/**
 * A table whose first column names the row. Where there is no room style.css makes a block of each row, in which every
 * cell bears its heading; roles are said because browsers take them from tables that are drawn as blocks.
 */
export function dataTable(
  name: string,
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
): Html {
  return html`<table role="table" aria-label="${name}">
    <thead role="rowgroup">
      <tr role="row">
        ${headings.map((heading) => html`<th scope="col" role="columnheader">${heading}</th>`)}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map(
        (row) =>
          html`<tr role="row">
            ${row.map((cell, i) => dataCell(cell, headings[i] ?? "", i === 0))}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function dataCell(cell: Cell, heading: string, isName: boolean): Html {
  return isName
    ? html`<th scope="row" role="rowheader">${cell}</th>`
    : html`<td role="cell" data-heading="${heading}"><div>${cell}</div></td>`;
}
