export { readAlarms, waitForAlarm } from "./alarms.ts";
export { DRILL_AUDIENCE, forge, registerDrillKey, type DrillKey } from "./drill-key.ts";
export { sendRawHead } from "./raw-socket.ts";
export {
  drillPlace,
  drillSocket,
  issueLegitimate,
  issuerOf,
  openScene,
  openVerifier,
  publishedKids,
  type Scene,
} from "./scene.ts";
