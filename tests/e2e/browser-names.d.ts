// Names that playwright-core's types mention. The browser's own types stay out: with them every file of ours could
// name `window`, and would fail where it runs.
interface Node {}
interface HTMLElement extends Node {}
interface SVGElement extends Node {}
interface HTMLElementTagNameMap {}
