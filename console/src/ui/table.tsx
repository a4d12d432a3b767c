/** A table; on a phone each row is a card, whose lines carry the columns' names. */
import type { ComponentChildren, JSX } from "preact";

export interface Column<T> {
  /** Its head. */
  label: string;
  /** Numbers stand on the right. */
  number?: boolean;
  cell(row: T): ComponentChildren;
  /** The head says nothing that the cell does not: it is left out of cards. */
  bare?: boolean;
}

export function Table<T>(props: {
  caption: string;
  columns: Array<Column<T> | false>;
  rows: T[];
  id(row: T): string | number;
  /** It is narrow: a table on a phone as well. */
  narrow?: boolean;
}): JSX.Element {
  const columns = props.columns.filter((column) => column !== false);
  return (
    <div class={props.narrow ? "table" : "table cards"} role="region" aria-label={props.caption} tabIndex={0}>
      <table>
        <caption class="visually-hidden">{props.caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.label} scope="col" class={column.number ? "number" : ""}>
                {column.bare ? <span class="visually-hidden">{column.label}</span> : column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((row) => (
            <tr key={props.id(row)}>
              {columns.map((column) => (
                <td
                  key={column.label}
                  class={column.number ? "number" : ""}
                  data-label={column.bare ? undefined : column.label}
                >
                  <span>{column.cell(row)}</span>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
