/**
 * Bundles the page of the dashboard, and puts its files as text into a module, `page.bundle.js`: a
 * package has no files beside its modules. Nothing of the page is loaded before a dashboard is
 * served.
 */

import { bundle, hashSources, isUpToDate, write } from "../engine/bundle.ts";

const FOLDER = import.meta.dirname!;
const OUTPUT = `${FOLDER}/page.bundle.js`;
/** Not imported by its name: Deno would ask the registry for it each time that this file runs. */
const CHART_STYLE = "uplot/style.css";

if (import.meta.main) {
  const hash = await hashSources(["runtime/dashboard"], /\.(?:ts|css|html)$/, []);
  const header = `// The files of the dashboard's page, made from what has the hash ${hash}\n`;
  if (!isUpToDate(OUTPUT, header)) {
    const { default: chartStyle } = await import(CHART_STYLE, { with: { type: "text" } });
    const script = bundle(`${FOLDER}/page/main.ts`, OUTPUT, ["--platform", "browser", "--minify"]);
    const [html, style] = ["index.html", "style.css"].map((name) =>
      Deno.readTextFileSync(`${FOLDER}/page/${name}`)
    );
    write(OUTPUT, header, { html, script, style: `${chartStyle}\n${style}` });
  }
}
