/** cli/queue-shape.ts: what `postern queue shape` prints: a row for each domain, columns of age, as qshape(1). */
import { printableUtf8 } from "../mail/printable.ts";
import { SHAPE_EDGES, type ShapeRow } from "../queue/shape.ts";

/** Domains longer than this are cut on the left. */
const DOMAIN_WIDTH = 38;

/** The table; a domain's column is as wide as the longest, up to a limit. */
export function formatShape(rows: readonly ShapeRow[]): string {
  const headings = ["T", ...SHAPE_EDGES.map(String), `${SHAPE_EDGES.at(-1)}+`];
  const cells = rows.map(({ total, counts }) => [total, ...counts].map(String));
  const widths = headings.map((heading, i) => Math.max(heading.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const names = rows.map(({ domain }) => shorten(printableUtf8(domain)));
  const first = Math.max(...names.map((name) => name.length));
  const line = (name: string, columns: readonly string[]) =>
    `${name.padStart(first)}${columns.map((cell, i) => ` ${cell.padStart(widths[i] ?? 0)}`).join("")}\n`;
  return line("", headings) + names.map((name, i) => line(name, cells[i] ?? [])).join("");
}

/** One JSON object a line, for each domain. */
export function formatShapeJson(rows: readonly ShapeRow[]): string {
  const ends = [...SHAPE_EDGES.map(String), `${SHAPE_EDGES.at(-1)}+`];
  const line = ({ domain, counts, total }: ShapeRow) =>
    `${JSON.stringify({ domain, total, minutes: Object.fromEntries(ends.map((end, i) => [end, counts[i]])) })}\n`;
  return rows.map(line).join("");
}

function shorten(name: string): string {
  return name.length <= DOMAIN_WIDTH ? name : `…${name.slice(1 - DOMAIN_WIDTH)}`;
}
