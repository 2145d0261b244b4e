export { enableLeases } from "./leases/enable-leases.ts";
export { drillStorm0558 } from "./drill/storm-0558.ts";
export { readDemo, type Demo, type DemoClient } from "./demo.ts";
export {
  CONSUMER_TENANT,
  issuerTemplate,
  portsFrom,
  REALMS,
  SERVICES,
  tokenEndpoint,
  type Ports,
  type Realm,
  type ServiceName,
} from "./layout.ts";
export { Operator } from "./operator.ts";
export { readSettings, ringsOf, type Settings } from "./settings.ts";
export { loopbackPlan } from "./init/init.ts";
export { stateBootstrap } from "./up/bootstrap.ts";
export { setUp } from "./up/set-up.ts";
