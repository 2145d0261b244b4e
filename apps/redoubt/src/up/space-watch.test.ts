import assert from "node:assert/strict";
import { test } from "node:test";
import type { Space } from "@redoubt/base";
import { SpaceWatch } from "./watches.ts";

test("one alarm for each step towards the end of the disk, and one line when there is room again", () => {
  const lines: string[] = [];
  const watch = new SpaceWatch((event, fields = {}) => {
    lines.push([event, fields["severity"], fields["level"], fields["free"]].join(" ").trim());
  });
  const at = (level: Space["level"], megabytes: number): void =>
    watch.look({ level, freeBytes: megabytes * 1e6 + 1 });
  at("enough", 900);
  at("low", 90);
  at("low", 80);
  at("unknown", 0);
  at("critical", 9);
  at("none", 0);
  at("none", 0);
  at("enough", 900);
  assert.deepEqual(lines, [
    "alarm warning low 90 MB",
    "alarm critical critical 9 MB",
    "alarm critical none 0 MB",
    "alarm_over   900 MB",
  ]);
});
