// Tries the client that openapi-typescript and openapi-fetch make: node try.js URL.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];

const client = createClient<paths>({ baseUrl: process.argv[2] });
const flight: Schemas["Record"] = {
  recordId: "by-typescript",
  time: "2013-01-01T10:00:00Z",
  sourceId: "UA",
  destinationId: "TypeScript",
  type: "positive",
  value: "0.10",
  unit: "minute",
  reference: "",
};

function expect(found: unknown, wanted: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(wanted)}`);
  }
}

const written = await client.POST("/v1/records", { body: flight });
expect([written.response.status, written.data?.outcome], [201, "processed"]);
const conflict = await client.POST("/v1/records", { body: { ...flight, value: "2" } });
const problem = conflict.error;
if (problem === undefined || !("differs" in problem)) {
  throw new Error("a conflict names the fields that differ");
}
expect([problem.status, problem.differs], [409, ["value"]]);

const page = await client.GET("/v1/notifications", { params: { query: { limit: 1000 } } });
const messages: Schemas["Notification"][] = page.data?.messages ?? [];
const message = messages.find((message) => message.id === flight.recordId);
const record: Schemas["WrittenRecord"] | undefined = message?.data.record;
expect(record?.value, "0.10");

const totals = await client.GET("/v1/aggregates", { params: { query: { destinationId: "TypeScript", records: false } } });
// Other forms than JSON would be texts.
expect(typeof totals.data === "object" && totals.data.groups[0]?.totals[0]?.net, "0.10");

const rule: Schemas["AlertRuleDraft"] = { threshold: "100", on: "total", unit: "minute" };
const put = await client.PUT("/v1/alert-rules/{name}", { params: { path: { name: "by-typescript" } }, body: rule });
expect(put.data?.origin, "managed");
// @ts-expect-error A rule on totals has no type.
const wrong: Schemas["AlertRuleDraft"] = { threshold: "100", on: "total", type: "positive" };
const refused = await client.POST("/v1/alert-rules/{name}/dry-run", {
  params: { path: { name: "by-typescript" } },
  body: wrong,
});
expect(refused.response.status, 422);
