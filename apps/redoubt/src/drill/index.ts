export { DRILL_AUDIENCE } from "@redoubt/registry";
export type { Alarm } from "../alarms.ts";
export { readAlarms, waitForAlarm } from "./alarms.ts";
export { forge, registerDrillKey, type DrillKey, type StolenKey } from "./drill-key.ts";
export { sendRawHead } from "./raw-socket.ts";
export {
  activeKid,
  closeScene,
  drillPlace,
  drillSocket,
  issueLegitimate,
  issuerOf,
  openScene,
  openVerifier,
  publishedKids,
  textOf,
  type Scene,
} from "./scene.ts";
