/** What RFC 7643 calls the schema of a person. */
export const USER = "urn:ietf:params:scim:schemas:core:2.0:User";
export const MAX_RESULTS = 200;

const UNSUPPORTED = { supported: false };

/** RFC 7643 §5. Versions of resources are not offered: a precondition is never looked at (RFC 7644 §3.14). */
export function serviceProviderConfig(base: string) {
  return {
    schemas: ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
    patch: { supported: true },
    bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
    filter: { supported: true, maxResults: MAX_RESULTS },
    changePassword: UNSUPPORTED,
    sort: UNSUPPORTED,
    etag: UNSUPPORTED,
    authenticationSchemes: [
      {
        type: "oauthbearertoken",
        name: "Bearer token",
        description: "A token of one tenant, made by its operator",
        primary: true,
      },
    ],
    meta: { resourceType: "ServiceProviderConfig", location: `${base}/ServiceProviderConfig` },
  };
}

/** RFC 7643 §6. */
export function userType(base: string) {
  return {
    schemas: ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
    id: "User",
    name: "User",
    endpoint: "/Users",
    schema: USER,
    schemaExtensions: [],
    meta: { resourceType: "ResourceType", location: `${base}/ResourceTypes/User` },
  };
}

/** RFC 7643 §7, of what is kept. */
export function userSchema(base: string) {
  return {
    schemas: ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
    id: USER,
    name: "User",
    description: "A person who may sign in",
    attributes: [
      attribute("userName", { required: true, uniqueness: "server" }),
      attribute("externalId", { caseExact: true, uniqueness: "server" }),
      attribute("displayName"),
      attribute("name", {
        type: "complex",
        subAttributes: [attribute("givenName"), attribute("familyName")],
      }),
      attribute("active", { type: "boolean" }),
      attribute("emails", {
        type: "complex",
        multiValued: true,
        subAttributes: [
          attribute("value", { required: true }),
          attribute("type"),
          attribute("primary", { type: "boolean" }),
        ],
      }),
    ],
    meta: { resourceType: "Schema", location: `${base}/Schemas/${USER}` },
  };
}

function attribute(name: string, more: object = {}): object {
  return {
    name,
    type: "string",
    multiValued: false,
    description: name,
    required: false,
    caseExact: false,
    mutability: "readWrite",
    returned: "default",
    uniqueness: "none",
    ...more,
  };
}
