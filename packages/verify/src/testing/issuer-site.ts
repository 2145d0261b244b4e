import { fromDiscovery } from "../discovery.ts";
import type { DiscoveryOptions, RingIssuer } from "../discovery-options.ts";
import type { Verifier } from "../verifier.ts";
import {
  NOW,
  signedRecord,
  TENANT_A,
  verifierWith,
  type Claims,
  type SignedTestRecord,
} from "./fixture.ts";
import { pinOf, testKey } from "./keys.ts";
import { ManualSchedule, type Site, type SiteAnswer } from "./site.ts";

/** An issuer of one tenant, served by a site as the publisher serves it. */
export class IssuerSite {
  readonly site: Site;
  readonly template: string;
  readonly issuer: string;
  readonly time = new ManualSchedule();
  /** Seconds. */
  now: number = NOW;

  constructor(site: Site) {
    this.site = site;
    this.template = `${site.origin}/{tenantid}`;
    this.issuer = `${site.origin}/${TENANT_A}`;
  }

  record(name: string, changes: Claims = {}, ring?: string): SignedTestRecord {
    return signedRecord(name, { issuer: this.template, ...changes }, ring);
  }

  publish(keys: readonly Claims[], changes: { metadata?: Claims; keySet?: SiteAnswer } = {}): void {
    const metadata = {
      issuer: this.issuer,
      jwks_uri: `${this.site.origin}/keys`,
      ...changes.metadata,
    };
    this.site.serve({
      [`/${TENANT_A}/.well-known/openid-configuration`]: JSON.stringify(metadata),
      "/keys": changes.keySet ?? JSON.stringify({ keys }),
    });
  }

  get ringIssuer(): RingIssuer {
    return { issuer: this.issuer, realm: "enterprise", ring: pinOf(testKey("ring-enterprise")) };
  }

  verifier(
    changes: Partial<DiscoveryOptions> = {},
    accepted: string = this.template,
  ): Promise<Verifier> {
    const trust = fromDiscovery({
      issuers: [this.ringIssuer],
      allowLoopbackHttp: true,
      schedule: this.time.schedule,
      random: () => 0.5,
      ...changes,
    });
    const accept = [{ issuer: accepted, realm: "enterprise", tenants: "any" as const }];
    return verifierWith([], { trust, accept, now: () => this.now * 1000 });
  }

  /** Claims that a token of this issuer has. */
  get payload(): Claims {
    return { iss: this.issuer };
  }
}
